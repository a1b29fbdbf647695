# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Nothing in a training step makes the CPU wait for a device, and what is looked at late is as strict.

There are two stand-ins for a GPU. The device "meta" has no values, so that nobody can look at them, and tensors that
come to it or leave it can be seen: whole trainings of each method run on it. And the CPU, taken for a device that is
waited for, which has values to be wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from functools import partial
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.inferers import SimpleInferer
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from monai_debias import without_waiting
from monai_debias.engines import PrepareBatchAttached, SwapBackgrounds
from monai_debias.handlers import FiniteLoss, GradientClipping, GuardSwapConsistency, LossTerms, RequireMasks
from monai_debias.inferers import BackgroundSwapInferer, FlowMixupInferer, ISNetInferer
from monai_debias.losses import (
    BackgroundConsistencyLoss,
    ISNetLRPLoss,
    MixupLoss,
    SampleWeightedLoss,
    SpectralDecouplingLoss,
    TaskLoss,
)
from monai_debias.transforms import MixBatchd

WAITING = {"_local_scalar_dense", "equal", "is_nonzero", "item", "masked_select", "nonzero", "_unique2", "unique_dim"}


class NoWaiting(TorchDispatchMode):
    """Fails where an operation needs values of the device, or moves a tensor there or back while the CPU waits."""

    def __torch_dispatch__(self, operation: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        name, tensors = operation.overloadpacket.__name__, [t for t in tree_leaves(args) if isinstance(t, torch.Tensor)]
        kwargs = kwargs or {}
        if any(t.is_meta for t in tensors):
            by_boolean = name in ("index", "index_put", "index_put_") and any(
                t is not None and t.dtype == torch.bool for t in args[1]
            )
            assert name not in WAITING, f"{name} waits for the device"
            assert not by_boolean, "an index by a boolean tensor waits for the device"
        if name == "_to_copy":
            crosses = args[0].is_meta != (torch.device(kwargs.get("device") or args[0].device).type == "meta")
            assert not crosses or kwargs.get("non_blocking"), "the CPU waits for a tensor to be moved"
        return operation(*args, **kwargs)


@pytest.fixture(autouse=True)
def nothing_is_left():
    without_waiting._unread.clear()  # of the test before, which ended with an error
    without_waiting._here.iteration = None


class DoneError(Exception):
    pass


N, K = 6, 3


def make_network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Conv2d(4, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, K))


def make_batches(**changes: torch.Tensor) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    batches = []
    for _ in range(3):
        image = torch.rand(N, 1, 8, 8, generator=generator)
        mask = torch.zeros(N, 1, 8, 8)
        mask[:, :, 2:6, 2:6] = 1
        batches.append({"image": image, "label": torch.arange(N) % K, "mask": mask, **changes})
    return batches


SOME = {"has_mask": torch.tensor([True, False, True, True, False, True])}
isnet = partial(ISNetLRPLoss, relevance_weight=0.5)

