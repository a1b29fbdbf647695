# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The examples and the names of docs/mixup.md, run as they stand there."""

from __future__ import annotations

import ast
import inspect
import re
from typing import Any

import monai.networks.nets
import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from monai.networks.nets import ResNet

from benchmarks.csv_file import RESULTS, read
from benchmarks.evidence.report import cell
from monai_debias import data, engines, handlers, inferers, losses, metrics, transforms, visualize
from monai_debias.attached import attached
from tests.docs.guides import NETWORK, ROOT, block, make_batch, read_guide, run_code, train_with_overlay

GUIDE = read_guide("mixup")
NETS: dict[str, dict[str, Any]] = {
    "ResNet": NETWORK,
    "DenseNet121": {"spatial_dims": 2, "in_channels": 1, "out_channels": 3},
    "EfficientNetBN": {
        "model_name": "efficientnet-b0", "pretrained": False, "spatial_dims": 2, "in_channels": 1, "num_classes": 3,
    },
    "ViT": {
        "in_channels": 1, "img_size": 32, "patch_size": 8, "hidden_size": 16, "mlp_dim": 16, "num_layers": 2,
        "num_heads": 2, "spatial_dims": 2, "classification": True, "num_classes": 3,
    },
}  # fmt: skip


def rows(section: str) -> list[list[str]]:
    """Cells of the lines of a section's first table."""
    text = GUIDE.split(f"## {section}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip("| ") for cell in line.split(" |")[:-1]] for line in lines[2:]]


@pytest.fixture
def parts() -> dict[str, Any]:
    """What the examples use beside the package."""
    found: dict[str, Any] = {"torch": torch, "SupervisedTrainer": SupervisedTrainer, "Events": Events, "device": "cpu"}
    for module in (data, engines, inferers, handlers, losses, metrics, transforms, visualize):
        found |= {name: getattr(module, name) for name in module.__all__}
    return found | {"epochs": 2, "loader": [make_batch()] * 2, "network": ResNet(**NETWORK)}


def test_the_trainer_and_the_distribution_shift(parts, tmp_path):
    before = parts["network"].fc.weight.detach().clone()
    parts["loader"] = [{key: batch[key] for key in ("image", "label")} for batch in parts["loader"]]
    run_code(block(GUIDE, "python", "SupervisedTrainer("), parts)
    assert set(parts["trainer"].state.metrics) == {"unmixed_loss", "layer2_loss", "layer3_loss"}
    output = parts["trainer"].state.output
    assert [(len(item["pred"]), item["label"]) for item in output] == [(3, 0), (3, 1), (3, 2), (3, 0)]
    assert not torch.equal(parts["network"].fc.weight, before)
    assert all(f"`{name}`" in GUIDE for name in parts["trainer"].state.metrics)

    parts |= {"val_loader": [make_batch()] * 2, "interval": 1, "path": tmp_path / "shift.png"}
    run_code(block(GUIDE, "python", "cluster_separation("), parts)
    assert {len(values) for values in parts["curve"].values()} == {4}
    assert all(0 < r2 <= 1 for values in parts["curve"].values() for r2 in values)
    assert parts["path"].stat().st_size > 10_000


def test_one_line_makes_it_another_of_the_three(parts):
    table = GUIDE.split("|---|---|---|---|\n")[1].split("\n\n")[0].splitlines()
    lines = block(GUIDE, "python", "manifold_mixup").splitlines()
    for line, row in zip(lines, table, strict=True):
        run_code(line, parts)
        mixup = parts["mixup"].transform
        assert mixup.flow == ("append" if "appended" in row else "replace")
        assert mixup.select == ("random" if "random" in row else "all")
        assert (mixup.layers == ("input",)) == ("| Mixup" in row)
        batch = {key: make_batch()[key] for key in ("image", "label")}
        image, label = engines.PrepareBatchAttached(parts["mixup"])(batch, "cpu")
        pred = inferers.FlowMixupInferer()(image, parts["network"])
        assert attached(pred, "rows", pred).shape == attached(label, "rows").shape
    assert lines[-1] in block(GUIDE, "python", "SupervisedTrainer(").splitlines()


def test_several_labels_some_of_them_missing(parts):
    run_code(block(GUIDE, "python", "ignore_value="), parts)
    label = torch.tensor([[1.0, 0.0, -1.0], [0.0, float("nan"), 1.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    batch = {"image": make_batch()["image"], "label": label}
    image, label = engines.PrepareBatchAttached(parts["mixup"])(batch, "cpu")
    loss = parts["loss"](inferers.FlowMixupInferer()(image, parts["network"]), label)
    assert loss > 0
    assert loss.isfinite()


def test_four_entries_put_it_into_a_bundle():
    trained = train_with_overlay(block(GUIDE, "json", "MixBatchd"), 4, mask=False)
    assert set(trained.loss_function.terms) == {"unmixed", "layer2", "layer3"}
    assert [(item["image"].shape, item["label"]) for item in trained.state.output] == [
        ((1, 32, 32), label) for label in (0, 1, 2, 0)
    ]


def test_the_table_names_the_options_and_their_defaults():
    public = {name: getattr(m, name) for m in (engines, inferers, losses, transforms) for name in m.__all__}
    listed: dict[str, list[str]] = {}
    owner = ""
    for name, option, _, default, _ in rows("Options"):
        owner = name.strip("`") or owner
        listed.setdefault(owner, []).append(option.strip("`"))
        value = inspect.signature(public[owner]).parameters[option.strip("`")].default
        if default in ("none", "cross-entropy"):
            assert value is None
        elif not default:
            assert value is inspect.Parameter.empty
        else:
            assert default.strip('`"') == str(value[0] if isinstance(value, tuple) else value)
    for owner, options in listed.items():
        assert [name for name in inspect.signature(public[owner]).parameters if name != "reduction"] == options


def test_the_labels_of_every_task():
    given = {
        "class indices (B,) or (B, 1), integer": [torch.tensor([0, 1, 2, 0]), torch.tensor([[0], [1], [2], [0]])],
        "one-hot or soft rows (B, K)": [torch.eye(3)[[0, 1, 2, 0]], torch.full((4, 3), 1 / 3)],
        "multi-hot rows (B, K)": [torch.tensor([[1, 1, 0], [0, 0, 0], [1, 1, 1], [0, 1, 0]])],
        "0 and 1, (B,) or (B, 1)": [torch.tensor([0, 1, 1, 0]), torch.tensor([[0.0], [1.0], [1.0], [0.0]])],
    }
    table = rows("Labels")
    assert {row[1] for row in table} == set(given)
    for task, kind, num_classes, name in table:
        n_logits = 1 if task == "one logit" else 3
        loss = losses.MixupLoss(["mixed"], None if name == "none" else name.strip('`"'))
        for label in given[kind]:
            mixup = transforms.MixBatch.mixup(num_classes=None if num_classes == "not needed" else n_logits)
            mixed = mixup(torch.rand(4, 1, 8), label)[1]
            assert mixed.shape == (4, n_logits)
            assert mixed.is_floating_point()
            assert loss(torch.zeros(4, n_logits), mixed).isfinite()


@pytest.mark.parametrize("row", rows("Which states"), ids=lambda row: row[0].strip("`"))
def test_the_names_of_the_states(row):
    name = row[0].strip("`")
    network = getattr(monai.networks.nets, name)(**NETS[name])
    modules = dict(network.named_modules())
    fits, unfit = (re.findall(r"`([^`]+)`", cell) for cell in row[1:])
    assert set(fits + unfit) <= set(modules)
    for layer in fits + unfit:
        mixup = transforms.MixBatch.flow_mixup(network, [layer], num_classes=3)
        image, label = mixup(torch.rand(2, 1, 32, 32), torch.tensor([0, 2]))
        if layer in fits:
            logits = network(image)
            assert (logits[0] if isinstance(logits, tuple) else logits).shape == label.shape == (4, 3)
        else:
            with pytest.raises((RuntimeError, ValueError)):
                network(image)


def test_wrong_labels(parts):
    parts["datalist"] = {"training": [{"image": f"{n}.png", "label": n % 3} for n in range(30)]}
    run_code(block(GUIDE, "python", "corrupt_labels("), parts)
    assert len(parts["changes"]) == 6
    assert all(clean != label for clean, label in parts["changes"])
    assert [item["clean_label"] for item in parts["datalist"]["training"]] == [n % 3 for n in range(30)]


def test_an_isnet_of_mixed_batches(parts):
    run_code(block(GUIDE, "python", "ISNetLRPLoss(MixupLoss"), parts)
    image, label = parts["prepare_batch"](make_batch() | {"has_mask": torch.tensor([True] * 4)}, "cpu")
    pred = parts["inferer"](image, parts["network"].train())
    parts["loss"](pred, label).backward()
    assert set(parts["loss"].terms) == {"classification", "background", "foreground"}
    assert set(parts["loss"].classification_loss.terms) == {"unmixed", "layer2", "layer3"}


def test_the_error_messages_that_it_names():
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "monai_debias").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    written = "\n".join(node.value for node in nodes if isinstance(node.value, str))
    messages = re.findall(r"`([^`]{9,})`", "".join(re.findall(r"\*\*.*\*\*", GUIDE.split("## Troubleshooting")[1])))
    assert len(messages) > 8
    for message in messages:
        if "binary cases" in message or message == "returns tuple":  # ignite's; the name of a type
            continue
        for piece in message.split("…"):
            assert piece.strip(" .,'").replace("'has_mask' must", "") in written, piece


def test_what_is_learned_by_heart_is_what_the_runs_say():
    runs = read(RESULTS / "ecg_flow_mixup.csv")
    shown = (
        *("plain", "flow_mixup", "stage1_append", "late_append", "all_append", "input_append"),
        *("weighted", "input_weighted", "flow_mixup_replace", "mixup"),
        *("stage1", "stage2", "stage3", "stage4", "all_replace"),
    )
    told = [cells[-1] for cells in rows("Wrong labels")]
    assert told == [cell(runs, method, "0.4", "by_heart") for method in shown]
