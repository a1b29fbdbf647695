# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Distributed trainings by the bundle."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import torch

from tests.bundles.echo_view import BUNDLE, ECHO, KEY_METRICS, SMALL, configs, logged, losses, places, run

LAYERS = ["layer1", "layer2", "layer3", "layer4"]


def json_blocks(markdown: str) -> list[str]:
    return re.findall(r"```json\n(.*?)```", markdown, re.DOTALL)


def test_two_processes_train_one_model(tmp_path, cohort):
    """The command as it is typed, in processes that import everything themselves."""
    files = configs("train", "backmix", "multi_gpu_train")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command = [*launch, "-m", "monai.bundle", "run", "--config_file", files, *places(cohort, tmp_path), *SMALL]
    done = subprocess.run([*map(str, command)], cwd=BUNDLE, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-6000:]
    weights = torch.load(tmp_path / "model.pt", weights_only=True)
    assert weights["fc.weight"].shape == (4, 256)  # saved as the plain network, without a "module." prefix
    assert torch.load(tmp_path / "last.pt", weights_only=True)["trainer"]["epoch_length"] == 1  # 12 clips each, by 8
    found = {name: logged(tmp_path).Scalars(name)[-1].value for name in KEY_METRICS}
    assert found["consistent_val_accuracy"] == pytest.approx(found["val_accuracy"] * found["val_swap_consistency"])


def test_flow_mixup_in_two_processes_and_its_groups(tmp_path, cohort):
    files = configs("train", "flow_mixup", "multi_gpu_train")
    ECHO.run_two("run", "--config_file", files, *places(cohort, tmp_path), *SMALL, folder=tmp_path)
    groups = ("unmixed", "layer2", "layer3")
    means = [logged(tmp_path).Scalars(f"{group}_loss")[-1].value for group in groups]
    assert sum(means) / 3 == pytest.approx(losses(tmp_path)[-1], rel=1e-5)  # one batch in the epoch
    assert torch.load(tmp_path / "model.pt", weights_only=True)["fc.weight"].shape == (4, 256)


def test_isnet_with_deep_supervision_few_masks_and_tuned_cuts_in_two_processes(tmp_path, cohort):
    """On top of BackMix; and one process resumes what two have begun: what the method needs is in ``last.pt``."""
    guide = (BUNDLE.parents[1] / "docs" / "isnet.md").read_text(encoding="utf-8")
    (tmp_path / "tuning.json").write_text(next(b for b in json_blocks(guide) if "RelevanceCutTuning" in b))
    files = ["train", "backmix", "isnet", "isnet_lds", "few_masks", tmp_path / "tuning"]
    options = [*places(cohort, tmp_path), *SMALL]
    options += ["--train#method_handlers#cut_tuning#epochs", "1", "--requested_mask_fraction", "0.3"]
    ECHO.run_two("run", "--config_file", configs(*files, "multi_gpu_train"), *options, folder=tmp_path)
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    assert state["cut_tuning"] == {"tuned": True}
    assert state["loss"].keys() == {f"layer_cuts.of:{layer}" for layer in ("input", *LAYERS)}
    options[options.index("--max_epochs") + 1] = "2"
    output = run("run", "--config_file", configs(*files), *options, "--logging_file", "configs/logging.conf")
    assert "resuming after epoch 1 " in output
    assert "cuts at" not in output  # they are not tuned again
    resumed = torch.load(tmp_path / "last.pt", weights_only=True)
    assert resumed["trainer"]["iteration"] > state["trainer"]["iteration"]
    assert all(torch.equal(cuts, state["loss"][name]) for name, cuts in resumed["loss"].items())
    assert logged(tmp_path).Scalars("background_loss")[-1].value > 0
    assert torch.load(tmp_path / "model.pt", weights_only=True)["fc.weight"].shape == (4, 256)
