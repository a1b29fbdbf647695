# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What a bundle does before anything else when it was started as ``python -m monai.bundle run``."""

from __future__ import annotations

import inspect
import logging
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from fire.parser import DefaultParseValue
from monai.bundle import ConfigParser, run
from monai.utils import MONAIEnvVars

from monai_debias.command_line.short_errors import causes, for_the_user
from monai_debias.command_line.typed_words import meant, sorted_out

__all__ = ["begin_bundle_command"]

_LOGGER = logging.getLogger(__name__)
_MONAI_COMMAND = "monai.bundle.__main__"


def begin_bundle_command() -> None:
    """Refuse options that no config file has, and let errors that the user can correct end in one line.

    MONAI takes any option, so that a mistyped ``--max_epchs 3`` would change nothing and train for hours. The bundles
    call this as the first entry of ``initialize``. It does nothing in any other program, such as a notebook. Any other
    error keeps its traceback, and the last line is what caused it. The exit code after an error is 1, as without it;
    the environment variable ``MONAI_DEBUG=1`` asks for all tracebacks.

    Raises:
        ValueError: when no config file of the command has an option, or config files are not given as one list.

    Example:
        >>> begin_bundle_command()  # this program is not monai.bundle: nothing changes
    """
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None and spec.name == _MONAI_COMMAND:
        if not MONAIEnvVars.debug():
            _shorten_errors()
        options, arguments = sorted_out(sys.argv[1:])
        _refuse_mistakes(options, arguments[1:])
        _warn_of_another_folder(options)


def _refuse_mistakes(options: Mapping[str, str], surplus: Sequence[str]) -> None:
    files = options.get("config_file")
    if more := [word for word in surplus if word.endswith((".json", ".yaml", ".yml"))]:
        listed = ",".join(f"'{file}'" for file in [files, *more] if file)
        raise ValueError(f'several config files are one list: --config_file "[{listed}]"')
    if files is None:
        return  # they are named in a file of arguments
    entries = ConfigParser.load_config_files(DefaultParseValue(files))
    known = [*entries, *inspect.signature(run).parameters]
    for name in options:
        entry = re.split("#|::", name.lstrip("+"))[0]
        if entry not in known:
            raise ValueError(f"no config file has an option --{name}; {meant(entry, known, '--')}")


def _warn_of_another_folder(options: Mapping[str, str]) -> None:
    """The bundle's models, results and demo data are in the working directory, unless an option says otherwise."""
    file, _, _ = options.get("config_file", "").partition(",")
    configs = Path(file.strip("[]'\" ")).resolve().parent
    if file and configs.name == "configs" and configs.parent != Path.cwd() and "bundle_root" not in options:
        _LOGGER.warning(
            "this runs in %s, where models and results go and are looked for; if they are to be those of the "
            "bundle, run it in the bundle's folder, or with --bundle_root %s",
            Path.cwd(),
            shlex.quote(str(configs.parent)),
        )


def _shorten_errors() -> None:
    show, record = sys.excepthook, logging.getLogRecordFactory()

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.stdout.flush()  # the log comes first
        if (message := for_the_user(error)) is not None:
            print(f"error: {message}", file=sys.stderr)
            return
        show(kind, error, trace)
        first = list(causes(error))[-1]
        if first is not error:  # MONAI's own last line says only which part of a config failed
            print(f"caused by {type(first).__name__}: {first}", file=sys.stderr)

    def record_without_traceback(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made = record(*args, **kwargs)
        if made.exc_info and made.exc_info[1] is not None and for_the_user(made.exc_info[1]) is not None:
            made.exc_info = None
        return made

    sys.excepthook = tell
    logging.setLogRecordFactory(record_without_traceback)
