# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Write a film as the file that a scanner would write: DICOM Digital X-Ray, for presentation, 12 bits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from monai_debias.demo.cxr.chest_ct import Field
from monai_debias.demo.cxr.hospitals import Hospital
from monai_debias.demo.cxr.scanners import Scanner

__all__ = ["write_film"]

_DATE = "20240101"  # fixed, so that the same seed gives the same bytes
_WHITE = 4095


def write_film(
    path: Path,
    film: Field,
    pixel: float,
    scanner: Scanner,
    hospital: Hospital,
    patient_id: str,
    uid_source: Sequence[str],
) -> None:
    """Write a film as DICOM Digital X-Ray Image Storage - For Presentation.

    Args:
        path: file to write, in place of an older one; its folder exists.
        film: (rows, columns), in [0, 1], 0 = black. A scanner of MONOCHROME1 stores it inverted and says so.
        pixel: mm between pixels on the detector.
        scanner: named in the header.
        hospital: named in the header, with its View Position.
        patient_id: synthetic patient id; the study is one per patient.
        uid_source: what makes the file unique, the cohort's seed first; the UIDs are hashes of it.
    """
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID = DigitalXRayImageStorageForPresentation
    ds.SOPInstanceUID = generate_uid(entropy_srcs=["instance", *uid_source])
    ds.StudyInstanceUID = generate_uid(entropy_srcs=["study", uid_source[0], patient_id])
    ds.SeriesInstanceUID = generate_uid(entropy_srcs=["series", *uid_source])
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = ds.AcquisitionDate = _DATE
    ds.StudyTime = ds.SeriesTime = ds.ContentTime = ds.AcquisitionTime = "120000"
    ds.StudyDescription = "Semi-synthetic film, no patient data"
    ds.AccessionNumber = ds.ReferringPhysicianName = ""
    ds.StudyID = "1"
    ds.SeriesNumber = ds.InstanceNumber = 1
    ds.Modality, ds.PresentationIntentType = "DX", "FOR PRESENTATION"
    ds.Manufacturer, ds.ManufacturerModelName = scanner.manufacturer, scanner.model
    ds.InstitutionName = f"FICTITIOUS {hospital.name}"
    ds.SoftwareVersions = "monai-debias demo cohort"
    ds.PatientName, ds.PatientID = f"DEMO^{patient_id}", patient_id
    ds.PatientBirthDate = ds.PatientSex = ""
    ds.BodyPartExamined, ds.ViewPosition, ds.ImageLaterality = "CHEST", hospital.view, "U"  # of an unpaired part
    ds.PatientOrientation = ["L", "F"]  # rows run to the patient's left, columns to the feet
    ds.BurnedInAnnotation = "YES"
    ds.ImagerPixelSpacing = [f"{pixel:.6g}"] * 2
    _fill(ds, film, scanner.photometric)
    ds.save_as(path, enforce_file_format=True)


def _fill(ds: Dataset, film: Field, photometric: str) -> None:
    """The modules DX Image and Image Pixel."""
    inverted = photometric == "MONOCHROME1"
    stored = np.round((1 - film if inverted else film) * _WHITE).astype("<u2")
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = photometric
    ds.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    ds.Rows, ds.Columns = stored.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LOG", -1 if inverted else 1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    ds.WindowCenter, ds.WindowWidth = (_WHITE + 1) // 2, _WHITE + 1
    ds.LossyImageCompression = "00"
    ds.PixelData = stored.tobytes()
