# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Distributed trainings by the bundle."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from monai_debias.data import load_datalist
from tests.bundles.echo_view import BUNDLE, ECHO, KEY_METRICS, SMALL, configs, logged, losses, places, read, run

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
    evaluate_and_infer_in_two_processes(tmp_path, cohort)


def evaluate_and_infer_in_two_processes(trained, cohort):
    """Every clip once, in its order; the numbers are tested with the handlers."""
    files = configs("train", "backmix", "evaluate")
    options = [*places(cohort, trained), *ECHO.size, "--n_resamples", "20"]
    ECHO.run_two("run", "--config_file", files, *options, folder=trained)
    items = [item for split in ECHO.splits for item in load_datalist(cohort, split)]
    rows = read(trained / "predictions.csv")
    assert [str(cohort / row["file"]) for row in rows] == [item["image"] for item in items]
    results = json.loads((trained / "metrics.json").read_text())
    assert sum(result["samples"] for result in results.values()) == len(items)
    (clips := trained / "clips").mkdir()
    for number, item in enumerate(items[:3]):
        (clips / f"{number}.dcm").symlink_to(item["image"])
    (clips / "notes.txt").write_text("no clip")
    out = ["--dataset_dir", clips, "--checkpoint", trained / "model.pt", "--output_dir", trained / "inference"]
    options = [*out, *ECHO.size, "--heatmaps", "True"]
    ECHO.run_two("run", "--config_file", configs("inference"), *options, folder=trained)
    single = read(trained / "inference" / "predictions.csv")
    assert [Path(row["file"]).name for row in single] == ["0.dcm", "1.dcm", "2.dcm"]
    assert all((trained / "inference" / row["heatmap"]).exists() for row in single)
    assert [Path(row["file"]).name for row in read(trained / "inference" / "left_out.csv")] == ["notes.txt"]


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