# by name: the loss, the inferer, the arguments of PrepareBatchAttached for a network, what else batches have
METHODS: dict[str, tuple[Callable, Callable, Callable, dict[str, Any]]] = {
    **{
        f"isnet {target}": (isnet, partial(ISNetInferer, target), lambda _: {}, {})
        for target in ("selective", "selective_label", "label", "all", "stochastic", "dual", 1)
    },
    "isnet of some rows": (isnet, ISNetInferer, lambda _: {}, SOME),
    "isnet dual of some rows": (isnet, partial(ISNetInferer, "dual"), lambda _: {}, SOME),
    "isnet of layers": (isnet, partial(ISNetInferer, layers=["3"]), lambda _: {}, SOME),
    "isnet by zB without blend": (isnet, partial(ISNetInferer, input_rule="zb", blend=False), lambda _: {}, SOME),
    "isnet with its own cuts": (partial(isnet, cuts={"input": [[0.1, 1]]}), ISNetInferer, lambda _: {}, {}),
    "isnet with missing labels": (
        partial(isnet, ignore_value=-1),
        ISNetInferer,
        lambda _: {},
        {"label": torch.tensor([0, -1, 2, -1, 1, 0])},
    ),
    "isnet of several labels": (
        partial(isnet, TaskLoss("multi_label", ignore_value=-1, reduction="none")),
        partial(ISNetInferer, "stochastic"),
        lambda _: {},
        {"label": torch.tensor([[0.0, 1, -1]] * N)},
    ),
    "isnet, decoupling and weights": (
        lambda: isnet(SampleWeightedLoss(SpectralDecouplingLoss(reduction="none"), reduction="none")),
        ISNetInferer,
        lambda _: {},
        {"weight": torch.ones(N)},
    ),
    "decoupling by class": (
        partial(SpectralDecouplingLoss, penalty_weight=[0.1, 0.2, 0.3], logit_target=[0.0, 1.0, 2.0]),
        SimpleInferer,
        lambda _: {},
        {"mask": None},
    ),
    "isnet and mixup": (
        lambda: isnet(MixupLoss(reduction="none")),
        ISNetInferer,
        lambda _: {"mixup": MixBatchd.mixup("image", num_classes=K)},
        SOME,
    ),
    "manifold mixup": (
        MixupLoss,
        SimpleInferer,
        lambda network: {"mixup": MixBatchd.manifold_mixup("image", network, ["3"], num_classes=K)},
        {"mask": None},
    ),
    "isnet and flow-mixup": (
        lambda: isnet(MixupLoss(["unmixed", "3"], weights=[2, 1], reduction="none")),
        lambda: FlowMixupInferer(ISNetInferer()),
        lambda network: {"mixup": MixBatchd.flow_mixup("image", network, ["3"], num_classes=K)},
        SOME,
    ),
    "isnet and background consistency": (
        lambda: isnet(BackgroundConsistencyLoss(reduction="none")),
        lambda: BackgroundSwapInferer(ISNetInferer()),
        lambda _: {"swap": SwapBackgrounds(image_key="image", mask_key="mask", flag_key="has_mask")},
        SOME,
    ),
}


def train(name: str, device: str, second: Callable | None = None) -> dict[str, float]:
    """Train three iterations; returns the metrics. With ``second`` that is called before the second, the last one."""
    trainer = make_trainer(name, device)
    if second is not None:
        trainer.add_event_handler(Events.ITERATION_STARTED(once=2), second)
        trainer.add_event_handler(Events.ITERATION_COMPLETED(once=2), _stop)
    trainer.run()
    return {name: round(value, 5) for name, value in trainer.state.metrics.items()}


def make_trainer(name: str, device: str, wrong: int = 0, **changes: Any) -> SupervisedTrainer:
    """A trainer of three iterations, of which the batch of one (1 to 3) can be changed."""
    make_loss, make_inferer, prepare, own = METHODS[name]
    network, loss = make_network().to(device), make_loss()
    batches = [{k: v for k, v in batch.items() if v is not None} for batch in make_batches(**own)]
    if wrong:
        batches[wrong - 1] |= changes
    torch.manual_seed(1)
    trainer = SupervisedTrainer(
        device=torch.device(device),
        max_epochs=1,
        train_data_loader=batches,
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.01),
        loss_function=loss,
        inferer=make_inferer(),
        prepare_batch=PrepareBatchAttached(**prepare(network)),
        non_blocking=True,
        decollate=False,  # by which MONAI would take the loss out of the device in each step
        train_handlers=[
            FiniteLoss(),
            GradientClipping(network, max_norm=1.0),
            LossTerms(loss),
            RequireMasks(),
            GuardSwapConsistency(SupervisedEvaluator(torch.device("cpu"), [], network)),  # which is not run
        ],
    )
    if "mask" not in batches[0]:
        trainer.remove_event_handler(_bound(trainer, RequireMasks), Events.EPOCH_COMPLETED)

    return trainer


def _stop() -> None:
    raise DoneError


def _bound(trainer: SupervisedTrainer, kind: type) -> Any:
    handlers = trainer._event_handlers[Events.EPOCH_COMPLETED]
    return next(h for h, *_ in handlers if isinstance(getattr(h, "__self__", None), kind))


def _nothing_to_read(copied: Any) -> None:
    assert copied.iteration != without_waiting._here.iteration, "read in the step itself, and not one later"


@pytest.mark.parametrize("name", METHODS)
def test_no_step_waits_for_the_device(name, monkeypatch):
    monkeypatch.setattr(without_waiting._Copied, "read", _nothing_to_read)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # which "meta" does not have
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: False)
    with pytest.raises(DoneError), ExitStack() as stack:  # the first step moves the buffers of losses, once
        train(name, "meta", second=lambda: stack.enter_context(NoWaiting()))


