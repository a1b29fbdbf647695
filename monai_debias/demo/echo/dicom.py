# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Write a rendered echo clip as the file that a scanner would write: DICOM Ultrasound Multi-frame, JPEG Baseline."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import JPEGBaseline8Bit, UltrasoundMultiFrameImageStorage, generate_uid

from monai_debias.demo.echo.overlay import Screen
from monai_debias.demo.echo.scanners import Scanner
from monai_debias.demo.echo.sector import ScanConverter

__all__ = ["write_echo_dicom"]

_JPEG_QUALITY = 88
_DATE = "20240101"  # fixed, so that the same seed gives the same bytes


def write_echo_dicom(
    path: Path,
    clip: NDArray[np.uint8],
    scanner: Scanner,
    converter: ScanConverter,
    screen: Screen,
    patient_id: str,
    uid_source: Sequence[str],
) -> None:
    """Write a clip as DICOM Ultrasound Multi-frame Image Storage with JPEG Baseline frames.

    Args:
        path: file to write; its folder exists, the file does not.
        clip: uint8, (frames, rows, columns, 3) in RGB. Stored as YBR_FULL_422, or as MONOCHROME2 for a grey scanner.
        scanner: named in the header; decides whether the header has the ultrasound regions.
        converter: the sector's geometry.
        screen: depth of the sector, heart rate and time between frames.
        patient_id: synthetic patient id; the study is one per patient.
        uid_source: what makes the file unique, the cohort's seed first; the UIDs are hashes of it.

    Raises:
        FileExistsError: when the file exists.
        ValueError: when the clip has another shape or type.
    """
    if clip.dtype != np.uint8 or clip.ndim != 4 or clip.shape[3] != 3:
        raise ValueError(f"expected a uint8 clip (frames, rows, columns, 3), got {clip.dtype} {clip.shape}.")
    if path.exists():
        raise FileExistsError(f"{path} exists and is not overwritten; remove it, or write to another path.")
    ds = Dataset()
    _identify(ds, scanner, patient_id, uid_source)
    _describe(ds, clip.shape, scanner, screen)
    if scanner.regions:
        ds.SequenceOfUltrasoundRegions = DicomSequence([_region(converter, screen.depth)])
    _fill(ds, clip)
    ds.save_as(path, enforce_file_format=True, overwrite=False)


def _identify(ds: Dataset, scanner: Scanner, patient_id: str, uid_source: Sequence[str]) -> None:
    """The modules Patient, General Study, General Series, General Equipment and SOP Common."""
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID = UltrasoundMultiFrameImageStorage
    ds.SOPInstanceUID = generate_uid(entropy_srcs=["instance", *uid_source])
    ds.StudyInstanceUID = generate_uid(entropy_srcs=["study", uid_source[0], patient_id])
    ds.SeriesInstanceUID = generate_uid(entropy_srcs=["series", *uid_source])
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = _DATE
    ds.StudyTime = ds.SeriesTime = ds.ContentTime = "120000"
    ds.StudyDescription = "Semi-synthetic phantom, no patient data"
    ds.AccessionNumber = ds.ReferringPhysicianName = ""
    ds.StudyID = "1"
    ds.SeriesNumber = ds.InstanceNumber = 1
    ds.Modality = "US"
    ds.Manufacturer = scanner.manufacturer
    ds.ManufacturerModelName = scanner.model
    ds.SoftwareVersions = "monai-debias demo cohort"
    ds.PatientName = f"DEMO^{patient_id}"
    ds.PatientID = patient_id
    ds.PatientBirthDate = ds.PatientSex = ds.PatientOrientation = ds.Laterality = ""


def _describe(ds: Dataset, shape: tuple[int, ...], scanner: Scanner, screen: Screen) -> None:
    """The modules Cine, Multi-frame, Image Pixel (except the pixels) and US Image."""
    ds.NumberOfFrames, ds.Rows, ds.Columns = shape[:3]
    ds.FrameTime = f"{screen.frame_time:.6g}"
    ds.CineRate = ds.RecommendedDisplayFrameRate = round(1000 / screen.frame_time)
    ds.FrameIncrementPointer = 0x00181063  # FrameTime
    ds.HeartRate = round(screen.heart_rate)
    ds.SamplesPerPixel = 3 if scanner.colour else 1
    ds.PhotometricInterpretation = "YBR_FULL_422" if scanner.colour else "MONOCHROME2"
    if scanner.colour:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    ds.ImageType = ["ORIGINAL", "PRIMARY", "", "0001"]
    ds.UltrasoundColorDataPresent = 0
    ds.BurnedInAnnotation = "YES"


def _fill(ds: Dataset, clip: NDArray[np.uint8]) -> None:
    """The compressed pixels, and the elements that describe the compression."""
    encoded = [_jpeg(frame, colour=ds.SamplesPerPixel == 3) for frame in clip]
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    ds.LossyImageCompression = "01"
    ds.LossyImageCompressionMethod = "ISO_10918_1"
    pixels = ds.NumberOfFrames * ds.Rows * ds.Columns * ds.SamplesPerPixel
    ds.LossyImageCompressionRatio = f"{pixels / sum(map(len, encoded)):.4g}"
    ds.PixelData = encapsulate(encoded)
    ds["PixelData"].VR = "OB"


def _region(converter: ScanConverter, depth: float) -> Dataset:
    """The rectangle around the sector, in cm (unit 3), its origin at the middle of the probe's face."""
    row, column = np.nonzero(converter.mask)
    sector = converter.sector
    region = Dataset()
    region.RegionSpatialFormat = region.RegionDataType = 1  # 2-D, tissue
    region.RegionFlags = 2  # opaque, scan converted
    region.RegionLocationMinX0, region.RegionLocationMinY0 = int(column.min()), int(row.min())
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = int(column.max()), int(row.max())
    region.ReferencePixelX0 = round(sector.apex_column) - int(column.min())
    region.ReferencePixelY0 = round(sector.apex_row + sector.start) - int(row.min())
    region.ReferencePixelPhysicalValueX = region.ReferencePixelPhysicalValueY = 0.0
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3  # cm
    region.PhysicalDeltaX = region.PhysicalDeltaY = depth / (sector.radius - sector.start)
    return region


def _jpeg(frame: NDArray[np.uint8], colour: bool) -> bytes:
    buffer = io.BytesIO()
    picture = Image.fromarray(frame) if colour else Image.fromarray(frame).convert("L")
    picture.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling="4:2:2")
    return buffer.getvalue()
