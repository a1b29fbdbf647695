# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import math
from functools import partial

import pytest
import torch
from monai.data import MetaTensor
from monai.losses import FocalLoss
from torch.nn import BCEWithLogitsLoss, CrossEntropyLoss
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from monai_debias.attached import attach
from monai_debias.losses.heatmap import background_loss, foreground_loss
from monai_debias.losses.isnet import ISNetLRPLoss
from tests.losses.heatmap_batch import REFERENCE, batch
from tests.samples import HEATMAP, MASK

EXAMPLES = {
    ISNetLRPLoss: [
        {"cuts": [0.1, 2.5]},
        {
            "classification_loss": {"_target_": "torch.nn.CrossEntropyLoss", "reduction": "none"},
            "cuts": {"input": [[0.1, 2.5]]},
            "foreground_penalty": "l2",
            "normalization": "RoIMean",
            "reduction": "sum",
            "ignore_value": -1,
        },
        {"cuts": [0.1, 2.5], "reduction": "none", "ignore_value": [-1, -100]},
    ],
    ISNetLRPLoss.forward: {
        "pred": attach(torch.zeros(2, 2), heatmap=HEATMAP),
        "label": attach(torch.tensor([0, 1]), mask=MASK),
    },
}


@pytest.mark.parametrize("maps", ["selective", "all_classes"])
def test_the_authors_total(maps):
    loss = ISNetLRPLoss(relevance_weight=0.7, rank_decay=0.9, background_scale=1, cuts=(0.05, 0.5))
    pred = attach(REFERENCE["logits"], heatmap=REFERENCE[f"heatmap/{maps}/zb0/eps0.01"])
    total = loss(pred, attach(REFERENCE["labels"], mask=REFERENCE["mask"]))
    torch.testing.assert_close(total, REFERENCE[f"total/{maps}/loss"].reshape(()), rtol=1e-5, atol=0)
    classification = REFERENCE[f"total/{maps}/classification"].item()
    assert loss.terms["classification"].item() == pytest.approx(classification, rel=1e-5)
    heat = loss.terms["background"] + loss.terms["foreground"]
    assert heat.item() == pytest.approx(REFERENCE[f"total/{maps}/heatmap"].item(), rel=1e-5)
    assert not any(term.requires_grad for term in loss.terms.values())


def test_an_example_worked_by_hand():
    # one map of two channels, four positions; the region is the first two
    heatmap = torch.tensor([[[[2.0, -4.0, 3.0, 1.0], [0.0, 6.0, 0.0, -12.0]]]])
    mask = torch.tensor([[[1, 1, 0, 0]]])
    # the mean magnitude inside is (2 + 4 + 0 + 6) / 4 = 3; divided by it, the background is 1, 1/3 and 0, 4.
    # d = 1/2: the weights are 8/15, 4/15, 2/15 and 1/15; E = 2
    g = ((8 * 1 + 4 / 3) / 15, 8 * 4 / 15)
    expected = sum(-math.log(1 - x / (x + 2)) for x in g) / 2
    assert background_loss(heatmap, mask, 0.5, 2.0).item() == pytest.approx(expected, rel=1e-6)
    # RoIMean: the mean inside is (2 - 4 + 0 + 6) / 4 = 1
    expected = sum(-math.log(1 - 3 * x / (3 * x + 2)) for x in g) / 2
    assert background_loss(heatmap, mask, 0.5, 2.0, "RoIMean").item() == pytest.approx(expected, rel=1e-6)
    # F = 12
    for cuts, penalty, value in (
        ((10, 20), "hybrid", 0),
        ((24, 40), "l2", 0.25),  # (12/24 - 1)^2
        ((4, 10), "hybrid", 0.25),  # ((12 - 10)/4)^2
        ((1, 2), "l2", 100),  # ((12 - 2)/1)^2
        ((1, 2), "hybrid", 10),  # 12 - 3 + 1
    ):
        assert foreground_loss(heatmap, mask, cuts, penalty).item() == pytest.approx(value, rel=1e-6)
    # two maps: F = 6 and 12, with their own cuts
    two = torch.cat([heatmap / 2, heatmap], 1)
    assert foreground_loss(two, mask, ((12, 20), (4, 10))).item() == pytest.approx((0.25 + 0.25) / 2, rel=1e-6)
    # and the whole: logits 0 of 3 classes, P = 0.25, w1 = 2, w2 = 3
    loss = ISNetLRPLoss(None, 0.25, 0.5, 2.0, 2.0, 3.0, cuts=(4, 10))
    heat = 2 * sum(-math.log(1 - x / (x + 2)) for x in g) / 2 + 3 * 0.25
    total = loss(attach(torch.zeros(1, 3), heatmap=heatmap), attach(torch.tensor([1]), mask=mask))
    assert total.item() == pytest.approx(0.75 * math.log(3) + 0.25 * heat, rel=1e-6)


