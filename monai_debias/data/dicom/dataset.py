# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The data set of a DICOM file: whether the file is one, what it shows, and whether it has pixels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from monai_debias.data.dicom.values import optional, text
from monai_debias.data.reading import FileReadError, UnrelatedFileError

if TYPE_CHECKING:
    from pydicom import Dataset, FileDataset
    from pydicom.uid import UID

__all__ = ["Content", "open_dicom", "patient_id", "read_content", "require_pixels"]

_NOT_DICOM = "is not a DICOM file, and its suffix is not that of another supported format."
_FLOATS = ("FloatPixelData", "DoubleFloatPixelData")


class Content(NamedTuple):
    """What a data set says about what it shows.

    Attributes:
        modality: such as ``"US"``; None if it is unknown.
        sop_class: UID of the kind of object; None if it is unknown.
        class_name: name of the SOP class in the standard; "" if it is unknown, the UID if the standard has no name.
    """

    modality: str | None
    sop_class: str | None
    class_name: str

    def __str__(self) -> str:
        return f"modality {self.modality or 'none':.40}, {self.class_name or 'no SOP class'}"


def open_dicom(path: Path) -> FileDataset:
    """Open a DICOM file, with or without the preamble and the file meta; the pixels are not decoded.

    Args:
        path: the file.

    Raises:
        UnrelatedFileError: if it is not DICOM.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        dataset = pydicom.dcmread(path)
    except InvalidDicomError:
        dataset = _open_without_preamble(path)
    if not any(name in dataset for name in ("PixelData", "WaveformSequence", *_FLOATS)):
        # of a compressed file that was cut short, pydicom returns the header only if asked for it alone
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = _guess_syntax(dataset)
    return dataset


def read_content(dataset: FileDataset) -> Content:
    """Read the modality and the SOP class.

    Args:
        dataset: from :func:`open_dicom`.

    Raises:
        FileReadError: if the header has neither.
    """
    from pydicom.uid import UID

    modality = optional(text, dataset, "Modality")
    # the file meta before it still has what a header that was cut short or damaged has lost
    sop_class = optional(text, dataset, "SOPClassUID") or optional(text, dataset.file_meta, "MediaStorageSOPClassUID")
    class_name = UID(sop_class or "").name  # a UID that is not in the standard is its own name
    if modality is None and class_name == (sop_class or ""):
        raise FileReadError("has neither a modality nor a known SOP class: the file was cut short, or is damaged.")
    return Content(modality, sop_class, class_name)


def require_pixels(dataset: Dataset, content: Content) -> None:
    """Check that there is an image to decode.

    Args:
        dataset: from :func:`open_dicom`.
        content: from :func:`read_content`.

    Raises:
        UnrelatedFileError: if the SOP class is one without pixels, such as a report.
        FileReadError: if the pixels are missing.
    """
    if "PixelData" in dataset:
        return
    if content.class_name and "Image Storage" not in content.class_name:
        raise UnrelatedFileError(f"is not an image ({content}, without pixels).")
    raise FileReadError(f"has no pixels ({content}): {_why_no_pixels(dataset)}.")


def patient_id(path: Path) -> str:
    """Read the Patient ID, "" if there is none that can be read; never to be printed.

    Args:
        path: any file.
    """
    import pydicom
    from pydicom.config import disable_value_validation

    try:
        with disable_value_validation():  # whose warnings quote the value
            header = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=["PatientID"])
            return str(header.get("PatientID") or "").strip()
    except Exception:  # noqa: BLE001 - of any type, and with the value in its message
        return ""


def _open_without_preamble(path: Path) -> FileDataset:
    """Open what may be a data set without the preamble that tells DICOM files from others.

    If forced, pydicom reads any bytes as elements, so only what has the elements of an image or waveform counts.
    """
    import pydicom

    try:
        dataset = pydicom.dcmread(path, force=True)
        has_content = "PixelData" in dataset or "WaveformSequence" in dataset
        is_known = has_content and text(dataset, "SOPClassUID") is not None
    except Exception as error:  # other formats may raise anything
        raise UnrelatedFileError(_NOT_DICOM) from error
    if not is_known:
        raise UnrelatedFileError(_NOT_DICOM)
    return dataset


def _guess_syntax(dataset: FileDataset) -> UID:
    """Return the encoding of a file that does not name it, as pydicom found it when reading the elements."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if "PixelData" in dataset and dataset["PixelData"].is_undefined_length:
        raise FileReadError("does not say how its pixels are compressed (Transfer Syntax UID is missing).")
    is_implicit, is_little_endian = dataset.original_encoding
    if is_implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if is_little_endian else ExplicitVRBigEndian


def _why_no_pixels(dataset: Dataset) -> str:
    others = [name for name in _FLOATS if name in dataset]
    if others:
        return f"{others[0]}, which it has, is not supported"
    if any(element.tag.group >> 8 == 0x60 for element in dataset.group_dataset(0x6000)):
        return "it has an overlay only"
    return "the file was cut short, or stored without them"
