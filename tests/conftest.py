# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What tests of several parts share: DICOM files, folders that are filled once, and the results of two processes."""

from __future__ import annotations

import gc
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

from tests import two_processes


def pytest_collection_finish() -> None:
    """Take what stays until the end anyway out of each garbage collection, and of each fork of a worker process."""
    gc.freeze()


US_STILL = "1.2.840.10008.5.1.4.1.1.6.1"
US_CLIP = "1.2.840.10008.5.1.4.1.1.3.1"


def _region(**changes):
    values = {
        "RegionSpatialFormat": 1,
        "RegionDataType": 1,
        "RegionFlags": 0,
        "RegionLocationMinX0": 2,
        "RegionLocationMinY0": 1,
        "RegionLocationMaxX1": 20,
        "RegionLocationMaxY1": 15,
        "PhysicalUnitsXDirection": 3,
        "PhysicalUnitsYDirection": 3,
        "PhysicalDeltaX": 0.05,
        "PhysicalDeltaY": 0.04,
    }
    item = Dataset()
    for keyword, value in {**values, **changes}.items():
        if value is not None:
            setattr(item, keyword, value)
    return item


@pytest.fixture(scope="session")
def region():
    """Make an ultrasound region; a keyword of None leaves the attribute out."""
    return _region


@pytest.fixture(scope="session")
def write_dicom():
    """Write (frames, rows, columns[, 3]) or (rows, columns) pixels as an ultrasound DICOM file."""

    def write(path, pixels, photometric="MONOCHROME2", bits=None, jpeg=False, regions=(), clip=None, **attributes):
        pixels = np.asarray(pixels)
        color = pixels.shape[-1] == 3
        clip = pixels.ndim - color == 3 if clip is None else clip
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit if jpeg else ExplicitVRLittleEndian
        ds.SOPClassUID = US_CLIP if clip else US_STILL
        ds.SOPInstanceUID = generate_uid()
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.Modality = "US"
        ds.PatientName = "Doe^Jane"
        ds.PatientID = "SECRET-17"
        ds.PatientBirthDate = "19500203"
        frames = pixels if clip else pixels[None]
        if clip:
            ds.NumberOfFrames = len(frames)
        ds.Rows, ds.Columns = frames.shape[1:3]
        ds.SamplesPerPixel = 3 if color else 1
        ds.PhotometricInterpretation = photometric
        if color:
            ds.PlanarConfiguration = 0
        ds.BitsAllocated = pixels.dtype.itemsize * 8
        ds.BitsStored = bits or ds.BitsAllocated
        ds.HighBit = ds.BitsStored - 1
        ds.PixelRepresentation = 0
        if regions:
            ds.SequenceOfUltrasoundRegions = list(regions)
        for keyword, value in attributes.items():
            setattr(ds, keyword, value)
        if jpeg:
            ds.PixelData = encapsulate([_jpeg(frame) for frame in frames])
            ds["PixelData"].VR = "OB"
        else:
            ds.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
            ds["PixelData"].VR = "OB" if ds.BitsAllocated == 8 else "OW"
        ds.save_as(path, enforce_file_format=True)
        return path

    return write


def _jpeg(frame):
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(frame).save(stream, format="JPEG", quality=95)
    return stream.getvalue()


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """``made_once(name, fill)`` is a folder that ``fill(folder)`` fills once for all workers of pytest-xdist."""
    own = tmp_path_factory.getbasetemp()
    of_all = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def make(name: str, fill: Callable[[Path], object]) -> Path:
        folder, done = of_all / name, of_all / f"{name}.done"
        with FileLock(of_all / f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                done.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def of_two_processes(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """A folder with what each of two processes of a distributed training has written."""
    return made_once("two_processes", two_processes.start)
