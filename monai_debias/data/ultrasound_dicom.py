# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The header of an ultrasound DICOM file: whether it is one, and what its pixels measure."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_debias.data.reading import FileReadError, NotUltrasoundError
from monai_debias.data.ultrasound_regions import read_regions, spacing_from_regions

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["dicom_meta", "read_dicom"]

_MODALITIES = ("US", "IVUS")
_SOP_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.6.1",  # Ultrasound Image Storage
    "1.2.840.10008.5.1.4.1.1.3.1",  # Ultrasound Multi-frame Image Storage
    "1.2.840.10008.5.1.4.1.1.6",  # both, as they were before 1994, retired
    "1.2.840.10008.5.1.4.1.1.3",
)
_ENHANCED_VOLUME = "1.2.840.10008.5.1.4.1.1.6.2"


def read_dicom(path: Path) -> Dataset:
    """Read a DICOM file and check that it is an ultrasound still or clip; the pixels are not decoded.

    Args:
        path: the file.

    Returns:
        The pydicom data set.

    Raises:
        FileReadError: if it is not DICOM, not ultrasound, a volume, or has no pixels.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        dataset = pydicom.dcmread(path)
        if "PixelData" not in dataset:
            # of a compressed file that was cut short, pydicom returns the header only if asked for it alone
            dataset = pydicom.dcmread(path, stop_before_pixels=True)
    except InvalidDicomError as error:
        raise NotUltrasoundError("is not a DICOM file (nor does its suffix tell of another format)") from error
    except (ValueError, EOFError, KeyError, NotImplementedError, struct.error) as error:
        raise FileReadError(f"the DICOM header cannot be read, is the file cut short? ({error})") from error
    modality = dataset.get("Modality") or "none"
    sop_class = dataset.get("SOPClassUID")
    found = f"modality {modality}, {getattr(sop_class, 'name', 'no SOP class')}"
    if modality not in _MODALITIES and sop_class not in _SOP_CLASSES:
        raise NotUltrasoundError(f"is not ultrasound ({found})")
    if sop_class == _ENHANCED_VOLUME:
        raise FileReadError(f"is an ultrasound volume ({found}), expected a still or a clip")
    if "PixelData" not in dataset:
        size = f"{dataset.get('Rows', 'no')} rows and {dataset.get('Columns', 'no')} columns"
        raise FileReadError(f"has no pixels ({found}; the header tells of {size}). Was the file cut short?")
    return dataset


def dicom_meta(dataset: Dataset, rows: int, columns: int) -> dict[str, Any]:
    """Read what the header says about space and time.

    Args:
        dataset: what :func:`read_dicom` returned.
        rows: height of the image in pixels.
        columns: width of the image in pixels.

    Returns:
        ``ultrasound_regions``, and ``spacing`` and ``frame_time`` if they are known, see
        :class:`~monai_debias.data.ultrasound_reader.UltrasoundReader`.
    """
    regions = read_regions(dataset)
    meta: dict[str, Any] = {"ultrasound_regions": regions}
    spacing = spacing_from_regions(regions, rows, columns)
    # Pixel Spacing is a fallback for files without regions: beside regions that do not fit, it is as stale as they are
    if spacing is None and not regions and dataset.get("PixelSpacing"):
        row, column = (float(value) for value in dataset.PixelSpacing)
        spacing = (row, column)
    if spacing is not None and min(spacing) > 0:
        meta["spacing"] = np.asarray(spacing)
    if dataset.get("FrameTime"):
        meta["frame_time"] = float(dataset.FrameTime)
    elif dataset.get("CineRate"):
        meta["frame_time"] = 1000.0 / float(dataset.CineRate)
    return meta
