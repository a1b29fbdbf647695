# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
import warnings
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer

from monai_debias.handlers.gradient_clipping import GradientClipping
from monai_debias.inferers.isnet import ISNetInferer
from monai_debias.losses.isnet import ISNetLRPLoss
from tests.handlers.isnet_training import make_trainer
from tests.samples import NETWORK

EXAMPLES = {GradientClipping: [{"network": NETWORK, "max_norm": 0.01}]}


MAX_NORM = 0.5


def make_batches(n: int) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [
        {"image": 4 * torch.randn(2, 3, generator=generator), "label": torch.randn(2, 1, generator=generator)}
        for _ in range(n)
    ]


def make_network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))


def train(batches: list[dict], epochs: int = 2, max_norm: float = MAX_NORM, **kwargs: Any) -> tuple[Any, list[float]]:
    network, norms = make_network(), []
    trainer = SupervisedTrainer(
        device="cpu",
        max_epochs=epochs,
        train_data_loader=batches,
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        loss_function=torch.nn.MSELoss(),
        train_handlers=[GradientClipping(network, max_norm)],
        **kwargs,
    )
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda e: norms.append(e.state.metrics["gradient_norm"]))
    trainer.run()
    return network, norms


def train_by_hand(batches: list[dict], groups: list[list[int]], epochs: int = 2) -> tuple[Any, list[float]]:
    """The same as a loop; ``groups`` are the batches of each step, whose gradients are summed up."""
    network, means = make_network(), []
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(epochs):
        norms = []
        for group in groups:
            optimizer.zero_grad()
            for i in group:
                loss = torch.nn.functional.mse_loss(network(batches[i]["image"]), batches[i]["label"])
                (loss / max(map(len, groups))).backward()
            norms.append(torch.nn.utils.clip_grad_norm_(network.parameters(), MAX_NORM).item())
            optimizer.step()
        means.append(sum(norms) / len(norms))
    assert max(means) > 2 * MAX_NORM  # else nothing would be clipped
    return network, means


def assert_same(one: tuple[Any, list[float]], other: tuple[Any, list[float]]) -> None:
    for a, b in zip(one[0].parameters(), other[0].parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    assert one[1] == pytest.approx(other[1], rel=1e-4)


@pytest.mark.parametrize(("accumulation_steps", "groups"), [(1, [[0], [1], [2], [3], [4]]), (2, [[0, 1], [2, 3], [4]])])
def test_it_clips_what_the_optimizer_steps_with(accumulation_steps, groups):
    batches = make_batches(5)
    assert_same(train(batches, accumulation_steps=accumulation_steps), train_by_hand(batches, groups))


@pytest.mark.filterwarnings("ignore:.*(CUDA|cuda)")
def test_it_clips_without_the_factor_of_a_gradient_scaler(monkeypatch):
    scalers = []

    def scaler() -> torch.amp.GradScaler:
        scalers.append(torch.amp.GradScaler("cpu", init_scale=2.0**10))
        return scalers[-1]

    monkeypatch.setattr(torch.cuda.amp, "GradScaler", scaler)
    batches = make_batches(5)
    assert_same(train(batches, amp=True), train_by_hand(batches, [[i] for i in range(5)]))
    batches[1]["image"] *= float("inf")  # a step that the scaler skips
    network, (mean,) = train(batches, epochs=1, amp=True)
    assert scalers[-1].get_scale() == 2.0**9
    assert_same((network, [mean]), train_by_hand(batches, [[0], [2], [3], [4]], epochs=1))


def test_an_infinite_limit_only_measures():
    batches = make_batches(3)
    network, (norm,) = train(batches, epochs=1, max_norm=float("inf"))
    optimizer = torch.optim.SGD((plain := make_network()).parameters(), lr=0.1)
    for batch in batches:
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(plain(batch["image"]), batch["label"]).backward()
        optimizer.step()
    assert norm > MAX_NORM
    assert torch.allclose(network[0].weight, plain[0].weight)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_gradients_that_are_no_numbers_stop_the_training(bad):
    batches = make_batches(3)
    batches[1]["label"] *= bad
    with pytest.raises(FloatingPointError, match=rf"norm of the gradients is \w+ in iteration 2: the loss was {bad}"):
        train(batches)
    for max_norm in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=r"max_norm is .*, expected a number in \(0, inf\]"):
            GradientClipping(make_network(), max_norm)


def train_isnet(
    highest: float, cuts: tuple[float, float], iterations: int, interval: int = 1, max_norm: float = 1
) -> None:
    """Train convolutions on images from 0 to a highest value."""
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Conv2d(4, 4, 3), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(64, 2))
    batches = [
        {"image": highest * torch.rand(4, 1, 8, 8), "label": torch.arange(4) % 2, "mask": torch.ones(4, 1, 8, 8).tril()}
    ]
    loss = ISNetLRPLoss(relevance_weight=0.5, cuts=cuts)
    clipping = GradientClipping(network, max_norm)
    inferer = ISNetInferer(target="all", interval=interval)
    make_trainer(batches, inferer, loss, [clipping], iterations, lr=1e-3, network=network).run()


def test_relevance_above_the_cuts_is_told_once_with_the_terms_of_the_loss():
    with pytest.warns(UserWarning, match="above 1000 times max_norm") as caught:
        train_isnet(65535.0, cuts=(1.0, 100.0), iterations=44)  # images of 16 bits that nobody has scaled
    (message,) = [str(warning.message) for warning in caught if "max_norm" in str(warning.message)]
    assert re.search(
        r"in iteration 20; the loss's terms are classification \S+, background \S+, foreground \S+e\+", message
    )
    assert "tune the cuts with RelevanceCutTuning" in message


@pytest.mark.parametrize(("highest", "cuts", "iterations"), [(65535.0, (1.0, 100.0), 19), (1.0, (0.1, 10.0), 24)])
def test_a_few_large_norms_and_relevance_within_the_cuts_are_no_reason_to_warn(highest, cuts, iterations):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*max_norm")
        train_isnet(highest, cuts, iterations)


def test_without_a_foreground_term_the_warning_is_about_the_loss_as_a_whole():
    with pytest.warns(UserWarning, match=r"max_norm \(1e-07\) in 20 of the last 200 steps.*: lower the learning"):
        train(make_batches(20), epochs=1, max_norm=1e-7)


def test_steps_without_a_heatmap_in_between_do_not_hide_those_that_are_far_above_the_limit():
    with pytest.warns(UserWarning, match="in 20 of the last 200 steps") as caught:
        train_isnet(1.0, cuts=(1e-6, 1e-5), iterations=80, interval=4, max_norm=1e-3)
    assert "in iteration 77" in str(next(w.message for w in caught if "max_norm" in str(w.message)))
