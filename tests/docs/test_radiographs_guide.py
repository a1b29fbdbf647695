# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The code of docs/radiographs.md runs on a folder as its commands make one."""

from __future__ import annotations

import re

import numpy as np
from PIL import Image

from monai_debias.data import build_folder_datalist
from tests.docs.guides import block, read_guide, run_code

GUIDE = read_guide("radiographs")


def test_the_code_reads_what_the_command_made(tmp_path, monkeypatch):
    for number, name in enumerate(("covid", "normal")):
        (tmp_path / "films" / name).mkdir(parents=True)
        for patient in range(5):
            film = np.full((40, 32), 60 * number + patient, np.uint8)
            Image.fromarray(film).save(tmp_path / "films" / name / f"p{patient}.png")
    monkeypatch.chdir(tmp_path)
    readers = re.findall(r"--reader (\S+)", GUIDE)
    assert len(set(readers)) == 1
    build_folder_datalist("films", patient_regex="(p.)", reader=readers[0])
    scope: dict = {}
    run_code(block(GUIDE, "python"), scope)
    assert len(scope["training"]) > 0
    for sample in scope["training"]:
        assert sample["image"].shape == (1, 224, 224)
        assert 0 <= sample["image"].min() <= sample["image"].max() <= 1
