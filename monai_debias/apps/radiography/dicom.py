# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Radiographs in DICOM files: whether a file is a radiograph, its projection, and its pixel spacing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_debias.apps.radiography.grey_scale import FilmPixels
from monai_debias.apps.radiography.projection import read_projection
from monai_debias.data.dicom.clip import DicomClip
from monai_debias.data.dicom.dataset import open_dicom, read_content, require_pixels
from monai_debias.data.dicom.values import optional, positive_numbers, text
from monai_debias.data.reading import UnrelatedFileError

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["RadiographClip", "read_radiograph"]

_MODALITIES = ("CR", "DX", "RG")
_CAPTURES = ("SC", "OT", None)  # a secondary capture of another modality is a picture of that
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7."  # those of several frames have a further number
_SOP_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography Image Storage
    "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray Image Storage - For Presentation
)
_RAW = "1.2.840.10008.5.1.4.1.1.1.1.1"  # … - For Processing
_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")


class RadiographClip(DicomClip):
    """A radiograph in a DICOM data set.

    Args:
        dataset: a pydicom data set with PixelData.
        window: which of several windows or VOI LUTs of a grey film, from 0.

    Attributes:
        projection: what the header says of the projection.
    """

    def __init__(self, dataset: Dataset, window: int = 0) -> None:
        is_grey = (text(dataset, "PhotometricInterpretation") or "").startswith("MONOCHROME")
        super().__init__(dataset, FilmPixels(dataset, window) if is_grey else None)
        self.projection = read_projection(dataset)
        self._spacing_source = ""

    def spacing(self, rows: int, columns: int) -> tuple[float, ...] | None:
        """The spacing of pixels in mm, (row, column), by the first element that gives one; None if none does."""
        for keyword in _SPACINGS:
            found = optional(positive_numbers(2), self._dataset, keyword)
            if found is not None:
                self._spacing_source = keyword
                return found
        return None

    def meta(self, rows: int, columns: int) -> dict[str, Any]:
        """Return what the header says, see :class:`~monai_debias.apps.radiography.reader.RadiographReader`."""
        meta = super().meta(rows, columns)
        return {**meta, **self.projection.meta(), "spacing_source": self._spacing_source}


def read_radiograph(path: Path, window: int = 0) -> RadiographClip:
    """Read a DICOM file and check that it is a radiograph; the pixels are not decoded.

    Args:
        path: the file.
        window: which of several windows or VOI LUTs, from 0.

    Returns:
        The radiograph.

    Raises:
        UnrelatedFileError: if it is not DICOM, not a radiograph, or has raw detector values.
        FileReadError: if it has no pixels, or its header makes no sense.
    """
    dataset = open_dicom(path)
    content = read_content(dataset)
    is_capture = f"{content.sop_class}.".startswith(_SECONDARY_CAPTURE) and content.modality in _CAPTURES
    if not (is_capture or content.modality in _MODALITIES or content.sop_class in (*_SOP_CLASSES, _RAW)):
        raise UnrelatedFileError(f"is neither CR, DX, RG nor a secondary capture ({content}).")
    intent = optional(text, dataset, "PresentationIntentType")
    if content.sop_class == _RAW or intent == "FOR PROCESSING":
        raise UnrelatedFileError("has the raw values of the detector (for processing), expected an image to look at.")
    require_pixels(dataset, content)
    return RadiographClip(dataset, window)
