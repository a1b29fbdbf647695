# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib.metadata

import torch

from monai_debias.command_line import diagnosis, doctor

EXAMPLES = {doctor: {}}


def test_it_tells_what_there_is():
    report = doctor()
    assert report.startswith(f"monai-debias {importlib.metadata.version('monai-debias')}, Python 3.")
    assert ("GPU         none" in report) != torch.cuda.is_available()
    assert "core        complete" in report
    assert "reads uncompressed files, RLE Lossless" in report


def test_it_tells_what_is_missing_or_too_old_and_how_to_get_it(monkeypatch):
    needs = ["torch>=2.10", "monai>=99.0", 'no-such-package>=1; extra == "ecg"']
    monkeypatch.setattr(diagnosis, "requires", lambda name: needs)
    report = doctor()
    assert f"core        monai is {importlib.metadata.version('monai')}, expected >=99.0; pip install" in report
    assert "ecg         no-such-package is missing; pip install 'monai-debias[ecg]'" in report
