# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How the pixels of a DICOM image are laid out (PS3.3 C.7.6.3), and what contradicts that."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_debias.data.dicom.values import optional, text, whole_number
from monai_debias.data.reading import FileReadError, warn

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.pixels.decoders.base import Decoder

__all__ = ["PixelLayout", "read_layout", "value_range"]

# photometric interpretation -> samples per pixel
_SAMPLES = {
    "MONOCHROME1": 1,
    "MONOCHROME2": 1,
    "PALETTE COLOR": 1,
    "RGB": 3,
    "YBR_FULL": 3,
    "YBR_FULL_422": 3,
    "YBR_ICT": 3,
    "YBR_RCT": 3,
}


@dataclass(frozen=True)
class PixelLayout:
    """The layout of each frame.

    Attributes:
        rows: height in pixels.
        columns: width in pixels.
        samples: samples per pixel, 1 or 3.
        bits_allocated: bits in which a sample is stored.
        bits_stored: bits that count.
        spare_bits: bits below them by High Bit, which old files may have; 0 in all others.
        signed: whether the values are signed, as two's complement.
        interpretation: one of the supported photometric interpretations.
        planar: whether the three planes follow each other, if the pixels are not compressed.
    """

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    spare_bits: int
    signed: bool
    interpretation: str
    planar: bool

    @property
    def frame_bits(self) -> int:
        """Size of a frame that is not compressed, in bits; two pixels of YBR_FULL_422 share their colour."""
        size = self.rows * self.columns * self.samples * self.bits_allocated
        return size // 3 * 2 if self.interpretation == "YBR_FULL_422" else size

    def decode(self, decoder: Decoder, data: bytes | memoryview, index: int = 0, **options: Any) -> np.ndarray:
        """Let pydicom decode one frame to (rows, columns) or (rows, columns, 3).

        Args:
            decoder: that of pydicom.
            data: the value of Pixel Data.
            index: which frame.
            options: further options of the decoder.
        """
        known = {
            "rows": self.rows,
            "columns": self.columns,
            "samples_per_pixel": self.samples,
            "bits_allocated": self.bits_allocated,
            "bits_stored": self.bits_stored,
            "photometric_interpretation": self.interpretation,
            "planar_configuration": int(self.planar),
            "pixel_representation": int(self.signed),
            "pixel_keyword": "PixelData",
            "number_of_frames": 1,
            "correct_unused_bits": False,
        }
        pixels, properties = decoder.as_array(data, index=index, **{**known, **options})
        if properties["photometric_interpretation"] in ("YBR_ICT", "YBR_RCT"):
            raise FileReadError(f"the type {self.interpretation} belongs to JPEG 2000, which this is not.")
        return pixels

    def without_unused_bits(self, pixels: np.ndarray) -> tuple[np.ndarray, int]:
        """Return the values with the bits that count, and their number; the others may hold anything (PS3.5 8.1.1).

        Many writers of a wrong High Bit store the values in the lower bits nevertheless. So it counts only if values do
        not fit there.
        """
        low, high = value_range(self.bits_stored, self.signed)
        if pixels.min() < low or pixels.max() > high:
            if self.spare_bits:
                return replace(self, spare_bits=0).without_unused_bits(pixels >> self.spare_bits)
            warn(f"values have more than the {self.bits_stored} bits of BitsStored; the upper bits are ignored.")
            unused = pixels.dtype.itemsize * 8 - self.bits_stored
            pixels = (pixels << unused) >> unused  # which extends the sign, if there is one
        return pixels, self.bits_stored

    def __str__(self) -> str:
        samples = f" x {self.samples} samples" if self.samples > 1 else ""
        return (
            f"{self.rows} rows x {self.columns} columns{samples} of {self.bits_allocated} bits ({self.interpretation})"
        )


def value_range(bits: int, signed: bool) -> tuple[int, int]:
    """Return the smallest and the largest value that so many bits hold.

    Args:
        bits: their number.
        signed: whether the values are signed.

    Example:
        >>> value_range(12, False), value_range(12, True)
        ((0, 4095), (-2048, 2047))
    """
    low = -(2 ** (bits - 1)) if signed else 0
    return low, low + 2**bits - 1


def read_layout(dataset: Dataset) -> PixelLayout:
    """Read the layout from the header.

    Args:
        dataset: a pydicom data set.

    Returns:
        The layout. If High Bit contradicts Bits Stored, there is a warning.

    Raises:
        FileReadError: if a value is missing, makes no sense, or belongs to an image that is not supported.
    """
    rows, columns = _at_least_1(dataset, "Rows"), _at_least_1(dataset, "Columns")
    interpretation = text(dataset, "PhotometricInterpretation")
    if interpretation is None:
        raise FileReadError("PhotometricInterpretation is missing.")
    if interpretation not in _SAMPLES:
        raise FileReadError(
            f"the photometric interpretation {interpretation:.40} is not supported, only {', '.join(_SAMPLES)} are."
        )
    samples = _at_least_1(dataset, "SamplesPerPixel")
    if samples != _SAMPLES[interpretation]:
        raise FileReadError(
            f"SamplesPerPixel is {samples}, but an image of type {interpretation} has {_SAMPLES[interpretation]}."
        )
    representation = _required(dataset, "PixelRepresentation")
    if representation > 1:
        raise FileReadError(f"PixelRepresentation is {representation}, expected 0 (unsigned) or 1 (signed).")
    allocated, stored = _at_least_1(dataset, "BitsAllocated"), _at_least_1(dataset, "BitsStored")
    if allocated not in (1, 8, 16, 32) or stored > allocated:
        raise FileReadError(
            f"BitsAllocated is {allocated} and BitsStored {stored}; expected 1, 8, 16 or 32, and no more stored."
        )
    high_bit = optional(whole_number, dataset, "HighBit")
    spare = 0 if high_bit is None else high_bit + 1 - stored
    if spare != 0:
        warn(
            f"HighBit is {high_bit}, but BitsStored {stored}: the lower {stored} bits are read, or those from HighBit "
            "down if values have more, which may be wrong."
        )
    spare = spare if 0 < spare <= allocated - stored else 0
    planar = _is_planar(dataset, samples)
    return PixelLayout(rows, columns, samples, allocated, stored, spare, representation == 1, interpretation, planar)


def _is_planar(dataset: Dataset, samples: int) -> bool:
    if samples == 1:
        return False
    planar = whole_number(dataset, "PlanarConfiguration")
    if planar is None:
        warn("PlanarConfiguration is missing; the pixels are taken as red, green, blue, red, green, blue and so on.")
    elif planar > 1:
        raise FileReadError(f"PlanarConfiguration is {planar}, expected 0 or 1.")
    return planar == 1


def _at_least_1(dataset: Dataset, keyword: str) -> int:
    value = _required(dataset, keyword)
    if value == 0:
        raise FileReadError(f"{keyword} is 0, expected 1 or more.")
    return value


def _required(dataset: Dataset, keyword: str) -> int:
    value = whole_number(dataset, keyword)
    if value is None:
        raise FileReadError(f"{keyword} is missing.")
    return value
