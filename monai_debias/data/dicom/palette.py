# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Colour tables of DICOM images of the type PALETTE COLOR."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monai_debias.data.dicom.values import numbers
from monai_debias.data.reading import FileReadError

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["Palette"]


class Palette:
    """The colour table of an image, plain or segmented, in the byte order of the file; the upper 8 bits count.

    Args:
        dataset: a pydicom data set.

    Raises:
        FileReadError: if the table is missing, incomplete or of a kind that is not supported.
    """

    def __init__(self, dataset: Dataset) -> None:
        descriptor = numbers(dataset, "RedPaletteColorLookupTableDescriptor")
        if descriptor is None:
            raise FileReadError("the image is PALETTE COLOR, but the palette is missing.")
        if len(descriptor) != 3 or not 0 <= descriptor[0] <= 2**16:
            raise FileReadError(
                f"the descriptor of the palette is {list(descriptor)}, expected entries, first value, bits."
            )
        entries, self._first, bits = (int(value) for value in descriptor)
        self._table = _read_table(dataset, entries or 2**16, self._first, bits)

    def colors(self, pixels: np.ndarray) -> np.ndarray:
        """Return the colours (rows, columns, 3) of pixels (rows, columns) as uint8."""
        return self._table[np.clip(pixels.astype(np.int64) - self._first, 0, len(self._table) - 1)]


def _read_table(dataset: Dataset, entries: int, first: int, bits: int) -> np.ndarray:
    from pydicom.pixels import apply_color_lut

    keywords = [f"{color}PaletteColorLookupTableData" for color in ("Red", "Green", "Blue")]
    missing = [keyword for keyword in keywords if not dataset.get(keyword)]
    if not missing:
        # not through pydicom: version 3.0 reads the tables of big-endian files in the wrong byte order
        columns = [dataset[keyword].value for keyword in keywords]
        _, little_endian = dataset.original_encoding
        dtype = np.dtype(("<u2" if little_endian else ">u2") if len(columns[0]) >= 2 * entries else "u1")
        counts = [len(values) // dtype.itemsize for values in columns]
        if min(counts) < entries:
            raise FileReadError(f"the palette has {min(counts)} of {entries} entries.")
        table = np.stack([np.frombuffer(values, dtype=dtype, count=entries) for values in columns], axis=-1)
    elif "SegmentedRedPaletteColorLookupTableData" not in dataset:
        raise FileReadError(f"the image is PALETTE COLOR, but {', '.join(missing)} is missing.")
    elif bits > 8 or entries <= 256:
        table = apply_color_lut(np.arange(first, first + entries), dataset)[:, :3]
    else:
        raise FileReadError(f"a segmented palette of {entries} entries with {bits} bits is not supported.")
    if len(table) != entries:
        raise FileReadError(f"the palette has {len(table)} of {entries} entries.")
    # some writers declare 16 bits and fill the lower 8 only
    return (table >> 8 if table.max() > 255 else table).astype(np.uint8)
