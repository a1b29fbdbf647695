# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Ultrasound in DICOM files: whether a file is one, its frames, and what their pixels measure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from monai_debias.apps.ultrasound.regions import read_regions, spacing_from_regions
from monai_debias.data.dicom.pixels import DicomPixels
from monai_debias.data.dicom.values import numbers, optional, positive_numbers, text
from monai_debias.data.reading import FileReadError, NotUltrasoundError, warn

if TYPE_CHECKING:
    from pydicom import Dataset, FileDataset
    from pydicom.uid import UID

__all__ = ["DicomClip", "read_dicom"]

_NOT_DICOM = "is not a DICOM file (nor does its suffix tell of another format)"
_FLOATS = ("FloatPixelData", "DoubleFloatPixelData")
_MODALITIES = ("US", "IVUS")
_SOP_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.6.1",  # Ultrasound Image Storage
    "1.2.840.10008.5.1.4.1.1.3.1",  # Ultrasound Multi-frame Image Storage
    "1.2.840.10008.5.1.4.1.1.6",  # both, as they were before 1994, retired
    "1.2.840.10008.5.1.4.1.1.3",
)
_ENHANCED_VOLUME = "1.2.840.10008.5.1.4.1.1.6.2"
_FRAME_TIME_VECTOR = 0x00181065


class DicomClip:
    """An ultrasound still or clip in a DICOM data set.

    Args:
        dataset: a pydicom data set with PixelData.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._pixels = DicomPixels(dataset)
        self.n_frames = self._pixels.n_frames

    @property
    def frame_bytes(self) -> int:
        """Size of the largest decoded frame in bytes."""
        return self._pixels.frame_bytes

    @property
    def patient_id(self) -> str:
        """The Patient ID, "" if there is none that can be read; never to be printed."""
        from pydicom.config import disable_value_validation

        try:
            with disable_value_validation():  # whose warnings quote the value
                return str(self._dataset.get("PatientID") or "").strip()
        except Exception:  # noqa: BLE001 - of any type, and with the value in its message
            return ""

    def decode(self, indices: Sequence[int] | None = None) -> Iterator[np.ndarray]:
        """Yield the frames with these indices, None for all, see :class:`DicomPixels`."""
        return map(self._pixels.frame, range(self.n_frames) if indices is None else indices)

    def meta(self, rows: int, columns: int) -> dict[str, Any]:
        """Return ``ultrasound_regions``, and ``spacing`` and ``frame_time`` if the header gives them."""
        regions = read_regions(self._dataset)
        meta: dict[str, Any] = {"ultrasound_regions": regions}
        spacing: tuple[float, ...] | None = spacing_from_regions(regions, rows, columns)
        # Pixel Spacing is a fallback for files without regions: beside regions that do not fit, as stale as they are
        if spacing is None and not regions:
            spacing = optional(positive_numbers(2), self._dataset, "PixelSpacing")
        if spacing is not None:
            meta["spacing"] = torch.tensor(spacing, dtype=torch.float64)
        frame_time = _frame_time(self._dataset, self.n_frames)
        if frame_time is not None:
            meta["frame_time"] = frame_time
        return meta


def read_dicom(path: Path) -> DicomClip:
    """Read a DICOM file and check that it is an ultrasound still or clip; the pixels are not decoded.

    Args:
        path: the file.

    Returns:
        The clip.

    Raises:
        FileReadError: if it is not DICOM, not ultrasound, a volume, or has no pixels.
    """
    from pydicom.uid import UID

    dataset = _open(path)
    modality = optional(text, dataset, "Modality")
    # what a header that was cut short or damaged has lost is left in the part of the file before it
    sop_class = optional(text, dataset, "SOPClassUID") or optional(text, dataset.file_meta, "MediaStorageSOPClassUID")
    class_name = UID(sop_class or "").name  # a UID that is not in the standard is its own name
    if modality is None and class_name == (sop_class or ""):
        raise FileReadError("has neither a modality nor a known SOP class: the file was cut short, or is damaged")
    found = f"modality {modality or 'none':.40}, {class_name or 'no SOP class'}"
    if modality not in _MODALITIES and sop_class not in _SOP_CLASSES:
        raise NotUltrasoundError(f"is not ultrasound ({found})")
    if sop_class == _ENHANCED_VOLUME:
        raise FileReadError(f"is an ultrasound volume ({found}), expected a still or a clip")
    if "PixelData" not in dataset and sop_class is not None and sop_class not in _SOP_CLASSES:
        raise NotUltrasoundError(f"is not an ultrasound image ({found}, without pixels)")  # a report of an examination
    if "PixelData" not in dataset:
        raise FileReadError(f"has no pixels ({found}): {_why_no_pixels(dataset)}")
    return DicomClip(dataset)


def _open(path: Path) -> FileDataset:
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        dataset = pydicom.dcmread(path)
    except InvalidDicomError:
        dataset = _open_without_preamble(path)
    if not any(name in dataset for name in ("PixelData", *_FLOATS)):
        # of a compressed file that was cut short, pydicom returns the header only if asked for it alone
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = _guess_syntax(dataset)
    return dataset


def _open_without_preamble(path: Path) -> FileDataset:
    """Open what may be a data set without the preamble that tells DICOM files from others.

    pydicom reads any bytes as elements if it is forced to, so it counts if it has what an image must have.
    """
    import pydicom

    try:
        dataset = pydicom.dcmread(path, force=True)
        is_image = "PixelData" in dataset and text(dataset, "SOPClassUID") is not None
    except Exception as error:  # other formats may raise anything
        raise NotUltrasoundError(_NOT_DICOM) from error
    if not is_image:
        raise NotUltrasoundError(_NOT_DICOM)
    return dataset


def _guess_syntax(dataset: FileDataset) -> UID:
    """Return how elements are encoded of which the file does not say it: as pydicom found out when it read them."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if "PixelData" in dataset and dataset["PixelData"].is_undefined_length:
        raise FileReadError("does not say how its pixels are compressed (Transfer Syntax UID is missing)")
    is_implicit, is_little_endian = dataset.original_encoding
    if is_implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if is_little_endian else ExplicitVRBigEndian


def _why_no_pixels(dataset: Dataset) -> str:
    others = [name for name in _FLOATS if name in dataset]
    if others:
        return f"{others[0]}, which it has, is not used for ultrasound"
    if any(element.tag.group >> 8 == 0x60 for element in dataset.group_dataset(0x6000)):
        return "it has an overlay only"
    return "the file was cut short, or stored without them"


def _frame_time(dataset: Dataset, n_frames: int) -> float | None:
    """Return the milliseconds between two frames by the first element that tells them, None if none does."""
    time = optional(positive_numbers(1), dataset, "FrameTime")
    pointers = optional(numbers, dataset, "FrameIncrementPointer") or ()  # to the element that holds, if there are two
    if time is not None and _FRAME_TIME_VECTOR not in pointers:
        return time[0]
    times = optional(numbers, dataset, "FrameTimeVector")
    if times is not None and n_frames > 1:
        if len(times) == n_frames and min(times[1:]) > 0:  # the first frame has none before it
            return sum(times[1:]) / (n_frames - 1)
        warn(f"FrameTimeVector has {len(times)} values, not all above 0, for {n_frames} frames; it counts as unknown")
    if time is not None:
        return time[0]
    rate = optional(positive_numbers(1), dataset, "CineRate")
    return None if rate is None else 1000.0 / rate[0]
