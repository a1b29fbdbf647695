# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Write a record in the WFDB format of PhysioNet: a header and a file of 16-bit samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from monai.utils import OptionalImportError, optional_import

from monai_debias.demo.ecg.devices import Recording
from monai_debias.demo.ecg.leads import LEADS

__all__ = ["require_wfdb", "write_wfdb"]


def require_wfdb() -> Any:
    """Return the package wfdb.

    Raises:
        OptionalImportError: when it is not installed.
    """
    wfdb, found = optional_import("wfdb")
    if not found:
        raise OptionalImportError("the ECG cohort needs the package wfdb: pip install wfdb.")
    return wfdb


def write_wfdb(path: Path, recording: Recording) -> None:
    """Write ``path``, which ends in ``.hea``, and the ``.dat`` beside it, in place of older ones."""
    require_wfdb().wrsamp(
        path.stem,
        fs=recording.rate,
        units=["mV"] * len(LEADS),
        sig_name=list(LEADS),
        d_signal=np.round(recording.signal / recording.step).astype(np.int64).T,
        fmt=["16"] * len(LEADS),
        adc_gain=[1 / recording.step] * len(LEADS),
        baseline=[0] * len(LEADS),
        comments=["Semi-synthetic record of monai-debias, no patient data"],
        write_dir=str(path.parent),
    )
