# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""From the stored values of a radiograph to its grey scale, as DICOM prescribes it (PS3.4 N.2.1)."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from monai_debias.data.dicom.layout import value_range
from monai_debias.data.dicom.stored import StoredPixels
from monai_debias.data.dicom.values import items, number, numbers, optional, text, whole_number
from monai_debias.data.reading import FileReadError, warn

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["FilmPixels", "grey_table"]

_MOST_BITS = 16


class FilmPixels:
    """The pixels of a grey film as float32 in [0, 1], 0 = black.

    What becomes of each possible stored value is worked out once, see :func:`grey_table`; then each pixel is looked up.

    Args:
        dataset: a pydicom data set of the type MONOCHROME1 or MONOCHROME2.

    Raises:
        FileReadError: as :class:`~monai_debias.data.dicom.stored.StoredPixels`, and if there are more than 16 bits.
        OptionalImportError: if the compression needs a pydicom plugin that is not installed; it says which.
    """

    display_range = (0.0, 1.0)

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._stored = StoredPixels(dataset)
        self.n_frames = self._stored.n_frames
        if self._stored.layout.bits_stored > _MOST_BITS:
            raise FileReadError(
                f"BitsStored is {self._stored.layout.bits_stored}, a radiograph has at most {_MOST_BITS}."
            )

    @property
    def frame_bytes(self) -> int:
        """Size of the decoded film in bytes."""
        return self._stored.largest * np.dtype(np.float32).itemsize

    def frame(self, index: int) -> np.ndarray:
        """Decode one frame.

        Args:
            index: which, from 0.

        Returns:
            An array (rows, columns).
        """
        pixels, bits = self._stored.decode(index)
        signed = self._stored.layout.signed
        return grey_table(self._dataset, bits, signed)[pixels.astype(np.int64) - value_range(bits, signed)[0]]


def grey_table(dataset: Dataset, bits: int, signed: bool) -> np.ndarray:
    """Return what each stored value looks like, from the smallest to the largest that is possible.

    The modality LUT or rescale comes first, then the VOI LUT, or without one the (first) window; both by pydicom.
    Without either, black and white are the ends of what the bits can hold, as the standard has it. MONOCHROME1 is
    inverted at the end, and values that pad the film (Pixel Padding Value, to Pixel Padding Range Limit) are black.

    Args:
        dataset: a pydicom data set of the type MONOCHROME1 or MONOCHROME2.
        bits: the number of bits that count.
        signed: whether the values are signed.

    Returns:
        float32 in [0, 1], shape (2 ** bits,).

    Raises:
        FileReadError: if a table or window is incomplete or makes no sense, also if all values would look alike.

    Example:
        >>> from pydicom import Dataset
        >>> film = Dataset()
        >>> film.PhotometricInterpretation = "MONOCHROME1"
        >>> grey_table(film, bits=2, signed=False).round(2).tolist()
        [1.0, 0.6700000166893005, 0.33000001311302185, 0.0]
    """
    from pydicom.pixels import apply_modality_lut, apply_voi, apply_windowing

    low, high = value_range(bits, signed)
    stored = np.arange(low, high + 1)
    scale = _scale(dataset, bits, signed)
    measured = apply_modality_lut(stored, scale)
    if "VOILUTSequence" in scale:
        shown = apply_voi(np.rint(measured).astype(np.int64), scale)
        black, white = 0, _largest(dataset, "VOILUTSequence")
    elif "WindowWidth" in scale:
        shown = apply_windowing(measured, scale)
        black, white = apply_windowing(np.array([-np.inf, np.inf]), scale)
    elif "ModalityLUTSequence" in scale:
        shown = measured
        black, white = 0, _largest(dataset, "ModalityLUTSequence")
    else:
        shown = measured
        black, white = sorted((measured[0], measured[-1]))
    n_greys = 256 * float(np.ptp(shown)) / abs(float(white - black)) if black != white else 0.0
    # fewer than two: the same everywhere, as by a window that is far too wide or beside all values
    if not (np.isfinite(shown).all() and np.isfinite(white - black) and n_greys >= 1):
        raise FileReadError("the rescale, window and tables of the header leave no greys between black and white.")
    grey = ((shown.astype(np.float64) - black) / (white - black)).clip(0, 1)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        grey = 1 - grey
    grey[_padding(dataset, stored)] = 0
    return grey.astype(np.float32)