@pytest.mark.parametrize(
    ("rank_decay", "penalty", "normalization"),  # each pair of values once or twice
    [
        (0.0, "hybrid", "absRoIMean"),
        (0.0, "l2", "RoIMean"),
        (0.9, "hybrid", "RoIMean"),
        (0.9, "l2", "absRoIMean"),
        (1.0, "hybrid", "absRoIMean"),
        (1.0, "l2", "RoIMean"),
    ],
)
def test_gradcheck(rank_decay, penalty, normalization):
    logits, label, heatmap, mask = batch(2, (6, 5), 2, seed=3, dtype=torch.float64)
    coarse = torch.nn.functional.avg_pool3d(heatmap.flatten(0, 1), (1, 2, 1)).unflatten(0, (2, 2))
    loss = ISNetLRPLoss(
        rank_decay=rank_decay,
        foreground_penalty=penalty,
        normalization=normalization,
        cuts=(0.5, 1.1),
        reduction="none",
    )

    def total(logits: torch.Tensor, *heatmaps: torch.Tensor) -> torch.Tensor:
        maps = dict(zip(("input", "layer1"), heatmaps, strict=True))
        return loss(attach(logits, heatmap=maps), attach(label, mask=mask))

    inputs = [tensor.requires_grad_() for tensor in (logits, heatmap, coarse)]
    assert total(*inputs).dtype == torch.float64
    assert torch.autograd.gradcheck(total, inputs)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_rows_without_a_mask_have_classification_loss_only(reduction):
    logits, label, heatmap, mask = batch(5)
    has_mask = torch.tensor([True, False, False, True, False])
    mask[~has_mask] = 0  # what a collated batch has in their place
    target = attach(label, mask=mask, has_mask=has_mask)
    loss = ISNetLRPLoss(relevance_weight=0.4, background_scale=1, reduction=reduction)
    rows = heatmap[has_mask].requires_grad_()
    value = loss(attach(logits, heatmap=rows), target)
    classification = cross_entropy(logits, label, reduction="none")
    heat = background_loss(rows, mask[has_mask]) + foreground_loss(rows, mask[has_mask])
    mean = 0.6 * classification.mean() + 0.4 * heat.mean()
    if reduction == "none":
        assert value.shape == (5,)
        torch.testing.assert_close(value[~has_mask], 0.6 * classification[~has_mask])
        torch.testing.assert_close(value[has_mask], 0.6 * classification[has_mask] + 0.4 * 5 / 2 * heat)
        torch.testing.assert_close(value.mean(), mean)
    else:
        torch.testing.assert_close(value, mean if reduction == "mean" else 5 * mean)
    value.sum().backward()
    assert rows.grad.flatten(1).norm(dim=1).min() > 0


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_without_a_heatmap_the_share_of_the_classification_stays(reduction):
    logits, label, *_ = batch()
    loss = ISNetLRPLoss(relevance_weight=0.4, reduction=reduction)
    value = loss(logits, label)
    torch.testing.assert_close(value, 0.6 * cross_entropy(logits, label, reduction=reduction))
    assert loss.terms.keys() == {"classification"}


