# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib.metadata
import re

import pytest
import torch
from pydicom.pixels import get_decoder
from pydicom.uid import JPEG2000, JPEGLossless, JPEGLSLossless

from monai_debias.command_line import diagnosis, doctor
from monai_debias.data.dicom.stored import packages_of

EXAMPLES = {doctor: {}}


def test_it_tells_what_there_is():
    report = doctor()
    assert report.startswith(f"monai-debias {importlib.metadata.version('monai-debias')}, Python 3.")
    assert ("GPU         none" in report) != torch.cuda.is_available()
    assert "core        complete" in report
    assert "reads uncompressed files, RLE Lossless" in report


@pytest.mark.parametrize("syntax", [JPEGLossless, JPEGLSLossless, JPEG2000])
def test_what_pip_is_to_install_are_names_alone(syntax):
    """A ``>=`` would write a file in a shell."""
    names = packages_of(get_decoder(syntax)).split()
    assert names
    assert all(re.fullmatch(r"[a-z][a-z-]+", name) for name in names)


def test_it_tells_what_is_missing_or_too_old_and_how_to_get_it(monkeypatch):
    needs = ["torch>=2.10", "monai>=99.0", 'no-such-package>=1; extra == "ecg"', 'no-linter>=1; extra == "dev"']
    monkeypatch.setattr(diagnosis, "requires", lambda name: needs)
    report = doctor()
    installed = importlib.metadata.version("monai")
    assert f"core        monai is {installed}, expected >=99.0: pip install 'monai>=99.0'\n" in report
    assert "ecg         no-such-package is missing: pip install 'no-such-package>=1'\n" in report
    assert "no-linter" not in report  # which only contributors need
