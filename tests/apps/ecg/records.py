# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How the tests of ECGs make, load and change records."""

from __future__ import annotations

import warnings

import numpy as np
import pydicom
import wfdb
from pydicom.data import get_testdata_file

from monai_debias.apps.ecg import STANDARD_LEADS, ECGReader
from monai_debias.data import FileReadWarning

REAL = get_testdata_file("waveform_ecg.dcm")  # 12 leads, 10 s at 1000 Hz, and a median beat


def load(path, **arguments):
    """Load a record that there is nothing to warn about."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", FileReadWarning)
        return load_loudly(path, **arguments)


def load_loudly(path, reader=ECGReader, **arguments):
    made = reader(**arguments)
    return made.get_data(made.read(path))


def real_leads(seconds=10.0, rate=500):
    """The first seconds of the real record in mV, (leads, samples)."""
    return (pydicom.dcmread(REAL).waveform_array(0).T / 1000)[:, : round(seconds * 1000) : 1000 // rate]


def write_wfdb(folder, name, signals, leads=STANDARD_LEADS, unit="mV", rate=500, **options):
    """Write a record; the header's path is returned."""
    units = [unit] * len(signals) if isinstance(unit, str) else unit
    given = {"fmt": ["16"] * len(signals), "comments": ["Age: 61", "Name: Doe, Jane"], **options}
    wfdb.wrsamp(
        name, fs=rate, units=units, sig_name=list(leads), p_signal=np.asarray(signals).T, write_dir=str(folder), **given
    )
    return folder / f"{name}.hea"


def change_header(header, old, new):
    text = header.read_text()
    assert old in text
    header.write_text(text.replace(old, new))
    return header
