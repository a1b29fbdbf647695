# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pickle

import pytest
import torch
from monai.bundle import ConfigParser
from monai.losses import FocalLoss
from torch.nn import BCEWithLogitsLoss, CrossEntropyLoss
from torch.nn import functional as F  # noqa: N812

from monai_debias.losses.mixup import MixupLoss

EXAMPLES = {
    MixupLoss: [
        {"groups": ["unmixed", "mixed"]},
        {"groups": ["unmixed", "mixed"], "classification_loss": "bce", "reduction": "sum", "ignore_value": -1},
        {"groups": ["unmixed", "mixed"], "reduction": "none", "ignore_value": [-1, -100]},
    ],
    MixupLoss.forward: {"pred": torch.tensor([[1.0, 2.0], [0.5, -1.0]]), "label": torch.eye(2)},
}


GROUPS = ("unmixed", "layer1", "layer2")


def rows(n_classes: int = 3, multi_label: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and soft labels of three groups of four rows."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(12, n_classes, generator=generator, dtype=torch.double)
    label = torch.rand(12, n_classes, generator=generator, dtype=torch.double)
    return logits, label if multi_label or n_classes == 1 else label / label.sum(1, keepdim=True)


def cross_entropy(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    return -(label * (logits - logits.exp().sum(1, keepdim=True).log())).sum(1)


def binary(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    p = 1 / (1 + (-logits).exp())
    return -(label * p.log() + (1 - label) * (1 - p).log()).mean(1)


@pytest.mark.parametrize("weights", [None, [1, 1, 1], [3, 1, 0], [0.2, 0.5, 5.0]])
@pytest.mark.parametrize(
    ("loss", "n_classes", "formula"),
    [
        (None, 3, cross_entropy),
        (None, 1, binary),
        ("bce", 3, binary),
        (CrossEntropyLoss(reduction="none"), 3, None),
        ("CrossEntropyLoss", 3, cross_entropy),
        (BCEWithLogitsLoss(reduction="none"), 3, binary),
    ],
)
def test_it_is_its_formula(loss, n_classes, formula, weights):
    logits, label = rows(n_classes, multi_label=formula is binary)
    single = (formula or cross_entropy)(logits, label)
    terms = single.reshape(3, 4).mean(1)
    w = torch.tensor(weights or [1, 1, 1], dtype=torch.double)
    wanted = (w * terms).sum() / w.sum()
    made = {r: MixupLoss(GROUPS, loss, weights, r) for r in ("mean", "none", "sum")}
    found = {r: made[r](logits, label) for r in made}
    assert found["mean"].item() == pytest.approx(wanted.item(), rel=1e-6)
    assert found["none"].shape == (12,)
    assert found["none"].mean().item() == pytest.approx(wanted.item(), rel=1e-6)
    assert found["sum"].item() == pytest.approx(12 * wanted.item(), rel=1e-6)
    each = single.reshape(3, 4) * (3 * w / w.sum())[:, None]
    assert torch.allclose(found["none"], each.flatten(), rtol=1e-6)
    for one in made.values():
        assert list(one.terms) == list(GROUPS)
        assert [t.item() for t in one.terms.values()] == pytest.approx(terms.tolist(), rel=1e-6)
        assert not any(t.requires_grad for t in one.terms.values())
    if weights in (None, [1, 1, 1]):
        assert found["mean"].item() == pytest.approx(single.mean().item(), rel=1e-6)


def test_gradients_are_those_of_the_formula():
    logits, label = rows()
    logits.requires_grad_()
    w = torch.tensor([3.0, 1.0, 0.0], dtype=torch.double)
    wanted = torch.autograd.grad((cross_entropy(logits, label).reshape(3, 4).mean(1) * w / w.sum()).sum(), logits)[0]
    loss = MixupLoss(GROUPS, weights=[3, 1, 0])
    found = torch.autograd.grad(loss(logits, label), logits)[0]
    assert torch.allclose(found, wanted, atol=1e-9)
    assert found[8:].abs().sum() == 0
    assert not any(t.requires_grad for t in loss.terms.values())


def test_one_group_a_partial_batch_and_class_indices():
    logits, label = rows()
    assert MixupLoss(["mixed"])(logits, label).item() == pytest.approx(cross_entropy(logits, label).mean().item())
    one_of_each = MixupLoss(GROUPS)
    one_of_each(logits[:3], label[:3])
    each = cross_entropy(logits, label)[:3]
    assert [t.item() for t in one_of_each.terms.values()] == pytest.approx(each.tolist())
    index = torch.arange(12) % 3
    assert MixupLoss(GROUPS)(logits, index).item() == pytest.approx(F.cross_entropy(logits, index).item())


def test_focal_loss_of_each_label_is_averaged():
    logits, label = rows(multi_label=True)
    terms = FocalLoss(reduction="none")(logits, label).double().reshape(3, -1).mean(1)
    loss = MixupLoss(GROUPS, FocalLoss(reduction="none"), [1, 2, 3])
    wanted = (terms @ torch.tensor([1.0, 2, 3]).double()).item() / 6
    assert loss(logits, label).item() == pytest.approx(wanted)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    logits, label = rows()
    loss = MixupLoss(GROUPS, weights=[1, 2, 3])
    wanted = loss(logits, label).item()
    assert loss(logits.to(dtype), label.float()).item() == pytest.approx(wanted, rel=0.03)


def test_config_and_pickle():
    config = {"_target_": "monai_debias.losses.mixup.MixupLoss", "groups": list(GROUPS), "weights": [1, 0, 1]}
    loss = ConfigParser({"loss": config}).get_parsed_content("loss")
    logits, label = rows()
    copied = pickle.loads(pickle.dumps(loss))  # noqa: S301
    assert loss(logits, label) == copied(logits, label)
    assert not list(loss.parameters())


def test_bad_input_gets_a_clear_error():
    logits, label = rows()
    with pytest.raises(ValueError, match="different names"):
        MixupLoss(("a", "a"))
    for weights in ([1, 1], [1, 1, 1, 1], [0, 0, 0]):
        with pytest.raises(ValueError, match="weights must be 3 numbers of 0 or more"):
            MixupLoss(GROUPS, weights=weights)
    with pytest.raises(ValueError, match='reduction="none"'):
        MixupLoss(GROUPS, CrossEntropyLoss())
    with pytest.raises(ValueError, match="classification_loss must be"):
        MixupLoss(GROUPS, "Dropout")
    loss = MixupLoss(GROUPS)
    for wrong in (logits[:11], logits[:0], logits[:, 0], logits[None]):
        with pytest.raises(ValueError, match=r"expected logits \(G·B, K\) of the 3 groups"):
            loss(wrong, label)
    with pytest.raises(ValueError, match="12 rows of logits, but labels"):
        loss(logits, label[:4])
    with pytest.raises(ValueError, match='choose the loss "bce"'):
        loss(logits, label / 2)
