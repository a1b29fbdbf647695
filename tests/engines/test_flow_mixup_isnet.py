# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Flow-Mixup and ISNet in one training: which rows are explained, by which masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mixup_helpers import hooks, make_mixup, make_network, make_samples
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer

from monai_debias.engines.flow_mixup import PrepareBatchFlowMixup
from monai_debias.engines.isnet import PrepareBatchISNet
from monai_debias.handlers.loss_terms import LossTerms
from monai_debias.inferers.isnet import ISNetInferer
from monai_debias.losses.flow_mixup import FlowMixupLoss
from monai_debias.losses.isnet import ISNetLRPLoss
from monai_debias.relevance import LRP
from monai_debias.transforms.mixup import FlowMixupd


def isnet_batch() -> dict[str, torch.Tensor]:
    samples = make_samples(4)
    return {
        "image": torch.stack([s["image"].as_tensor() for s in samples]),
        "label": torch.tensor([0, 1, 2, 0]),
        "mask": torch.stack([s["mask"] for s in samples]),
    }


def test_appended_rows_do_not_change_the_heatmap_of_an_isnet():
    network, batch = make_network(), isnet_batch()
    mixup = make_mixup(network, mask_key="mask").set_random_state(0)
    prepare = PrepareBatchFlowMixup(mixup, PrepareBatchISNet())
    for flag in (None, torch.tensor([True, False, True, False]), torch.ones(4, dtype=torch.bool)):
        given = batch | ({} if flag is None else {"has_mask": flag})
        for target in ("selective", "all", "dual", 1):
            image, found, _, options = prepare(given, "cpu")
            assert image is batch["image"] or torch.equal(image, batch["image"])
            assert found["label"].shape == (12, 3)
            assert found["mask"].shape == (4, 1, 8, 7)
            explained = list(range(4)) if flag is None else flag.nonzero().flatten().tolist()
            assert options["rows"].tolist() == explained
            prediction = ISNetInferer(target)(image, network, **options)
            plain = ISNetInferer(target)(image, make_network())
            assert prediction["logits"].shape == (12, 3)
            assert torch.allclose(prediction["logits"][:4], plain["logits"], atol=1e-6)
            assert prediction["heatmap"].abs().max() > 1e-4
            assert torch.allclose(prediction["heatmap"], plain["heatmap"][explained], atol=1e-6), target


def test_deep_supervision_of_layers_up_to_the_first_mixed_state():
    network, batch, layers = make_network(), isnet_batch(), ("0", "2")
    mixup = make_mixup(network, ["2"], mask_key="mask").set_random_state(0)
    prepare = PrepareBatchFlowMixup(mixup, PrepareBatchISNet())
    image, _, _, options = prepare(batch, "cpu")
    found = ISNetInferer(layers=layers)(image, network, **options)["heatmap"]
    plain = ISNetInferer(layers=layers)(image, make_network())["heatmap"]
    for layer in ("input", *layers):
        assert found[layer].abs().max() > 1e-4
        assert torch.allclose(found[layer], plain[layer], atol=1e-6)
    image, _, _, options = prepare(batch, "cpu")
    with pytest.raises(ValueError, match=r"layer '3' .*with Flow-Mixup name a layer in front of"):
        ISNetInferer(layers=["3"])(image, network, **options)


@pytest.mark.parametrize("select", ["all", "random"])
@pytest.mark.parametrize("reduction", ["mean", "none", "sum"])
def test_the_loss_of_an_isnet_with_appended_rows(reduction, select):
    network, batch = make_network(), isnet_batch()
    mixup = make_mixup(network, select=select, mask_key="mask").set_random_state(0)
    flag = torch.tensor([True, False, True, True])
    image, target, _, options = PrepareBatchFlowMixup(mixup, PrepareBatchISNet())(batch | {"has_mask": flag}, "cpu")
    inner = FlowMixupLoss(mixup.groups, reduction="mean" if reduction == "mean" else "none")
    loss = ISNetLRPLoss(classification_loss=inner, relevance_weight=0.3, reduction=reduction)
    prediction = ISNetInferer()(image, network, **options)
    value = loss(prediction, target)
    n = len(target["label"])
    value = value / n if reduction == "sum" else value
    if reduction == "none":
        assert value.shape == (n,)
    classes = FlowMixupLoss(mixup.groups)(prediction["logits"], target["label"])
    masked = {"label": torch.zeros(3).long(), "mask": batch["mask"][flag]}
    heat = ISNetLRPLoss(relevance_weight=0.5)
    both = heat({"logits": prediction["logits"][:3], "heatmap": prediction["heatmap"]}, masked)
    expected = 0.7 * classes + 0.3 * (2 * both - heat.terms["classification"])
    assert value.mean().item() == pytest.approx(expected.item(), rel=1e-5)
    assert inner.terms.keys() == set(mixup.groups)
    value.mean().backward()
    assert all(p.grad.abs().sum() > 0 for p in network.parameters())


def test_a_replaced_state_is_explained_through_the_mixture():
    """R of sample i is x_i times the derivative of the sum of all explained scalars, as ε = 0 is Gradient × Input."""
    network, batch = make_network().double(), isnet_batch()
    batch["image"] = batch["image"].double()
    mixup = make_mixup(network, ["2"], "replace", mask_key="mask").set_random_state(1)
    prepare = PrepareBatchFlowMixup(mixup, PrepareBatchISNet())
    for flag in (None, torch.tensor([True, False, True, False])):
        image, target, _, options = prepare(batch | ({} if flag is None else {"has_mask": flag}), "cpu")
        found = ISNetInferer(1, epsilon=0)(image, network, **options)
        weight, order = mixup.transform.mixtures[0][1:]
        assert sum(order != np.arange(4)) > 1
        x = batch["image"].clone().requires_grad_()
        hidden = network[:3](x)
        logits = network[3:](weight * hidden + (1 - weight) * hidden[order])
        rows = list(range(4)) if flag is None else flag.nonzero().flatten().tolist()
        expected = (x * torch.autograd.grad(logits[rows, 1].sum(), x)[0])[rows]
        assert torch.allclose(found["logits"], logits, atol=1e-12)
        assert torch.allclose(found["heatmap"][:, 0], expected, atol=1e-12)
        assert target["label"].shape == (4, 3)
        assert target["mask"] is batch["mask"] or torch.equal(target["mask"], batch["mask"])


