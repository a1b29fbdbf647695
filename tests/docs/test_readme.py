# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The code in the README, run as it is printed there."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import DataLoader
from monai.utils import set_determinism
from PIL import Image

from monai_debias.__main__ import main
from monai_debias.overlays import NAMES, overlays
from tests import processes
from tests.bundles.guest_bundles import SMALL, make_guest
from tests.docs.guides import ROOT, block, run_code, train_with_overlay

README = (ROOT / "README.md").read_text(encoding="utf-8")
SNIPPET = block(README, "diff", "RandBackMixd").splitlines()
COUNTS = {"Four": 4, "Five": 5, "Six": 6, "Seven": 7}


@pytest.fixture(name="pictures")
def fixture_pictures(tmp_path, monkeypatch) -> None:
    """PNG with a background of its own around the same region of two greys, and masks of 0 and 255."""
    monkeypatch.chdir(tmp_path)
    region = np.zeros((40, 64), np.uint8)
    region[10:30, 24:44] = 255
    inside = np.where(np.arange(64) < 34, 250, 220)
    for folder in ("images", "masks"):
        Path(folder).mkdir()
    for n in range(20):
        Image.fromarray(np.where(region, inside, 10 * n).astype(np.uint8)).save(f"images/{n}.png")
        Image.fromarray(region).save(f"masks/{n}.png")
    set_determinism(seed=0)


def run_snippet(without: str) -> Any:
    """The training data set of the snippet, without the lines that begin so."""
    parts: dict[str, Any] = {}
    run_code("\n".join(line[1:] for line in SNIPPET if not line.startswith(without)), parts)
    return parts["train"]


def corners(data: Any) -> set[float]:
    """The grey of the first image's background, in 20 epochs."""
    return {round(float(data[0]["image"][0, 0, 0]), 2) for _ in range(20)}


def test_the_number_of_lines_is_the_number_that_is_claimed():
    claimed = re.search(r"## (\w+) lines in your training script", README)
    assert claimed
    assert COUNTS[claimed[1]] == sum(line.startswith("+") for line in SNIPPET)


@pytest.mark.usefixtures("pictures")
def test_the_script_runs_with_these_lines_and_without_them():
    plain, mixed = run_snippet("+"), run_snippet("-")
    assert next(iter(DataLoader(plain, batch_size=4)))["image"].shape == (4, 1, 112, 112)
    batch = next(iter(DataLoader(mixed, batch_size=4)))
    assert batch["image"].shape == batch["mask"].shape == (4, 1, 112, 112)
    assert set(batch["mask"].unique().tolist()) == {0, 1}
    inside = batch["image"][batch["mask"] == 1]
    assert (inside > batch["image"].mean()).float().mean() > 0.95  # the regions stay, and lie where the masks say
    assert corners(plain) == {-1.0}
    assert len(corners(mixed)) > 4  # another background each time


def test_the_lines_for_a_config():
    isnet = train_with_overlay(f"{{{block(README, 'json', 'ISNetLRPLoss')}}}", 3)
    assert isnet.loss_function.terms["background"] > 0
    penalty = train_with_overlay(f"{{{block(README, 'json', 'SpectralDecouplingLoss')}}}", 1)
    assert penalty.loss_function.terms["penalty"] > 0


def test_the_commands_for_a_bundle(tmp_path, monkeypatch, capsys):
    bundle = make_guest("endoscopy", tmp_path)
    section = README.split("## One command for a bundle")[1]
    copy, change, run = re.findall(r"^(?:monai-debias|cd|python) .*$", section, re.MULTILINE)[:3]
    monkeypatch.setattr(sys, "argv", copy.replace("BUNDLE", str(bundle)).split())
    main()
    assert "backgrounds  exchanged before NormalizeIntensityd" in capsys.readouterr().out
    assert change == "cd BUNDLE"
    arguments = run.removeprefix("python -m ").replace('"', "").split()
    for name, value in {**SMALL["endoscopy"], "dataset_dir": bundle / "data"}.items():
        arguments += [f"--{name}", str(value)]
    assert processes.run(arguments, bundle, tmp_path / "log.txt") == 0, (tmp_path / "log.txt").read_text()
    assert "model.pt" in [path.name for path in (bundle / "models" / "backmix").iterdir()]
    assert isinstance(torch.load(bundle / "models" / "backmix" / "model.pt", weights_only=True), dict)


def test_the_methods_that_are_named_are_those_that_there_are():
    section = README.split("## One command for a bundle")[1].split("## ")[0]
    assert set(re.findall(r"`(\w+)`", section)) & set(NAMES) == set(NAMES)


def test_the_guide_for_guests_prints_what_the_command_prints(tmp_path, capsys):
    bundle = make_guest("endoscopy", tmp_path)
    overlays(bundle)
    guide = (ROOT / "docs" / "guests.md").read_text(encoding="utf-8")
    assert re.findall(r"```\n(  results.*?)```", guide, re.DOTALL)[0] in capsys.readouterr().out
    assert json.loads((bundle / "configs" / "sockets.json").read_text())["mask_source"] == "mask"
