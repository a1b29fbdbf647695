# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Small images, how the reader of ultrasound reads files with them, and how a sound file becomes an odd one."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataelem import DataElement

from monai_debias.apps.ultrasound.reader import UltrasoundReader
from monai_debias.data.reading import FileReadWarning

RNG = np.random.RandomState(0)
GREY = RNG.randint(0, 256, (16, 24), dtype=np.uint8)
CLIP = RNG.randint(0, 256, (3, 16, 24), dtype=np.uint8)
RGB = RNG.randint(0, 256, (16, 24, 3), dtype=np.uint8)


def load(path, **kwargs):
    reader = UltrasoundReader(**kwargs)
    return reader.get_data(reader.read(path))


def silently(path, **kwargs):
    """Load a file that there is nothing to warn about."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", FileReadWarning)
        return load(path, **kwargs)


def change(path, **values):
    """Change elements of a file; None takes one out, and a DataElement comes as it is."""
    ds = pydicom.dcmread(path)
    for keyword, value in values.items():
        if value is None:
            del ds[keyword]
        elif isinstance(value, DataElement):
            ds[keyword] = value
        else:
            setattr(ds, keyword, value)
    ds.save_as(path)
    return path


def in_place_of(path, old, new):
    """Put bytes in the place of others of the same number, which pydicom would refuse to write."""
    content = Path(path).read_bytes()
    assert content.count(old) == 1
    assert len(old) == len(new)
    Path(path).write_bytes(content.replace(old, new))
    return path


def luminance(rgb):
    return rgb @ np.array([0.299, 0.587, 0.114])
