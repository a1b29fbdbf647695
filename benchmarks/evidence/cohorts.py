# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Cohorts that a testbed generates once, and keeps in the folder ``benchmarks/cohorts``.

Delete it when the code that makes them has changed. If two workers need the same cohort, the second waits.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from filelock import FileLock

from benchmarks.csv_file import ROOT
from monai_debias.demo.default_cohort import generate_once

COHORTS = ROOT / "benchmarks" / "cohorts"


def kept_cohort(name: str, build: Callable[[Path], Path]) -> Path:
    """The folder of a cohort, which is written by a function of its path if it is not there."""
    return Path(generate_once(COHORTS / name, build))


def kept_tensors(file: Path, make: Callable[[], tuple[torch.Tensor, ...]]) -> tuple[torch.Tensor, ...]:
    """Tensors from a file, which is written with those of a function if it is not there."""
    with FileLock(f"{file}.lock"):
        if not file.exists():
            partial = file.with_suffix(".partial")  # a kill leaves no half of a file under the name
            torch.save(tuple(make()), partial)
            partial.replace(file)
    return torch.load(file, weights_only=True)
