# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from monai_debias.overlays import own_or_demo_model

EXAMPLES = {own_or_demo_model: lambda folder: {"bundle_root": folder, "ckpt_dir": folder / "models" / "baseline"}}


@pytest.fixture(name="bundle")
def fixture_bundle(tmp_path) -> Path:
    for name in ("demo", "baseline", "backmix"):
        (tmp_path / "models" / name).mkdir(parents=True)
    (tmp_path / "models" / "demo" / "model.pt").touch()
    return tmp_path


def test_the_demo_weights_stand_in_until_there_is_a_plain_training(bundle):
    asked = bundle / "models" / "baseline"
    assert own_or_demo_model(bundle, asked) == str(bundle / "models" / "demo" / "model.pt")
    (asked / "model.pt").touch()
    assert own_or_demo_model(bundle, asked) == str(asked / "model.pt")


def test_a_relative_folder_is_the_same_folder(bundle, monkeypatch):
    monkeypatch.chdir(bundle)
    assert own_or_demo_model(".", "./models/baseline") == str(Path("models", "demo", "model.pt"))


@pytest.mark.parametrize("other", ["models/backmix", "elsewhere/models/baseline"])
def test_nobody_gets_them_for_another_training(other, bundle):
    assert own_or_demo_model(bundle, bundle / other) == str(bundle / other / "model.pt")


def test_without_demo_weights_the_missing_file_is_named(tmp_path):
    asked = tmp_path / "models" / "baseline"
    assert own_or_demo_model(tmp_path, asked) == str(asked / "model.pt")
