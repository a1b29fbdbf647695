# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The command line: ``monai-debias``, or ``python -m monai_debias``."""

from __future__ import annotations

import difflib
import functools
import inspect
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

from monai.utils import OptionalImportError, optional_import

import monai_debias
from monai_debias.apps.ecg.cohorts.build import ecg_commands
from monai_debias.apps.radiography.cohorts.build import chest_commands
from monai_debias.apps.radiography.lung_masks.command import masks
from monai_debias.apps.ultrasound import build_tmed2_datalist, build_ultrasound_datalist
from monai_debias.apps.ultrasound.sectors_command import sectors
from monai_debias.audit.command import audit_model
from monai_debias.command_line import copy_bundle, doctor, list_bundles
from monai_debias.command_line.data_check import check
from monai_debias.command_line.help_text import with_plain_help
from monai_debias.data import build_folder_datalist, merge_datalists
from monai_debias.demo import build_cxr_cohort, build_ecg_cohort, build_echo_cohort
from monai_debias.distributed import joined, n_processes
from monai_debias.overlays import overlays

# a command is a function, or a dictionary of them; where one is a list, the first word alone is enough
COMMANDS: dict[str, Any] = {
    "audit": audit_model,
    "bundles": {"list": list_bundles, "copy": copy_bundle},
    "check": check,
    "datalist": {
        "folder": build_folder_datalist,
        "ultrasound": build_ultrasound_datalist,
        "tmed2": build_tmed2_datalist,
        **chest_commands(),
        **ecg_commands(),
    },
    "demo-data": {"cxr": build_cxr_cohort, "ecg": build_ecg_cohort, "echo": build_echo_cohort},
    "doctor": doctor,
    "masks": masks,
    "merge": merge_datalists,
    "overlays": overlays,
    "sectors": sectors,
}

# commands whose work the processes of torchrun share
SHARED = ("audit", "masks", "sectors")

_EXAMPLES = """\
  monai-debias bundles copy echo_view my_bundle
  monai-debias datalist folder my_images --patient_regex '(p[0-9]+)_'
  monai-debias check my_images
  monai-debias overlays my_bundle isnet
  monai-debias audit my_bundle my_images --out findings"""


def main() -> None:
    """Run the command that the arguments name; each command is a function with the same arguments.

    An error that the user can correct is printed as one sentence, with exit code 2, and with ``--debug`` as a
    traceback; a bug always shows its traceback.
    """
    warnings.formatwarning = _warning_line
    words = sys.argv[1:]
    if words in ([], ["--help"], ["-h"]):
        print(_overview())
        return
    if words == ["--version"]:
        print(monai_debias.__version__)
        return
    if "--help" in words or "-h" in words:
        words = [*_command_in(words), "--help"]
    if len(words) == 1 and isinstance(group := COMMANDS.get(words[0]), dict) and "list" in group:
        words.append("list")
    fire, has_fire = optional_import("fire")
    if not has_fire:
        raise SystemExit("the command line needs the package fire: pip install 'monai-debias[demo]'.")
    try:
        _refuse_unknown_options(words)
        with joined():
            _refuse_torchrun(words)
            fire.Fire(with_plain_help(COMMANDS), [word for word in words if word != "--debug"], name="monai-debias")
    except Exception as error:
        if "--debug" in words or not _is_for_the_user(error):
            raise
        print(f"error: {_told(error)}", file=sys.stderr)
        raise SystemExit(2) from error


def _told(error: Exception) -> str:
    """The message; an error of the system begins with its file instead of a number."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _command_in(words: list[str]) -> list[str]:
    """The words that name the command, without its arguments, with which Fire would run it and then show the help."""
    command, names = COMMANDS, []
    for word in words:
        if not isinstance(command, dict) or word not in command:
            break
        command = command[word]
        names.append(word)
    return names


def _refuse_unknown_options(words: list[str]) -> None:
    """Refuse a mistyped option before anything is done; Fire runs the command without it and complains afterwards."""
    names = _command_in(words)
    command, rest = functools.reduce(lambda group, name: group[name], names, COMMANDS), words[len(names) :]
    if isinstance(command, dict):
        return
    parameters = inspect.signature(command).parameters
    if any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        return
    known = {"debug", "help", *parameters, *(f"no{name}" for name in parameters)}
    given = rest[: rest.index("--")] if "--" in rest else rest
    for word in given:
        name = word.removeprefix("--").partition("=")[0].replace("-", "_")
        if word.startswith("--") and name not in known:
            close = difflib.get_close_matches(name, sorted(known), n=1)
            instead = f"did you mean --{close[0]}?" if close else f"choose from --{', --'.join(parameters)}."
            raise ValueError(f"there is no option --{name}; {instead}")


def _refuse_torchrun(words: list[str]) -> None:
    """Several processes of a command that does not share its work would write the same files."""
    if n_processes() > 1 and words[:1] and words[0] not in SHARED:
        raise ValueError(
            f"{words[0]} is the work of one process: start it without torchrun, which only {', '.join(SHARED)} share."
        )


def _overview() -> str:
    """Every command with the first sentence of its documentation, and examples."""
    lines = [
        f"monai-debias {monai_debias.__version__}: {monai_debias.__doc__}",
        "",
        "monai-debias COMMAND [arguments]",
        "",
    ]
    for name, command in COMMANDS.items():
        parts = (
            {f"{name} {part}": one for part, one in command.items()} if isinstance(command, dict) else {name: command}
        )
        lines += [f"  {words:33} {_first_sentence(function)}" for words, function in parts.items()]
    help_words = (
        "monai-debias COMMAND --help explains its arguments; --debug shows the traceback of an error.\n"
        "monai-debias -- --completion >> ~/.bashrc lets bash complete commands and their options."
    )
    return "\n".join([*lines, "", "Examples:", "", _EXAMPLES, "", help_words])


def _first_sentence(documented: Any) -> str:
    return (documented.__doc__ or "").partition("\n")[0].replace("``", "")


def _is_for_the_user(error: Exception) -> bool:
    """Whether an error is about a file, a missing package, or wrong input that this package itself refuses.

    A ValueError or TypeError that Python or a library raised inside this package was not foreseen: that is a bug.
    """
    if isinstance(error, OSError | OptionalImportError):
        return True
    raised = traceback.extract_tb(error.__traceback__)[-1]
    ours = Path(raised.filename).is_relative_to(Path(__file__).parent)
    return isinstance(error, ValueError | TypeError) and ours and (raised.line or "").startswith("raise ")


def _warning_line(message: Warning | str, *_: object, **__: object) -> str:
    """A warning without the line of code that raised it, which does not help the user of a command."""
    return f"warning: {message}\n"


if __name__ == "__main__":
    main()
