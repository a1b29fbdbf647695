# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Mixup, Manifold Mixup and Flow-Mixup against their equations, and the batches that they take."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from torch.nn import functional as F  # noqa: N812

from monai_debias.transforms.mix_batch import MixBatch
from tests.samples import NETWORK
from tests.transforms.mixing import LAYERS, Stages, batch

INDEX = torch.tensor([0, 1, 2, 1])


EXAMPLES = {
    MixBatch: [
        {"network": NETWORK, "num_classes": 2, "layers": ["input"]},
        {
            "network": NETWORK,
            "num_classes": 2,
            "layers": ["features"],
            "flow": "replace",
            "select": "random",
            "ignore_value": -1,
        },
        {"network": NETWORK, "num_classes": 2, "layers": ["input", "features"], "ignore_value": [-1, -100]},
    ]
}


def by_hand(
    network: Stages, x: torch.Tensor, y: torch.Tensor, mixtures: dict, append: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and labels by the equations: λh + (1 − λ)h[π] row by row, the un-mixed rows first and mixed ones after.

    Batch norm has the statistics of all rows that flow through it, un-mixed and mixed.
    """
    p, n = dict(network.named_parameters()), len(x)

    def mix(h: torch.Tensor, state: str) -> torch.Tensor:
        if state not in mixtures:
            return h
        weight, order = mixtures[state]
        rows = [weight * h[i] + (1 - weight) * h[int(order[i])] for i in range(n)]  # of the un-mixed rows, which lead
        return torch.cat([h, torch.stack(rows)]) if append else torch.stack(rows)

    labels, logits = y, mix(x, "input")
    labels = mix(labels, "input")
    logits = mix(torch.tanh(F.conv1d(logits, p["first.0.weight"], p["first.0.bias"])), "first")
    labels = mix(labels, "first")
    if "norm.weight" in p:
        mean, variance = logits.mean((0, 2), keepdim=True), logits.var((0, 2), unbiased=False, keepdim=True)
        scale, shift = p["norm.weight"][:, None], p["norm.bias"][:, None]
        logits = (logits - mean) / (variance + network.norm.eps).sqrt() * scale + shift
    logits = mix(F.softplus(F.conv1d(logits, p["second.0.weight"], p["second.0.bias"])), "second")
    labels = mix(labels, "second")
    return logits.mean(-1) @ p["head.weight"].T + p["head.bias"], labels


def soft_loss(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return -(y * logits.log_softmax(1)).sum(1).mean()


def check_against_the_equations(network: Stages, mixup: MixBatch, n: int, append: bool) -> set[str]:
    """Two batches: logits, labels and the gradients of all parameters; returns the states that were mixed."""
    states: set[str] = set()
    for _ in range(2):
        x, label = batch(n)
        before = x.clone()
        image, y = mixup(x, label)
        logits = network(image)
        mixtures = {m.layer: (m.weight, m.order) for m in mixup.mixtures}
        for weight, order in mixtures.values():
            assert 0 <= weight <= 1
            assert sorted(order) == list(range(n))
        expected, expected_y = by_hand(network, x, F.one_hot(label, 3).double(), mixtures, append)
        assert torch.equal(x, before)
        assert torch.allclose(logits, expected, rtol=0, atol=1e-12)
        assert y.dtype == torch.float32
        assert torch.allclose(y.double(), expected_y, atol=1e-6)
        found = torch.autograd.grad(soft_loss(logits, expected_y), list(network.parameters()))
        wanted = torch.autograd.grad(soft_loss(expected, expected_y), list(network.parameters()))
        for a, b in zip(found, wanted, strict=True):
            assert b.abs().sum() > 0
            assert torch.allclose(a, b, rtol=0, atol=1e-12)
        states |= set(mixtures)
    return states


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("n", [5, 2])
def test_mixup_is_its_equation(norm, n):
    mixup = MixBatch.mixup(num_classes=3).set_random_state(0)
    assert check_against_the_equations(Stages(norm), mixup, n, append=False) == {"input"}


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("layers", [LAYERS, LAYERS[1:]])
def test_manifold_mixup_is_its_equation(norm, layers):
    network = Stages(norm)
    mixup = MixBatch.manifold_mixup(network, layers, alpha=2.0, num_classes=3).set_random_state(0)
    states = set()
    for _ in range(4):
        states |= check_against_the_equations(network, mixup, 5, append=False)
        assert len(mixup.mixtures) == 1
    assert states == set(layers)


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize(
    "layers", [LAYERS, LAYERS[1:], ("second",), ("first",), ("input",)], ids=lambda layers: "+".join(layers)
)
def test_flow_mixup_is_its_equation(norm, layers):
    network = Stages(norm)
    mixup = MixBatch.flow_mixup(network, layers, num_classes=3).set_random_state(0)
    assert check_against_the_equations(network, mixup, 5, append=True) == set(layers)
    weights = [m.weight for m in mixup.mixtures]
    assert len(set(weights)) == len(layers)  # λ and π are drawn for each state
    assert mixup.groups == ("unmixed", *layers)


@pytest.mark.parametrize(("flow", "select"), list(itertools.product(["append", "replace"], ["all", "random"])))
def test_every_other_setting_is_its_equation_too(flow, select):
    network = Stages(norm=True)
    mixup = MixBatch(network, LAYERS, 0.4, flow, select, 3).set_random_state(3)
    if (flow, select) == ("replace", "all"):  # each state mixes what the one before has mixed
        x, label = batch()
        image, y = mixup(x, label)
        h, target = network(image), F.one_hot(label, 3).double()
        expected, _ = by_hand(network, x, target, {m.layer: (m.weight, m.order) for m in mixup.mixtures}, False)
        assert torch.allclose(h, expected, rtol=0, atol=1e-12)
        for mixture in mixup.mixtures:
            target = mixture.weight * target + (1 - mixture.weight) * target[mixture.order]
        assert torch.allclose(y.double(), target, atol=1e-6)
        return
    check_against_the_equations(network, mixup, 5, flow == "append")
    expected = {"append": ("unmixed", "mixed"), "replace": ("mixed",)}[flow] if select == "random" else mixup.groups
    assert mixup.groups == expected


def test_a_batch_of_one_and_a_last_partial_batch():
    network = Stages()
    mixup = MixBatch.flow_mixup(network, LAYERS, num_classes=3).set_random_state(0)
    for n in (5, 1, 3):
        x, label = batch(n)
        image, y = mixup(x, label)
        logits = network(image)
        assert (len(image), len(y), len(logits)) == (2 * n, 4 * n, 4 * n)
        if n == 1:  # the only partner is the sample itself
            assert torch.allclose(logits, logits[:1].expand(4, 3))
            assert torch.equal(y, torch.eye(3)[[0] * 4])


def draws(mixup: MixBatch, n: int, times: int) -> list:
    found = []
    for _ in range(times):
        mixup.randomize(n)
        found.append(mixup.mixtures)
    return found


@pytest.mark.parametrize("alpha", [0.2, 1.0, 2.0])
def test_the_distributions_that_are_drawn_from(alpha):
    found = draws(MixBatch(Stages(), LAYERS, alpha, select="random").set_random_state(0), 4, 12000)
    weights = np.array([m[0].weight for m in found])
    variance = 1 / (4 * (2 * alpha + 1))
    assert weights.mean() == pytest.approx(0.5, abs=5 * (variance / 12000) ** 0.5)
    assert weights.var() == pytest.approx(variance, rel=0.05)
    assert ((weights >= 0) & (weights <= 1)).all()
    layers = [sum(m[0].layer == layer for m in found) for layer in LAYERS]
    assert layers == pytest.approx([4000] * 3, abs=5 * (12000 * 2 / 9) ** 0.5)
    orders, counts = np.unique([m[0].order for m in found], axis=0, return_counts=True)
    assert len(orders) == 24
    assert counts == pytest.approx(np.full(24, 500), abs=5 * (12000 / 24) ** 0.5)


def test_draws_are_reproducible_and_leave_global_generators_alone():
    def run(mixup: MixBatch) -> list:
        found = draws(mixup.set_random_state(7), 5, 20)
        return [(m.layer, m.weight, m.order.tolist()) for one in found for m in one]

    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    one, two = MixBatch(Stages(), LAYERS), MixBatch(Stages(), LAYERS)
    assert run(one) == run(two) == run(one)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.random.get_state()[1].tolist() == numpy_state  # noqa: NPY002


def test_randomize_false_repeats_the_last_draw():
    network = Stages()
    mixup = MixBatch.flow_mixup(network, LAYERS, num_classes=3)
    x, label = batch()
    with pytest.raises(ValueError, match="entry of 5 rows is to be mixed, but mixtures were not drawn yet"):
        mixup(x, label, randomize=False)
    image, y = mixup(x, label)
    logits = network(image)
    again, y_again = mixup(x, label, randomize=False)
    assert torch.equal(image, again)
    assert torch.equal(y, y_again)
    assert torch.equal(network(again), logits)
    with pytest.raises(ValueError, match="entry of 3 rows is to be mixed, but mixtures were drawn for 5"):
        mixup(x[:3], label[:3], randomize=False)


@pytest.mark.parametrize(
    ("shape", "dtype", "flow"),
    [
        ((4, 7), torch.float32, "append"),
        ((4, 2, 9), torch.float32, "replace"),
        ((4, 1, 6, 5), torch.float32, "append"),
        ((4, 3, 4, 3, 2), torch.float32, "replace"),
        ((4, 2, 9), torch.uint8, "append"),
        ((4, 2, 9), torch.int16, "replace"),
        ((4, 2, 9), torch.bool, "append"),
        ((4, 2, 9), torch.float16, "replace"),
        ((4, 2, 9), torch.bfloat16, "append"),
        ((4, 2, 9), torch.float64, "append"),
    ],
)
def test_images_of_all_kinds(shape, dtype, flow):
    kept = dtype if dtype.is_floating_point else torch.float32
    x = (100 * torch.rand(shape, generator=torch.Generator().manual_seed(0))).to(dtype)
    before = x.clone()
    mixup = MixBatch(flow=flow, num_classes=3).set_random_state(0)
    image, _ = mixup(x, INDEX)
    weight, order = mixup.mixtures[0][1:]
    mixed = weight * x.double() + (1 - weight) * x.double()[order]
    expected = torch.cat([x.double(), mixed]) if flow == "append" else mixed
    assert (type(image), image.dtype) == (torch.Tensor, kept)
    tolerance = {torch.float16: 0.2, torch.bfloat16: 2.0, torch.float32: 1e-4, torch.float64: 1e-12}[kept]
    assert torch.allclose(image.double(), expected, rtol=0, atol=tolerance)
    assert torch.equal(x, before)
    if dtype is not torch.bfloat16:
        array, labels = MixBatch(flow=flow, num_classes=3).set_random_state(0)(x.numpy(), INDEX.numpy())
        assert isinstance(array, np.ndarray)
        assert isinstance(labels, np.ndarray)
        assert np.array_equal(array, image.numpy())
        assert np.array_equal(x.numpy(), before.numpy())


def test_images_that_are_not_mixed_are_handed_on_as_they_are():
    network = Stages()
    x, label = batch()
    for image in (x, x.numpy(), MetaTensor(x), (100 * x).byte()):
        mixup = MixBatch.flow_mixup(network, ["first"], num_classes=3)
        assert mixup(image, label)[0] is image
        mixup.disarm()


def test_images_that_do_not_fit():
    mixup = MixBatch.mixup(num_classes=3)
    for image in (torch.rand(4), torch.rand(3, 1, 6), torch.rand(0, 1, 6)):
        with pytest.raises(ValueError, match=r"expected images \(B, C, spatial...\) and as many labels"):
            mixup(image, INDEX)
    for image in ([[0.0]] * 4, None):
        with pytest.raises(TypeError, match="images must be a tensor or array of a whole batch, got"):
            mixup(image, INDEX)
    with pytest.raises(ValueError, match="labels"):
        mixup(torch.rand(0, 1, 6), INDEX[:0])


def test_arguments_that_do_not_fit():
    network = Stages()
    for layers in (("first", "first"), ("first", "input"), ("input", "first", "input")):
        with pytest.raises(ValueError, match='layers must be different names, with "input" as the first'):
            MixBatch(network, layers)
    with pytest.raises(ValueError, match="are hidden states, but network is None"):
        MixBatch(None, ["first"])


def test_unknown_layers_are_named_at_once():
    with pytest.raises(ValueError, match=r"no layers \['nowhere'\]; it has first, first.0"):
        MixBatch.manifold_mixup(Stages(), ["first", "nowhere"])


def test_settings_of_one_class():
    network = Stages()
    for made, setting in (
        (MixBatch.mixup(0.4, 3), (("input",), "replace", "all")),
        (MixBatch.manifold_mixup(network, LAYERS, 0.4, 3), (LAYERS, "replace", "random")),
        (MixBatch.flow_mixup(network, LAYERS, 0.4, 3), (LAYERS, "append", "all")),
    ):
        assert (made.layers, made.flow, made.select) == setting
        assert (made.alpha, made.num_classes) == (0.4, 3)


def test_arrays_of_every_layout_are_mixed():
    image, label = np.random.default_rng(0).random((4, 1, 6)), np.array([0, 1, 2, 1])
    wanted = MixBatch.mixup(num_classes=3).set_random_state(0)(image[::-1].copy(), label[::-1].copy())
    for odd in (lambda a: a[::-1], lambda a: a[::-1].astype(a.dtype.newbyteorder())):
        found = MixBatch.mixup(num_classes=3).set_random_state(0)(odd(image), odd(label))
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(a, b)