def _scale(dataset: Dataset, bits: int, signed: bool) -> Dataset:
    """Check the elements by which pydicom maps values, and return those that count."""
    from pydicom import Dataset as Elements

    scale = Elements()
    if hasattr(dataset, "file_meta"):
        scale.file_meta = dataset.file_meta  # with the byte order of the tables
    scale.PhotometricInterpretation = dataset.PhotometricInterpretation
    scale.BitsStored, scale.PixelRepresentation = bits, int(signed)
    for keyword in ("ModalityLUTSequence", "VOILUTSequence"):
        if items(dataset, keyword):
            setattr(scale, keyword, [_table(dataset, keyword)])
    slope = None if "ModalityLUTSequence" in scale else _both(dataset, "RescaleSlope", "RescaleIntercept")
    if slope is not None:
        if slope[0] == 0:
            raise FileReadError("RescaleSlope is 0, which makes all values the same; expected another number.")
        scale.RescaleSlope, scale.RescaleIntercept = slope
    window = None if "VOILUTSequence" in scale else _both(dataset, "WindowWidth", "WindowCenter")
    if window is not None:
        scale.WindowWidth, scale.WindowCenter = window
        scale.VOILUTFunction = text(dataset, "VOILUTFunction") or "LINEAR"
    return scale


def _both(dataset: Dataset, first: str, second: str) -> tuple[float, float] | None:
    """Return the first values of two elements that need each other, None if both are missing."""
    found = numbers(dataset, first), numbers(dataset, second)
    if found[0] and found[1]:
        return found[0][0], found[1][0]
    if found[0] or found[1]:
        missing = second if found[0] else first
        raise FileReadError(f"{missing} is missing: {first} and {second} belong together.")
    return None


def _table(dataset: Dataset, keyword: str) -> Dataset:
    """Return the first table of a sequence.

    Where entries have 8 bits, pydicom 3.0 takes only 8 bits of the value that it looks up; 16 bits avoid that.
    """
    table = copy.deepcopy(dataset[keyword][0])
    descriptor = numbers(table, "LUTDescriptor")
    if descriptor is None or len(descriptor) != 3 or "LUTData" not in table:
        raise FileReadError(f"the table of {keyword} is incomplete.")
    if keyword == "VOILUTSequence" and descriptor[2] == 8:
        table.LUTDescriptor = [*map(int, descriptor[:2]), _MOST_BITS]
    return table


def _largest(dataset: Dataset, keyword: str) -> int:
    """Return the largest value that a table can give."""
    return 2 ** int((numbers(dataset[keyword][0], "LUTDescriptor") or (0, 0, _MOST_BITS))[2]) - 1


def _padding(dataset: Dataset, stored: np.ndarray) -> np.ndarray:
    """Return which of the stored values pad the film."""
    value = optional(number, dataset, "PixelPaddingValue")
    if value is None:
        return np.zeros(len(stored), bool)
    limit = optional(number, dataset, "PixelPaddingRangeLimit")
    # some writers store a negative value as unsigned, or the other way round
    n_values = 2 ** (whole_number(dataset, "BitsAllocated") or _MOST_BITS)
    ends = sorted((end - stored[0]) % n_values + stored[0] for end in (value, value if limit is None else limit))
    if ends[0] > stored[-1]:
        warn(f"PixelPaddingValue is {value:g}, which no pixel can have; it counts as unknown.")
    return (stored >= ends[0]) & (stored <= ends[1])