def test_the_pieces_of_a_batch_average_to_the_whole():
    logits, label, heatmap, mask = batch(6)
    loss = ISNetLRPLoss(reduction="none")
    whole = loss(attach(logits, heatmap=heatmap), attach(label, mask=mask))
    pieces = [
        loss(
            attach(logits[i : i + 1], heatmap=heatmap[i : i + 1]),
            attach(label[i : i + 1], mask=mask[i : i + 1]),
        )
        for i in range(6)
    ]
    torch.testing.assert_close(torch.cat(pieces), whole)


def test_multi_label():
    logits, _, heatmap, mask = batch()
    label = torch.randint(0, 2, logits.shape, generator=torch.Generator().manual_seed(0))
    pred, target = attach(logits, heatmap=heatmap), attach(label, mask=mask)
    bce = binary_cross_entropy_with_logits(logits, label.float(), reduction="none").mean(1)
    heat = background_loss(heatmap, mask) + foreground_loss(heatmap, mask)
    weighted = partial(ISNetLRPLoss, relevance_weight=0.7, background_scale=1)
    for reduction in ("mean", "none"):
        expected = 0.3 * bce + 0.7 * heat
        value = weighted("bce", reduction=reduction)(pred, target)
        torch.testing.assert_close(value, expected.mean() if reduction == "mean" else expected)
        floats = attach(label.float(), mask=mask)
        of_torch = weighted(BCEWithLogitsLoss(reduction="none"), reduction=reduction)(pred, floats)
        torch.testing.assert_close(of_torch, value)
    focal = weighted(FocalLoss(reduction="none"))(pred, floats)
    torch.testing.assert_close(focal, 0.3 * FocalLoss()(logits, label.float()) + 0.7 * heat.mean())


def test_layers_are_rank_pooled_for_each_sample():
    logits, label, heatmap, mask = batch(4, (8, 6))
    layers = {"input": heatmap, "layer1": batch(4, (4, 3), seed=1)[2] * 12, "layer2.0": batch(4, (2, 3), seed=2)[2] * 9}
    cuts = {"input": (0.3, 1.5), "layer1": (2.0, 3.0), "layer2.0": (1.0, 9.0)}
    options = {"relevance_weight": 0.4, "background_scale": 1, "background_weight": 2.0, "reduction": "none"}
    loss = ISNetLRPLoss(cuts=cuts, layer_rank_decay=0.8, **options)
    value = loss(attach(logits, heatmap=layers), attach(label, mask=mask))
    parts = torch.stack(
        [2 * background_loss(maps, mask) + foreground_loss(maps, mask, cuts[name]) for name, maps in layers.items()], 1
    )
    assert len(parts.argmax(1).unique()) > 1, "the order of the layers should differ between the samples"
    pooled = parts.sort(1, descending=True).values @ torch.tensor([1, 0.8, 0.64]) / 2.44
    torch.testing.assert_close(value, 0.6 * cross_entropy(logits, label, reduction="none") + 0.4 * pooled)
    assert (2 * loss.terms["background"] + loss.terms["foreground"]).item() == pytest.approx(
        pooled.mean().item(), rel=1e-6
    )
    loss.layer_rank_decay = 1.0
    value = loss(attach(logits, heatmap=layers), attach(label, mask=mask))
    torch.testing.assert_close(value, 0.6 * cross_entropy(logits, label, reduction="none") + 0.4 * parts.mean(1))


