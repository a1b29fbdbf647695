# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The files of images, read once more as they are on the disk, before any preprocessing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from monai.data import ImageReader

from monai_debias.data.mask_files import read_channel_first
from monai_debias.data.reader import ImageFileReader, find_reader
from monai_debias.distributed import share_work

__all__ = ["read_files"]

Measured = TypeVar("Measured")
_THREADS = 2


def read_files(
    files: Sequence[str],
    reader: ImageReader | str | None,
    measure: Callable[[str, np.ndarray, Mapping[str, Any]], Measured | None],
) -> list[Measured | None]:
    """Read files and measure each.

    Args:
        files: paths; empty for an image that does not know its file.
        reader: reads them, a reader or its dotted name; None for the reader of this package.
        measure: takes the path, the array (C, spatial...) and the reader's meta dict.

    Returns:
        What was measured, None where a file cannot be read.
    """
    chosen = ImageFileReader() if reader is None else find_reader(reader)

    def one(file: str) -> Measured | None:
        try:
            return measure(file, *read_channel_first(file, chosen)) if file else None
        except Exception:  # noqa: BLE001 # whatever a reader raises: the caller counts what is missing
            return None

    with ThreadPoolExecutor(_THREADS) as pool:
        return share_work(lambda share: pool.map(one, share), files)
