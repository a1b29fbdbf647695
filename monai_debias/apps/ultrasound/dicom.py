# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Ultrasound in DICOM files: whether a file is an ultrasound image, its regions, and its pixel spacing."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from monai_debias.apps.ultrasound.regions import read_regions, spacing_from_regions
from monai_debias.data.dicom.clip import DicomClip
from monai_debias.data.dicom.dataset import open_dicom, read_content, require_pixels
from monai_debias.data.reading import FileReadError, UnrelatedFileError

__all__ = ["UltrasoundClip", "read_ultrasound"]

_MODALITIES = ("US", "IVUS")
_SOP_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.6.1",  # Ultrasound Image Storage
    "1.2.840.10008.5.1.4.1.1.3.1",  # Ultrasound Multi-frame Image Storage
    "1.2.840.10008.5.1.4.1.1.6",  # both, retired versions
    "1.2.840.10008.5.1.4.1.1.3",
)
_ENHANCED_VOLUME = "1.2.840.10008.5.1.4.1.1.6.2"


class UltrasoundClip(DicomClip):
    """An ultrasound still or clip in a DICOM data set."""

    @cached_property
    def regions(self) -> list[dict[str, Any]]:
        """The ultrasound regions, see :func:`read_regions`."""
        return read_regions(self._dataset)

    def spacing(self, rows: int, columns: int) -> tuple[float, ...] | None:
        """The spacing according to the ultrasound regions, or to Pixel Spacing if the file has no regions.

        Regions that do not fit the image show that it was resized; Pixel Spacing is not trusted then, either.
        """
        if not self.regions:
            return super().spacing(rows, columns)
        return spacing_from_regions(self.regions, rows, columns)

    def meta(self, rows: int, columns: int) -> dict[str, Any]:
        """Return ``ultrasound_regions``, and ``spacing`` and ``frame_time`` if the header gives them."""
        return {**super().meta(rows, columns), "ultrasound_regions": self.regions}


def read_ultrasound(path: Path) -> UltrasoundClip:
    """Read a DICOM file and check that it is an ultrasound still or clip; the pixels are not decoded.

    Args:
        path: the file.

    Returns:
        The clip.

    Raises:
        UnrelatedFileError: if it is not DICOM, or not an ultrasound image.
        FileReadError: if it is a volume, or has no pixels.
    """
    dataset = open_dicom(path)
    content = read_content(dataset)
    if content.modality not in _MODALITIES and content.sop_class not in _SOP_CLASSES:
        raise UnrelatedFileError(f"is not ultrasound ({content}).")
    if content.sop_class == _ENHANCED_VOLUME:
        raise FileReadError(f"is an ultrasound volume ({content}), expected a still or a clip.")
    require_pixels(dataset, content)
    return UltrasoundClip(dataset)