@pytest.mark.parametrize("flow", ["append", "replace"])
def test_mixed_images_are_explained_by_masks_of_their_own(flow):
    network, batch = make_network(), isnet_batch()
    mixup = make_mixup(network, ("input", "3"), flow, mask_key="mask").set_random_state(1)
    flag = torch.tensor([True, False, True, True])
    image, target, _, options = PrepareBatchFlowMixup(mixup, PrepareBatchISNet())(batch | {"has_mask": flag}, "cpu")
    order = mixup.transform.mixtures[0].order
    assert order[1] != 1  # so that some flags differ
    union, both = torch.maximum(batch["mask"], batch["mask"][order]), flag & flag[order]
    if flow == "append":
        union, both = torch.cat([batch["mask"], union]), torch.cat([flag, both])
    assert torch.equal(target["mask"], union)
    assert torch.equal(target["has_mask"], both)
    assert options["rows"].tolist() == both.nonzero().flatten().tolist()
    prediction = ISNetInferer()(image, network, **options)
    assert len(prediction["heatmap"]) == both.sum()
    assert len(prediction["logits"]) == len(target["label"]) == (12 if flow == "append" else 4)
    value = ISNetLRPLoss(classification_loss=FlowMixupLoss(mixup.groups))(prediction, target)
    value.backward()
    assert value.isfinite()


@pytest.mark.parametrize("flow", ["append", "replace"])
def test_an_isnet_in_a_stock_trainer(flow):
    network = make_network(norm=True)
    mixup = make_mixup(network, ("2", "3"), flow, "all" if flow == "append" else "random", mask_key="mask")
    inner = FlowMixupLoss(mixup.groups)
    loss = ISNetLRPLoss(classification_loss=inner)
    trainer = SupervisedTrainer(
        device="cpu",
        max_epochs=2,
        train_data_loader=DataLoader(Dataset(make_samples()), batch_size=4),
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.01),
        loss_function=loss,
        prepare_batch=PrepareBatchFlowMixup(mixup.set_random_state(0), PrepareBatchISNet()),
        inferer=ISNetInferer(interval=2),
        train_handlers=[LossTerms(loss), LossTerms(inner)],
        decollate=False,
    )
    trainer.run()
    expected = {f"{group}_loss" for group in mixup.groups}
    expected |= {"classification_loss", "background_loss", "foreground_loss", "relevance_weight"}
    assert set(trainer.state.metrics) == expected
    assert hooks(network) == []


def test_relevance_of_all_rows_is_refused_where_rows_are_appended():
    network, batch = make_network(), isnet_batch()
    mixup = make_mixup(network)
    image = mixup(batch)["image"]
    with pytest.raises(
        ValueError,
        match=r"returned shape \(12, 3\), expected logits \(B, K\) for the 4 samples.*name the rows to explain",
    ):
        LRP(network)(image)
    assert hooks(network) == []
    mixup(batch)
    _, relevance = LRP(network)(image, rows=torch.tensor([3, 1]))
    assert torch.allclose(relevance, LRP(make_network())(image)[1][[3, 1]], atol=1e-6)
    mixup(batch)
    with pytest.raises(ValueError, match="distinct indices from 0 to 3"):
        LRP(network)(image, rows=torch.tensor([4]))
    mixup.disarm()


@pytest.mark.parametrize("target", ["label", "selective_label"])
def test_an_isnet_cannot_explain_labels_that_are_mixed(target):
    network, batch = make_network(), isnet_batch()
    image, _, _, options = PrepareBatchFlowMixup(make_mixup(network), PrepareBatchISNet())(batch, "cpu")
    with pytest.raises(ValueError, match="labels"):
        ISNetInferer(target)(image, network, **options)


def test_an_isnet_refuses_masks_and_flags_of_another_batch():
    logits, heatmap = torch.zeros(8, 3), torch.rand(4, 1, 1, 6, 6)
    target = {"label": torch.zeros(8, dtype=torch.long), "mask": torch.ones(9, 1, 6, 6)}
    loss = ISNetLRPLoss()
    with pytest.raises(ValueError, match="8 rows of logits, but masks of shape"):
        loss({"logits": logits, "heatmap": heatmap}, target)
    target["mask"] = torch.ones(4, 1, 6, 6)
    for flag in (torch.ones(8, dtype=torch.bool), torch.ones(3, dtype=torch.bool), torch.ones(4)):
        with pytest.raises(ValueError, match=r"has_mask must be boolean of shape \(4,\)"):
            loss({"logits": logits, "heatmap": heatmap}, target | {"has_mask": flag})
    with pytest.raises(ValueError, match="heatmap"):  # of more rows than have a mask
        loss({"logits": logits, "heatmap": torch.rand(8, 1, 1, 6, 6)}, target)


def test_images_of_an_isnet_are_not_mixed_without_their_masks():
    with pytest.raises(ValueError, match="give the FlowMixupd their mask_key"):
        PrepareBatchFlowMixup(FlowMixupd.mixup("image", num_classes=3), PrepareBatchISNet())
