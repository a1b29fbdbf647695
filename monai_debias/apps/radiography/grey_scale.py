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
        window: which of several windows or VOI LUTs, see :func:`grey_table`.

    Raises:
        FileReadError: as :class:`~monai_debias.data.dicom.stored.StoredPixels`, and if there are more than 16 bits.
        OptionalImportError: if the compression needs a pydicom plugin that is not installed; it says which.
    """

    display_range = (0.0, 1.0)

    def __init__(self, dataset: Dataset, window: int = 0) -> None:
        self._dataset = dataset
        self._window = window
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
        return grey_table(self._dataset, bits, signed, self._window)[
            pixels.astype(np.int64) - value_range(bits, signed)[0]
        ]


def grey_table(dataset: Dataset, bits: int, signed: bool, window: int = 0) -> np.ndarray:
    """Return what each stored value looks like, from the smallest to the largest that is possible.

    The modality LUT or rescale comes first, then a VOI LUT, or without one a window; both by pydicom.
    Without either, black and white are the ends of what the bits can hold, as the standard has it. MONOCHROME1 is
    inverted at the end, and values that pad the film (Pixel Padding Value, to Pixel Padding Range Limit) are black. A
    Presentation LUT Shape says the same as the type, INVERSE of MONOCHROME1 and IDENTITY of MONOCHROME2 (PS3.3
    C.8.11.3): it is not a second inversion, and one that contradicts the type gives a warning, and the type counts.

    Args:
        dataset: a pydicom data set of the type MONOCHROME1 or MONOCHROME2.
        bits: the number of bits that count.
        signed: whether the values are signed.
        window: which of several VOI LUTs, or else of several windows, by its place in the header, from 0; these are
            different views of the same film.

    Returns:
        float32 in [0, 1], shape (2 ** bits,).

    Raises:
        FileReadError: if a table or window is incomplete or makes no sense, there are not as many, or all values would
            look alike.

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
    scale = _scale(dataset, bits, signed, window)
    measured = apply_modality_lut(stored, scale)
    if "VOILUTSequence" in scale:
        shown = apply_voi(np.rint(measured).astype(np.int64), scale)
        black, white = 0, _largest(dataset, "VOILUTSequence", window)
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
    _check_shape(dataset)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        grey = 1 - grey
    grey[_padding(dataset, stored)] = 0
    return grey.astype(np.float32)


def _check_shape(dataset: Dataset) -> None:
    """Warn of a Presentation LUT Shape that contradicts the type of the pixels."""
    shape, kind = text(dataset, "PresentationLUTShape"), dataset.PhotometricInterpretation
    if shape in ("IDENTITY", "INVERSE") and (shape == "INVERSE") != (kind == "MONOCHROME1"):
        warn(f"PresentationLUTShape is {shape}, which contradicts {kind}: the latter counts, look at the film.")


def _scale(dataset: Dataset, bits: int, signed: bool, window: int) -> Dataset:
    """Check the elements by which pydicom maps values, and return those that count."""
    from pydicom import Dataset as Elements

    scale = Elements()
    if hasattr(dataset, "file_meta"):
        scale.file_meta = dataset.file_meta  # with the byte order of the tables
    scale.PhotometricInterpretation = dataset.PhotometricInterpretation
    scale.BitsStored, scale.PixelRepresentation = bits, int(signed)
    for keyword, index in (("ModalityLUTSequence", 0), ("VOILUTSequence", window)):
        if items(dataset, keyword):
            setattr(scale, keyword, [_table(dataset, keyword, index)])
    slope = None if "ModalityLUTSequence" in scale else _both(dataset, "RescaleSlope", "RescaleIntercept", 0)
    if slope is not None:
        if slope[0] == 0:
            raise FileReadError("RescaleSlope is 0, which makes all values the same; expected another number.")
        scale.RescaleSlope, scale.RescaleIntercept = slope
    chosen = None if "VOILUTSequence" in scale else _both(dataset, "WindowWidth", "WindowCenter", window)
    if chosen is not None:
        scale.WindowWidth, scale.WindowCenter = chosen
        scale.VOILUTFunction = text(dataset, "VOILUTFunction") or "LINEAR"
    return scale


def _both(dataset: Dataset, first: str, second: str, index: int) -> tuple[float, float] | None:
    """Return the values at a place of two elements that need each other, None if both are missing."""
    found = numbers(dataset, first), numbers(dataset, second)
    if found[0] and found[1]:
        _require(index, min(len(found[0]), len(found[1])), first)
        return found[0][index], found[1][index]
    if found[0] or found[1]:
        missing = second if found[0] else first
        raise FileReadError(f"{missing} is missing: {first} and {second} belong together.")
    return None


def _require(index: int, n_there: int, keyword: str) -> None:
    if index >= n_there:
        raise FileReadError(f"{keyword} has {n_there} entries, and window={index} asks for the one at place {index}.")


def _table(dataset: Dataset, keyword: str, index: int) -> Dataset:
    """Return a table of a sequence.

    Where entries have 8 bits, pydicom 3.0 takes only 8 bits of the value that it looks up; 16 bits avoid that.
    """
    _require(index, len(dataset[keyword].value), keyword)
    table = copy.deepcopy(dataset[keyword][index])
    descriptor = numbers(table, "LUTDescriptor")
    if descriptor is None or len(descriptor) != 3 or "LUTData" not in table:
        raise FileReadError(f"the table of {keyword} is incomplete.")
    if keyword == "VOILUTSequence" and descriptor[2] == 8:
        table.LUTDescriptor = [*map(int, descriptor[:2]), _MOST_BITS]
    return table


def _largest(dataset: Dataset, keyword: str, index: int = 0) -> int:
    """Return the largest value that a table can give."""
    return 2 ** int((numbers(dataset[keyword][index], "LUTDescriptor") or (0, 0, _MOST_BITS))[2]) - 1


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
