# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A demo cohort as a bundle's default data: generated when it is first asked for."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

from monai_debias.data.datalist_items import DATALIST_NAME

__all__ = ["generate_once"]


def generate_once(directory: str | os.PathLike, build: Callable[..., Path], **options: Any) -> str:
    """Return the directory of a cohort, after generating it there if it does not exist.

    Of several processes, as in a distributed training, one generates it and the others wait.

    Args:
        directory: where the cohort is, or will be written.
        build: writes a cohort to a directory, the datalist last.
        options: further arguments of ``build``.

    Returns:
        The directory, as a string for path expressions in configs.

    Raises:
        FileExistsError: when the directory has other content than a cohort.
    """
    target = Path(os.path.realpath(directory))
    complete = target / DATALIST_NAME
    if not complete.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = target.with_name(f".{target.name}.generating")
        try:
            with FileLock(lock):
                if not complete.exists():
                    logging.getLogger(__name__).info("generating the semi-synthetic demo cohort in %s", directory)
                    build(directory, **options)
        finally:
            with contextlib.suppress(OSError):  # Windows does not remove what another process waits for
                lock.unlink(missing_ok=True)
    return str(directory)
