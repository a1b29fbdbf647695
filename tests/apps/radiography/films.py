# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How the tests of radiographs load and change files."""

from __future__ import annotations

import warnings

import numpy as np
import pydicom

from monai_debias.apps.radiography import RadiographReader
from monai_debias.data import FileReadWarning

GREY = np.random.RandomState(0).randint(0, 256, (16, 24), dtype=np.uint8)


def load(path, **arguments):
    reader = RadiographReader(**arguments)
    return reader.get_data(reader.read(path))


def load_silently(path, **arguments):
    """Load a film that there is nothing to warn about."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", FileReadWarning)
        return load(path, **arguments)


def change(path, **elements):
    ds = pydicom.dcmread(path)
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    ds.save_as(path)
    return path
