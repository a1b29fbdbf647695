# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What a bundle does before anything else when it was started as ``python -m monai.bundle run``."""

from __future__ import annotations

import inspect
import logging
import re
import sys
from types import TracebackType
from typing import Any

from fire.parser import DefaultParseValue
from monai.bundle import ConfigParser, run
from monai.utils import MONAIEnvVars

from monai_debias.command_line.short_errors import for_the_user
from monai_debias.command_line.typed_words import meant, sorted_out

__all__ = ["begin_bundle_command"]

_MONAI_COMMAND = "monai.bundle.__main__"


def begin_bundle_command() -> None:
    """Refuse options that no config file has, and let errors that the user can correct end in one line.

    MONAI takes any option, so that a mistyped ``--max_epchs 3`` would change nothing and train for hours. The bundles
    call this as the first entry of ``initialize``. It does nothing in any other program, such as a notebook. The exit
    code after an error is 1, as without it; the environment variable ``MONAI_DEBUG=1`` asks for tracebacks.

    Raises:
        ValueError: when no config file of the command has an option.

    Example:
        >>> begin_bundle_command()  # this program is not monai.bundle: nothing changes
    """
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None and spec.name == _MONAI_COMMAND:
        if not MONAIEnvVars.debug():
            _shorten_errors()
        _refuse_unknown_options(sys.argv[1:])


def _refuse_unknown_options(words: list[str]) -> None:
    options, _ = sorted_out(words)
    files = options.get("config_file")
    if files is None:
        return  # they are named in a file of arguments
    entries = ConfigParser.load_config_files(DefaultParseValue(files))
    known = [*entries, *inspect.signature(run).parameters]
    for name in options:
        entry = re.split("#|::", name.lstrip("+"))[0]
        if entry not in known:
            raise ValueError(f"no config file has an option --{name}; {meant(entry, known, '--')}")


def _shorten_errors() -> None:
    show, record = sys.excepthook, logging.getLogRecordFactory()

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if (message := for_the_user(error)) is None:
            show(kind, error, trace)
        else:
            sys.stdout.flush()  # the log comes first
            print(f"error: {message}", file=sys.stderr)

    def record_without_traceback(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made = record(*args, **kwargs)
        if made.exc_info and made.exc_info[1] is not None and for_the_user(made.exc_info[1]) is not None:
            made.exc_info = None
        return made

    sys.excepthook = tell
    logging.setLogRecordFactory(record_without_traceback)