def test_checkpoints_carry_the_cuts():
    layers = {"input": (0.2, 3.0), "layer1.0": ((0.3, 4.0), (0.5, 5.0)), "*": (1.0, 2.0)}
    for cuts in ((0.2, 3.0), ((0.3, 4.0), (0.5, 5.0)), layers):
        tuned = ISNetLRPLoss()
        tuned.set_cuts(cuts)
        torch.save({"loss": tuned.state_dict()}, file := io.BytesIO())
        file.seek(0)
        fresh = torch.nn.ModuleDict({"loss": ISNetLRPLoss(cuts={"other": (1, 2)})})
        state = torch.load(file, weights_only=True)["loss"]
        fresh.load_state_dict({f"loss.{name}": value for name, value in state.items()})
        for loss in (tuned, fresh["loss"]):
            found = loss.cuts if isinstance(cuts, dict) else {"*": loss.cuts}
            expected = cuts if isinstance(cuts, dict) else {"*": cuts}
            assert found.keys() == expected.keys()
            assert all(torch.equal(found[layer], torch.tensor(pair)) for layer, pair in expected.items())
    # they are used: as the function computes it with each layer's cuts
    heatmap, mask = batch(maps=2)[2:]
    pred, target = (
        attach(torch.zeros(4, 3), heatmap={"layer1.0": heatmap}),
        attach(torch.zeros(4).long(), mask=mask),
    )
    fresh["loss"](pred, target)
    expected = foreground_loss(heatmap, mask, layers["layer1.0"]).mean()
    torch.testing.assert_close(fresh["loss"].terms["foreground"], expected)
    fresh["loss"](attach(pred, heatmap={"layer7": heatmap}), target)
    torch.testing.assert_close(fresh["loss"].terms["foreground"], foreground_loss(heatmap, mask, layers["*"]).mean())
    with pytest.raises(ValueError, match="0 < C1 < C2"):
        fresh.load_state_dict({"loss.layer_cuts.of:*": torch.tensor([2.0, 1.0])})


def test_a_schedule_sets_the_weight():
    logits, label, heatmap, mask = batch()
    loss = ISNetLRPLoss(relevance_weight=0.0)
    pred, target = attach(logits, heatmap=heatmap), attach(label, mask=mask)
    torch.testing.assert_close(loss(pred, target), cross_entropy(logits, label))
    loss.relevance_weight = 0.9
    torch.testing.assert_close(loss(pred, target), ISNetLRPLoss(relevance_weight=0.9)(pred, target))
    with pytest.raises(ValueError, match=r"\[0, 1\), got 1"):
        loss.relevance_weight = 1.0


def test_autocast_and_meta_data_change_nothing():
    logits, label, heatmap, mask = batch()
    loss = ISNetLRPLoss()
    expected = loss(attach(logits, heatmap=heatmap), attach(label, mask=mask))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(attach(logits, heatmap=heatmap), attach(label, mask=mask))
    torch.testing.assert_close(value, expected, rtol=0, atol=0)
    meta = attach(MetaTensor(label), mask=MetaTensor(mask.byte()))
    value = loss(attach(MetaTensor(logits), heatmap=MetaTensor(heatmap)), meta)
    assert type(value) is torch.Tensor
    torch.testing.assert_close(value, expected, rtol=0, atol=0)
    half = loss(attach(logits, heatmap=heatmap.bfloat16()), attach(label, mask=mask.bool()))
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, expected, rtol=1e-2, atol=0)


def test_divergence_is_an_error_that_names_the_term():
    logits, label, heatmap, mask = batch()
    target = attach(label, mask=mask)
    nan = float("nan")
    with pytest.raises(FloatingPointError, match=r"logits have NaN .* in 4 of 4 rows .*lower learning rate"):
        ISNetLRPLoss()(attach(logits * nan, heatmap=heatmap), target)
    whole, region = heatmap.clone(), heatmap.clone()
    whole[1] = nan
    region[mask.unsqueeze(1).expand_as(region) > 0] = nan
    for broken in (whole, region):
        with pytest.raises(
            FloatingPointError, match=r'heatmap of "layer1" has a map without any finite.*larger epsilon'
        ):
            ISNetLRPLoss()(attach(logits, heatmap={"input": heatmap, "layer1": broken}), target)
    for weight in (0.0, 1.0):
        loss = ISNetLRPLoss(foreground_penalty="l2", foreground_weight=weight)
        with pytest.raises(FloatingPointError, match='foreground loss of the heatmap of "input" is inf'):
            loss(attach(logits, heatmap={"layer1": heatmap, "input": heatmap * 1e30}), target)
    # the straight line of the hybrid penalty bears it
    assert ISNetLRPLoss()(attach(logits, heatmap=heatmap * 1e30), target).isfinite()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cuts": (2.5, 0.1)}, "0 < C1 < C2"),
        ({"cuts": (0.1, 0.2, 0.3)}, "a pair"),
        ({"cuts": {"input": ((0.1, 2.5), (3, 2))}}, "0 < C1 < C2"),
        ({"classification_loss": "mse"}, "the name of a loss in torch.nn or monai.losses, or a loss, got 'mse'"),
        ({"classification_loss": CrossEntropyLoss(reduction="sum")}, 'must be made with reduction="none"'),
        ({"classification_loss": CrossEntropyLoss()}, 'must be made with reduction="none"'),
    ],
)
def test_bad_arguments_get_a_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        ISNetLRPLoss(**arguments)


