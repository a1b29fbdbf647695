# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Flow-Mixup and ISNet in one training: which rows are explained, by which masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer

from monai_debias.attached import attach, attached, take_apart
from monai_debias.engines.prepare_batch import PrepareBatchAttached
from monai_debias.handlers.loss_terms import LossTerms
from monai_debias.inferers import FlowMixupInferer, ISNetInferer
from monai_debias.losses.isnet import ISNetLRPLoss
from monai_debias.losses.mixup import MixupLoss
from monai_debias.relevance import LRP
from monai_debias.transforms.hidden_states import disarm
from tests.engines.mixup_helpers import hooks, make_mixup, make_network, make_samples


def isnet_batch() -> dict[str, torch.Tensor]:
    samples = make_samples(4)
    return {
        "image": torch.stack([s["image"].as_tensor() for s in samples]),
        "label": torch.tensor([0, 1, 2, 0]),
        "mask": torch.stack([s["mask"] for s in samples]),
    }


def explained_rows(image: torch.Tensor) -> list[int]:
    return attached(attached(image, "rows", image), "explain")["rows"].tolist()


def test_appended_rows_do_not_change_the_heatmap_of_an_isnet():
    network, batch = make_network(), isnet_batch()
    mixup = make_mixup(network).set_random_state(0)
    prepare = PrepareBatchAttached(mixup)
    for flag in (None, torch.tensor([True, False, True, False]), torch.ones(4, dtype=torch.bool)):
        given = batch | ({} if flag is None else {"has_mask": flag})
        for target in ("selective", "all", "dual", 1):
            image, label = prepare(given, "cpu")
            _, parts = take_apart(label)
            assert parts["rows"].shape == (12, 3)
            assert parts["mask"].shape == (4, 1, 8, 7)
            explained = list(range(4)) if flag is None else flag.nonzero().flatten().tolist()
            assert explained_rows(image) == explained
            prediction = FlowMixupInferer(ISNetInferer(target, blend=False))(image, network)
            plain = ISNetInferer(target, blend=False)(image, make_network())
            heatmap, expected = attached(prediction, "heatmap"), attached(plain, "heatmap")
            assert attached(prediction, "rows").shape == (12, 3)
            assert torch.equal(image, batch["image"])
            assert torch.allclose(prediction, plain, atol=1e-6)
            assert heatmap.abs().max() > 1e-4
            assert torch.allclose(heatmap, expected[explained], atol=1e-6), target


def test_deep_supervision_of_layers_up_to_the_first_mixed_state():
    network, batch, layers = make_network(), isnet_batch(), ("0", "2")
    mixup = make_mixup(network, ["2"]).set_random_state(0)
    prepare = PrepareBatchAttached(mixup)
    image, _ = prepare(batch, "cpu")
    found = attached(FlowMixupInferer(ISNetInferer(layers=layers, blend=False))(image, network), "heatmap")
    plain = attached(ISNetInferer(layers=layers, blend=False)(batch["image"], make_network()), "heatmap")
    for layer in ("input", *layers):
        assert found[layer].abs().max() > 1e-4
        assert torch.allclose(found[layer], plain[layer], atol=1e-6)
    image, _ = prepare(batch, "cpu")
    with pytest.raises(ValueError, match=r"layer '3' .*with Flow-Mixup name a layer before"):
        FlowMixupInferer(ISNetInferer(layers=["3"], blend=False))(image, network)


@pytest.mark.parametrize("select", ["all", "random"])
@pytest.mark.parametrize("reduction", ["mean", "none", "sum"])
def test_the_loss_of_an_isnet_with_appended_rows(reduction, select):
    network, batch = make_network(), isnet_batch()
    mixup = make_mixup(network, select=select).set_random_state(0)
    flag = torch.tensor([True, False, True, True])
    image, label = PrepareBatchAttached(mixup)(batch | {"has_mask": flag}, "cpu")
    inner = MixupLoss(mixup.groups, reduction="none")
    loss = ISNetLRPLoss(classification_loss=inner, relevance_weight=0.3, reduction=reduction)
    prediction = FlowMixupInferer(ISNetInferer(blend=False))(image, network)
    value = loss(prediction, label)
    n = len(attached(label, "rows"))
    value = value / n if reduction == "sum" else value
    if reduction == "none":
        assert value.shape == (n,)
    classes = MixupLoss(mixup.groups)(attached(prediction, "rows"), attached(label, "rows"))
    masked = attach(torch.zeros(3).long(), mask=batch["mask"][flag])
    heat = ISNetLRPLoss(relevance_weight=0.5)
    both = heat(attach(prediction[:3], heatmap=attached(prediction, "heatmap")), masked)
    expected = 0.7 * classes + 0.3 * (2 * both - heat.terms["classification"])
    assert value.mean().item() == pytest.approx(expected.item(), rel=1e-5)
    assert inner.terms.keys() == set(mixup.groups)
    value.mean().backward()
    assert all(p.grad.abs().sum() > 0 for p in network.parameters())


