# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What of the check for GPUs a CPU can run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.csv_file import read
from benchmarks.speed.gpu_check import gpu_check


def test_quick(tmp_path: Path, capsys) -> None:
    gpu_check(str(tmp_path), quick=True)
    printed = capsys.readouterr().out
    assert "0 checks failed" in printed
    assert printed.count("captured as eager") == 4
    rows = read(tmp_path / "steps.csv")
    kinds = {row["variant"]: float(row["kernels"]) for row in rows}
    assert set(kinds) == {f"{what}, {how}" for what in ("plain", "selective") for how in ("captured", "eager")}
    assert kinds["selective, eager"] > kinds["plain, eager"] > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no CUDA device"):
        gpu_check(str(tmp_path))