def test_bad_input_gets_a_clear_error():
    logits, label, heatmap, mask = batch()
    loss, pred, target = ISNetLRPLoss(), attach(logits, heatmap=heatmap), attach(label, mask=mask)
    empty, grey, rows = mask.clone(), mask * 0.5, torch.tensor([True, False, True, True])
    empty[[1, 3]] = 0
    for bad_pred, bad_target, message in (
        (pred, label, "no mask is attached to the label: .*prepare_batch=PrepareBatchAttached"),
        (attach(logits[0], heatmap=heatmap), target, r"logits must be of shape \(B, K\)"),
        (logits[:0], label[:0], r"B > 0, got \(0, \d\)"),
        (pred, attach(label[:3], mask=mask), "4 rows of logits, but labels"),
        (pred, attach(target, mask=mask[:3]), r"for masks of shape \(3, 1, 6, 5\)"),
        (pred, attach(target, mask=torch.cat([mask, mask])), "4 rows of logits, but masks"),
        (pred, attach(target, mask=grey), "other than 0 and 1 .*AsDiscreted"),
        (pred, attach(target, mask=mask * float("nan")), "other than 0 and 1"),
        (pred, attach(target, mask=empty), r"0 everywhere in row\(s\) \[1, 3\]"),
        (pred, attach(target, mask=mask.repeat(1, 2, 1, 1)), r"shape \(4, 2, 6, 5\) .*expected \(B, 1, spatial"),
        (pred, attach(target, mask=mask[..., 2]), r"for masks of shape \(4, 1, 6\)"),
        (pred, attach(target, has_mask=rows), "heatmaps of 4 rows, but 3 rows have a mask"),
        (pred, attach(target, has_mask=rows.float()), "has_mask must be boolean"),
        (pred, attach(target, has_mask=rows[:2]), r"has_mask must be boolean of shape \(4,\)"),
        (attach(pred, heatmap={}), target, "empty mapping"),
        (attach(pred, heatmap=heatmap[:, :0]), target, "is empty"),
    ):
        with pytest.raises(ValueError, match=message):
            loss(bad_pred, bad_target)
    with pytest.raises(ValueError, match="cuts for 2 maps, but the heatmap has 1"):
        ISNetLRPLoss(cuts=((0.1, 1), (0.1, 1)))(pred, target)
    with pytest.raises(ValueError, match=r'no cuts for the heatmap of "input", only for \[\'layer1\'\]'):
        ISNetLRPLoss(cuts={"layer1": (0.1, 1)})(pred, target)

    class MeanLoss(torch.nn.Module):
        def forward(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
            return logits.mean() if label.sum() else logits.flatten()

    with pytest.raises(ValueError, match="MeanLoss gave a single number for 4 samples"):
        ISNetLRPLoss(MeanLoss())(pred, target)
    with pytest.raises(ValueError, match=r"gave shape \(12,\) for 4 samples"):
        ISNetLRPLoss(MeanLoss())(pred, attach(label * 0, mask=mask))
