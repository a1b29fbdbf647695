# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The command line: ``monai-debias``, or ``python -m monai_debias``."""

from __future__ import annotations

import io
import os
import sys
import warnings
from typing import Any

import fire

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
from monai_debias.command_line.short_errors import for_the_user
from monai_debias.command_line.typed_words import command_in, refuse_mistakes
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

# commands that keep what is finished when they are interrupted
GOES_ON = ("audit", "demo-data", "masks", "sectors")

# of each command that is not named after a public data set; the overview shows the first of some
EXAMPLES: dict[str, list[str]] = {
    "audit": [
        "monai-debias audit my_bundle my_images --out findings",
        "monai-debias audit network.pt2 my_images --preprocessing preprocessing.json --out findings",
    ],
    "bundles list": ["monai-debias bundles list"],
    "bundles copy": ["monai-debias bundles copy echo_view my_bundle"],
    "check": ["monai-debias check my_images", "monai-debias check my_images --out checked"],
    "datalist folder": [
        "monai-debias datalist folder my_images --patient_regex '(p[0-9]+)_'",
        "monai-debias datalist folder my_images --masks my_masks",
    ],
    "datalist ultrasound": ["monai-debias datalist ultrasound my_clips"],
    "datalist tmed2": ["monai-debias datalist tmed2 TMED2 TMED2/masking2"],
    "demo-data cxr": ["monai-debias demo-data cxr films --patients '(40, 10, 20, 10)' --size 112"],
    "demo-data ecg": ["monai-debias demo-data ecg records --patients '(40, 10, 20, 10)'"],
    "demo-data echo": ["monai-debias demo-data echo clips --patients '(20, 5, 10)' --bias 0.9"],
    "doctor": ["monai-debias doctor"],
    "masks": ["monai-debias masks my_films films_with_masks"],
    "merge": ["monai-debias merge nih,chexpert all_films --split_by site --test_sites chexpert"],
    "overlays": ["monai-debias overlays my_bundle", "monai-debias overlays my_bundle isnet few_masks"],
    "sectors": ["monai-debias sectors my_clips clips_with_masks"],
}
_OVERVIEW = ("bundles copy", "datalist folder", "check", "overlays", "audit")


def main() -> None:
    """Run the command that the arguments name; each command is a function with the same arguments.

    An error that the user can correct is printed as one sentence, with exit code 2, and with ``--debug`` as a
    traceback; a bug always shows its traceback. The exit code is 130 after Ctrl-C, and 141 if what reads the output,
    such as ``head``, ends before it does.
    """
    warnings.formatwarning = _warning_line
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for a terminal that lacks a letter
    words = sys.argv[1:]
    shows_traceback = "--debug" in words
    try:
        _run([word for word in words if word != "--debug"])
        sys.stdout.flush()
    except KeyboardInterrupt:
        goes_on = "; the same command goes on where it was" if words and words[0] in GOES_ON else ""
        print(f"interrupted{goes_on}", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left goes nowhere
        raise SystemExit(141) from None
    except Exception as error:
        if shows_traceback or (message := for_the_user(error)) is None:
            raise
        print(f"error: {message}", file=sys.stderr)
        raise SystemExit(2) from error


def _run(words: list[str]) -> None:
    if words in ([], ["--help"], ["-h"]):
        print(_overview())
        return
    if words == ["--version"]:
        print(monai_debias.__version__)
        return
    if "--help" in words or "-h" in words:
        words = [*command_in(words, COMMANDS), "--", "--help"]
    if len(words) == 1 and isinstance(group := COMMANDS.get(words[0]), dict) and "list" in group:
        words = [*words, "list"]
    refuse_mistakes(words, COMMANDS)
    with joined():
        _refuse_torchrun(words)
        fire.Fire(with_plain_help(COMMANDS, EXAMPLES), words, name="monai-debias")


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
    examples = [f"  {EXAMPLES[name][0]}" for name in _OVERVIEW]
    return "\n".join([*lines, "", "Examples:", "", *examples, "", help_words])


def _first_sentence(documented: Any) -> str:
    return (documented.__doc__ or "").partition("\n")[0].replace("``", "")


def _warning_line(message: Warning | str, *_: object, **__: object) -> str:
    """A warning without the line of code that raised it, which does not help the user of a command."""
    return f"warning: {message}\n"


if __name__ == "__main__":
    main()