@pytest.mark.parametrize("name", METHODS)
def test_a_training_is_the_same(name, monkeypatch):
    expected = train(name, "cpu")
    monkeypatch.setattr(without_waiting, "AT_ONCE", frozenset())
    assert train(name, "cpu") == pytest.approx(expected, rel=1e-5)
    assert "gradient_norm" in expected
    assert not without_waiting._unread


IMAGE = torch.full((N, 1, 8, 8), 0.5)
MASK = torch.ones(N, 1, 8, 8)
FIRST = torch.arange(N) == 1
SEVEN = torch.tensor([0, 1, 2, 7, 0, 1])
WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "grey mask": ("isnet of some rows", {"mask": MASK / 2}, r"mask has values other than 0 and 1 .*\[0, 2, 3, 5\]"),
    "empty mask": ("isnet selective", {"mask": MASK * ~FIRST[:, None, None, None]}, r"0 everywhere in row\(s\) \[1\]"),
    "class": ("isnet selective", {"label": SEVEN}, "label 7 of sample 3 of the batch is none"),
    "class to explain": ("isnet label", {"label": SEVEN}, "labels must lie in 0 … 2, got 0 … 7"),
    "rows of labels": ("isnet all", {"label": torch.full((N, K), 0.5)}, "rows that do not add up to 1"),
    "labels of a sigmoid": ("isnet selective", {"label": torch.ones(N, K)}, "explains softmax probabilities"),
    "weights": ("isnet, decoupling and weights", {"weight": -torch.ones(N)}, "weights must be finite and 0 or more"),
    "range": ("isnet by zB without blend", {"image": IMAGE * 4}, r"zB rule is for inputs in \(0.0, 1.0\), .*\[2, 2\]"),
    "image": ("isnet selective", {"image": IMAGE * torch.nan}, "mean of the predictions is nan .*6 of its 6 images"),
    "swapped image": ("isnet and background consistency", {"image": IMAGE.index_fill(0, torch.tensor(2), torch.inf)},
                      r"image has NaN or infinite values in row\(s\) \[2\]"),
}  # fmt: skip


@pytest.mark.parametrize("iteration", [2, 3])
@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_one_step_later_and_before_the_epoch_ends(name, iteration, monkeypatch):
    (method, changes, message), errors, saved = WRONG[name], [], []
    for devices in ({"cpu"}, {}):
        monkeypatch.setattr(without_waiting, "AT_ONCE", frozenset(devices))
        trainer = make_trainer(method, "cpu", wrong=iteration, **changes)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, saved.append, True)
        with pytest.raises((ValueError, FloatingPointError), match=message) as caught:
            trainer.run()
        errors.append(caught.value)
        assert trainer.state.iteration == (iteration if devices else 3)
    assert type(errors[1]) is type(errors[0])
    assert str(errors[1]).startswith(str(errors[0]))
    assert f"This belongs to iteration {iteration} (epoch 1): on a GPU" in str(errors[1])
    assert not saved


def test_outside_of_a_training_step_nothing_is_late(monkeypatch):
    monkeypatch.setattr(without_waiting, "AT_ONCE", frozenset())
    logits, label = torch.zeros(2, K), torch.tensor([0, 7])
    with pytest.raises(ValueError, match="label 7 of sample 1"):
        TaskLoss()(logits, label)
    loss = TaskLoss()
    loss(logits.requires_grad_(), label)  # a step, whose error an evaluation tells
    with torch.no_grad(), pytest.raises(ValueError, match=r"label 7 of sample 1 .*belongs to the training step before"):
        loss(logits, label.clamp(max=2))
    with pytest.raises(ValueError, match="2 rows of logits, but labels of shape"):  # of the step itself
        loss(logits, label[:1])
    assert not without_waiting._unread


def test_a_step_that_is_replayed(monkeypatch):
    """What a captured step gathers once is read after each replay, with the values of that replay."""
    monkeypatch.setattr(without_waiting, "AT_ONCE", frozenset())
    value, seen, owner = torch.tensor([1.0, 2.0]), [], nn.Identity()
    with without_waiting.gathered() as looks:
        without_waiting.look(lambda v, n: seen.append((v.tolist(), n.item(), n.dtype)), value, torch.tensor(3))
    for factor in (2, 3):
        value *= factor
        without_waiting.send(owner, looks)
    without_waiting.read(owner)
    assert seen == [([2.0, 4.0], 3, torch.int64), ([6.0, 12.0], 3, torch.int64)]
