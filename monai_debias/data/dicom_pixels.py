# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Decoding of DICOM pixel data to what a screen would show, frame by frame."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from monai.utils import OptionalImportError

from monai_debias.data.reading import FileReadError

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.pixels.decoders.base import Decoder

__all__ = ["decode_frames", "to_display_range"]


def decode_frames(dataset: Dataset, indices: Sequence[int] | None = None) -> Iterator[np.ndarray]:
    """Decode frames of a DICOM image to grey or red, green and blue display values in [0, 255].

    - up to 8 bits stored: the stored values as uint8; more: the stored range is mapped to [0, 255] as float32. VOI
      windows are not applied: ultrasound is stored as it was displayed.
    - MONOCHROME1 is inverted, so that large values are bright.
    - YBR_FULL, YBR_FULL_422, YBR_ICT and YBR_RCT become RGB; PALETTE COLOR goes through its (plain or segmented)
      tables, of which the upper 8 bits count, in the byte order of the file.

    Args:
        dataset: a pydicom data set with PixelData.
        indices: which frames, from 0; None for all.

    Yields:
        Frames of shape (rows, columns) or (rows, columns, 3).

    Raises:
        FileReadError: if the pixel data is cut short or contradicts the header, or if the photometric interpretation is
            none of the above.
        OptionalImportError: if the compression needs a pydicom plugin that is not installed; it says which.

    Example:
        >>> import pydicom.examples
        >>> frame = next(decode_frames(pydicom.examples.ybr_color))
        >>> frame.shape, frame.dtype
        ((240, 320, 3), dtype('uint8'))
    """
    decoder = _get_decoder(dataset)
    expected = int(dataset.get("NumberOfFrames") or 1) if indices is None else len(indices)
    found = 0
    table: np.ndarray | None = None
    try:
        for pixels, properties in decoder.iter_array(dataset, indices=indices):
            if properties["photometric_interpretation"] == "PALETTE COLOR":
                table = _palette(dataset) if table is None else table
                first = int(dataset.RedPaletteColorLookupTableDescriptor[1])
                yield table[np.clip(pixels.astype(np.int64) - first, 0, len(table) - 1)]
            else:
                yield _display_values(pixels, properties)
            found += 1
            if found == expected:  # excess frames are not promised by the header
                return
    except (ValueError, RuntimeError, AttributeError, KeyError, IndexError, TypeError, EOFError, struct.error) as error:
        raise FileReadError(f"the pixel data cannot be decoded, is the file cut short? ({error})") from error
    raise FileReadError(f"the pixel data holds {found} of {expected} frames, the file is cut short")


def to_display_range(pixels: np.ndarray, bits: int) -> np.ndarray:
    """Map unsigned stored values of more than 8 bits to [0, 255] as float32; keep others, as uint8.

    Args:
        pixels: unsigned integers of any shape.
        bits: the number of bits that are used, so that the largest possible value is 2 ** bits - 1.

    Returns:
        An array of the same shape.

    Example:
        >>> to_display_range(np.array([0, 4095], dtype=np.uint16), bits=12)
        array([  0., 255.], dtype=float32)
    """
    if bits <= 8:
        return pixels.astype(np.uint8)
    return (pixels.astype(np.float64) * (255.0 / (2**bits - 1))).astype(np.float32)


def _get_decoder(dataset: Dataset) -> Decoder:
    from pydicom.pixels import get_decoder

    syntax = getattr(dataset, "file_meta", {}).get("TransferSyntaxUID")
    if syntax is None:
        raise FileReadError("the file does not say how its pixels are encoded (Transfer Syntax UID is missing)")
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise FileReadError(
            f"pydicom cannot decode the transfer syntax {syntax.name}; convert the file first"
        ) from error
    if not decoder.is_available:
        raise OptionalImportError(
            f"the compression {syntax.name} needs a plugin of pydicom; install one of: "
            f"{'; '.join(decoder.missing_dependencies)} (see https://pydicom.github.io, 'installing plugins')"
        )
    return decoder


def _display_values(pixels: np.ndarray, properties: dict[str, Any]) -> np.ndarray:
    interpretation, bits = properties["photometric_interpretation"], int(properties["bits_stored"])
    if properties["pixel_representation"] == 1:
        raise FileReadError("the pixels are signed, which ultrasound images are not in DICOM")
    if interpretation == "MONOCHROME1":
        pixels = (2**bits - 1) - pixels
    elif interpretation not in ("MONOCHROME2", "RGB"):
        raise FileReadError(f"the photometric interpretation {interpretation} is not supported")
    return to_display_range(pixels, bits)


def _palette(dataset: Dataset) -> np.ndarray:
    """Return the colour table (entries, 3) as uint8."""
    from pydicom.pixels import apply_color_lut

    entries, first, bits = (int(value) for value in dataset.RedPaletteColorLookupTableDescriptor)
    entries = entries or 2**16
    if "RedPaletteColorLookupTableData" in dataset:
        # not through pydicom: version 3.0 reads the tables of big-endian files in the wrong byte order
        raw = [dataset[f"{color}PaletteColorLookupTableData"].value for color in ("Red", "Green", "Blue")]
        _, little_endian = dataset.original_encoding
        dtype = ("<u2" if little_endian else ">u2") if len(raw[0]) >= 2 * entries else "u1"
        table = np.stack([np.frombuffer(values, dtype=dtype)[:entries] for values in raw], axis=-1)
    elif bits > 8 or entries <= 256:
        table = apply_color_lut(np.arange(first, first + entries), dataset)[:, :3]
    else:
        raise FileReadError(f"a segmented palette of {entries} entries with {bits} bits is not supported")
    if len(table) != entries:
        raise FileReadError(f"the palette has {len(table)} of {entries} entries")
    # some writers declare 16 bits and fill the lower 8 only
    return (table >> 8 if table.max() > 255 else table).astype(np.uint8)