def test_a_replaced_state_is_explained_through_the_mixture():
    """R of sample i is x_i times the derivative of the sum of all explained scalars, as ε = 0 is Gradient × Input."""
    network, batch = make_network().double(), isnet_batch()
    batch["image"] = batch["image"].double()
    mixup = make_mixup(network, ["2"], "replace").set_random_state(1)
    prepare = PrepareBatchAttached(mixup)
    for flag in (None, torch.tensor([True, False, True, False])):
        image, target = prepare(batch | ({} if flag is None else {"has_mask": flag}), "cpu")
        found = ISNetInferer(1, epsilon=0, blend=False)(image, network)
        weight, order = mixup.transform.mixtures[0][1:]
        assert sum(order != np.arange(4)) > 1
        x = batch["image"].clone().requires_grad_()
        hidden = network[:3](x)
        logits = network[3:](weight * hidden + (1 - weight) * hidden[order])
        rows = list(range(4)) if flag is None else flag.nonzero().flatten().tolist()
        expected = (x * torch.autograd.grad(logits[rows, 1].sum(), x)[0])[rows]
        assert torch.allclose(attached(found, "heatmap")[:, 0], expected, atol=1e-12)
        assert torch.allclose(found, logits, atol=1e-12)
        assert attached(target, "rows").shape == (4, 3)
        assert torch.equal(attached(target, "mask"), batch["mask"])


@pytest.mark.parametrize("flow", ["append", "replace"])
def test_mixed_images_are_explained_by_masks_of_their_own(flow):
    network, batch = make_network(), isnet_batch()
    mixup = make_mixup(network, ("input", "3"), flow).set_random_state(1)
    flag = torch.tensor([True, False, True, True])
    image, target = PrepareBatchAttached(mixup)(batch | {"has_mask": flag}, "cpu")
    order = mixup.transform.mixtures[0].order
    assert order[1] != 1  # so that some flags differ
    union, both = torch.maximum(batch["mask"], batch["mask"][order]), flag & flag[order]
    if flow == "append":
        union, both = torch.cat([batch["mask"], union]), torch.cat([flag, both])
    assert torch.equal(attached(target, "mask"), union)
    assert torch.equal(attached(target, "has_mask"), both)
    assert explained_rows(image) == both.nonzero().flatten().tolist()
    prediction = FlowMixupInferer(ISNetInferer(blend=False))(image, network)
    assert len(prediction) == len(target) == len(image) == 4
    assert len(attached(prediction, "heatmap")) == both.sum()
    assert len(attached(prediction, "rows", prediction)) == len(attached(target, "rows"))
    assert len(attached(target, "rows")) == (12 if flow == "append" else 4)
    value = ISNetLRPLoss(MixupLoss(mixup.groups, reduction="none"))(prediction, target)
    value.backward()
    assert value.isfinite()


@pytest.mark.parametrize("flow", ["append", "replace"])
def test_an_isnet_in_a_stock_trainer(flow):
    network = make_network(norm=True)
    mixup = make_mixup(network, ("2", "3"), flow, "all" if flow == "append" else "random")
    loss = ISNetLRPLoss(MixupLoss(mixup.groups, reduction="none"))
    trainer = SupervisedTrainer(
        device="cpu",
        max_epochs=2,
        train_data_loader=DataLoader(Dataset(make_samples()), batch_size=4),
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.01),
        loss_function=loss,
        prepare_batch=PrepareBatchAttached(mixup.set_random_state(0)),
        inferer=FlowMixupInferer(ISNetInferer(interval=2, blend=False)),
        train_handlers=[LossTerms(loss)],
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
@pytest.mark.parametrize(("layers", "flow"), [(["2"], "append"), (["2"], "replace"), (["input"], "replace")])
def test_an_isnet_cannot_explain_labels_that_are_mixed(target, layers, flow):
    network, batch = make_network(), isnet_batch()
    image, _ = PrepareBatchAttached(make_mixup(network, layers, flow))(batch, "cpu")
    with pytest.raises(ValueError, match="as Flow-Mixup makes them: choose another target"):
        FlowMixupInferer(ISNetInferer(target, blend=False))(image, network)
    disarm(network)


def test_an_isnet_refuses_masks_and_flags_of_another_batch():
    logits, heatmap = torch.zeros(8, 3), torch.rand(4, 1, 1, 6, 6)
    target = attach(torch.zeros(8, dtype=torch.long), mask=torch.ones(9, 1, 6, 6))
    loss = ISNetLRPLoss()
    with pytest.raises(ValueError, match="8 rows of logits, but masks of shape"):
        loss(attach(logits, heatmap=heatmap), target)
    target = attach(target, mask=torch.ones(4, 1, 6, 6))
    for flag in (torch.ones(8, dtype=torch.bool), torch.ones(3, dtype=torch.bool), torch.ones(4)):
        with pytest.raises(ValueError, match=r"has_mask must be boolean of shape \(4,\)"):
            loss(attach(logits, heatmap=heatmap), attach(target, has_mask=flag))
    with pytest.raises(ValueError, match="heatmap"):  # of more rows than have a mask
        loss(attach(logits, heatmap=torch.rand(8, 1, 1, 6, 6)), target)
