# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Captured steps, by recorders for a CPU: everything around the CUDA graph, and what a graph would not notice."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.data import MetaTensor
from monai.engines import SupervisedTrainer
from monai.handlers import LrScheduleHandler
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from monai_debias import without_waiting
from monai_debias.attached import attached, plain_tensor
from monai_debias.engines import CapturedIteration, PrepareBatchAttached
from monai_debias.handlers import FiniteLoss, GradientClipping, LossTerms, RelevanceWeightSchedule, RequireMasks
from monai_debias.inferers import ISNetInferer
from monai_debias.losses import ISNetLRPLoss, MixupLoss, SpectralDecouplingLoss
from monai_debias.relevance.some_rows import SomeRows
from monai_debias.transforms import MixBatchd

EXAMPLES = {
    CapturedIteration: [{}, {"warm_up": 1, "limit": 2}],
    CapturedIteration.__call__: lambda _: {"engine": started(), "batchdata": batches([4], masks=False)[0]},
}
SIZE = 12
WAITING = ("_local_scalar_dense", "equal", "is_nonzero", "nonzero", "masked_select")


def again(compute: Callable[[], Any]) -> Callable[[], Any]:
    """A recorder that runs the same Python again: the way of the data through the buffers, without a graph."""
    return compute


class Tape(TorchDispatchMode):
    """A recorder that runs the same operations again, without their Python, in the same memory, as a CUDA graph does.

    It refuses what would wait for values. A recording leaves no trace: what it computed is taken back.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.operations: list[tuple[Callable, tuple, dict, list[tuple[torch.Tensor, int]]]] = []

    def __call__(self, compute: Callable[[], Any]) -> Callable[[], Any]:
        self.operations = []
        touched = [*self.network.buffers(), *(p.grad for p in self.network.parameters() if p.grad is not None)]
        before, state = [t.clone() for t in touched], torch.get_rng_state()
        try:
            with self:
                result = compute()
        finally:
            torch.set_rng_state(state)
            for tensor, value in zip(touched, before, strict=True):
                tensor.copy_(value)
        operations = self.operations

        def replay() -> Any:
            with torch.no_grad():
                for function, args, kwargs, made in operations:
                    found = torch.utils._pytree.tree_leaves(function(*args, **kwargs))
                    for tensor, place in made:
                        tensor.copy_(found[place])
            return result

        return replay

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if SomeRows in types:
            return NotImplemented  # it comes back as operations on what has memory, which are those of a CUDA graph
        if function.overloadpacket.__name__ in WAITING:
            raise RuntimeError(f"{function} waits for values.")
        result = function(*args, **(kwargs or {}))
        given = {
            t.untyped_storage().data_ptr() for t in torch.utils._pytree.tree_leaves((args, kwargs)) if is_tensor(t)
        }
        leaves = torch.utils._pytree.tree_leaves(result)
        made = [(t, n) for n, t in enumerate(leaves) if is_tensor(t) and t.untyped_storage().data_ptr() not in given]
        self.operations.append((function, args, kwargs or {}, made))
        return result


def is_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.numel() > 0


def make_network(dropout: float = 0.0) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 6, 3, stride=2),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 3),
    )


def batches(sizes: list[int], masks: bool = True, few: bool = False, meta: bool = False) -> list[dict[str, Any]]:
    generator, made = torch.Generator().manual_seed(1), []
    for n in sizes:
        image = torch.rand(n, 1, SIZE, SIZE, generator=generator)
        batch: dict[str, Any] = {"image": image, "label": torch.randint(3, (n,), generator=generator)}
        if masks:
            batch["mask"] = torch.zeros(n, 1, SIZE, SIZE)
            batch["mask"][..., 3:9, 4:10] = 1
        if few:
            batch["has_mask"] = torch.arange(n) % 2 == 0
        if meta:
            batch["image"] = MetaTensor(image, meta={"filename_or_obj": [f"{i}.png" for i in range(n)]})
        made.append(batch)
    return made


class Training:
    """A training, what it computed in each step, and its weights in the end."""

    def __init__(self, capture: CapturedIteration | None, data: list[dict[str, Any]], epochs: int = 1, **options: Any):
        network = options.pop("network", None) or make_network()
        if capture is not None and isinstance(capture.record, Tape):
            capture.record.network = network
        self.network, self.outputs, self.losses = network, [], []
        optimizer = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9)
        handlers = options.pop("handlers", lambda *_: [])(network, options["loss_function"], optimizer)
        self.trainer = SupervisedTrainer(
            device="cpu",
            max_epochs=epochs,
            train_data_loader=data,
            network=network,
            optimizer=optimizer,
            prepare_batch=options.pop("prepare_batch", None) or PrepareBatchAttached(),
            iteration_update=capture,
            train_handlers=handlers,
            decollate=False,
            **options,
        )
        self.trainer.add_event_handler(Events.ITERATION_COMPLETED, self._keep)
        torch.manual_seed(3)
        self.trainer.run()

    def _keep(self, engine: Any) -> None:
        self.losses.append(engine.state.output["loss"].item())
        self.outputs.append(engine.state.output)

    def equals(self, other: Training) -> bool:
        pairs = zip(self.network.state_dict().items(), other.network.state_dict().items(), strict=True)
        return self.losses == other.losses and all(torch.equal(a, b) for (_, a), (_, b) in pairs)


def scheduled(network: nn.Module, loss: Any, optimizer: torch.optim.Optimizer) -> list[Any]:
    rate = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    return [
        RequireMasks(),
        FiniteLoss(),
        RelevanceWeightSchedule(loss, {0: 0.0, 2: 0.4}),
        LrScheduleHandler(rate, print_lr=False),
        GradientClipping(network, 5.0),
        LossTerms(loss),
    ]


def isnet(target: Any = "selective", **options: Any) -> dict[str, Any]:
    return {"inferer": ISNetInferer(target, **options), "loss_function": ISNetLRPLoss(), "handlers": scheduled}


def mixed() -> dict[str, Any]:
    mixup = MixBatchd.mixup("image", num_classes=3).set_random_state(0)
    return {"prepare_batch": PrepareBatchAttached(mixup), "loss_function": MixupLoss()}


def everything() -> dict[str, Any]:
    parts = isnet("selective_label", layers=["3"], interval=3)
    return {**parts, "accumulation_steps": 2, "optim_set_to_none": True}


VARIANTS: dict[str, tuple[Callable[[], dict[str, Any]], dict[str, Any]]] = {
    "plain": (lambda: {"loss_function": nn.CrossEntropyLoss(), "network": make_network(0.5)}, {"masks": False}),
    "spectral decoupling": (lambda: {"loss_function": SpectralDecouplingLoss()}, {"masks": False}),
    "mixup": (mixed, {"masks": False}),
    "selective": (isnet, {}),
    "stochastic": (lambda: isnet("stochastic"), {}),
    "some masks": (lambda: isnet("all"), {"few": True}),
    "everything": (everything, {}),
}


def started() -> SupervisedTrainer:
    """A trainer in the middle of a training."""
    return Training(None, batches([4], masks=False), loss_function=nn.CrossEntropyLoss()).trainer


def recordings(capture: CapturedIteration) -> int:
    return sum(step.replay is not None for step in capture._steps.values())


def test_fifty_steps_through_the_buffers_are_those_of_an_eager_training() -> None:
    data = batches([4] * 9 + [3])
    eager = Training(None, data, epochs=5, **everything())
    capture = CapturedIteration(record=again)
    captured = Training(capture, data, epochs=5, **everything())
    assert len(captured.losses) == 50
    assert captured.equals(eager)
    assert captured.trainer.state.metrics == eager.trainer.state.metrics
    assert recordings(capture) == 2  # with a heatmap and without


@pytest.mark.parametrize("name", VARIANTS)
def test_replays_without_python_are_the_steps_of_an_eager_training(name, monkeypatch) -> None:
    """P, the learning rate, random numbers and what takes turns reach the operations by tensors, or make new ones."""
    make, kind = VARIANTS[name]
    data = batches([4, 4, 4, 4, 3], **kind)
    eager = Training(None, data, epochs=2, **make())
    monkeypatch.setattr(without_waiting, "AT_ONCE", frozenset())  # checks are gathered, as on a GPU
    capture = CapturedIteration(warm_up=1, record=Tape(make_network()))
    captured = Training(capture, data, epochs=2, **make())
    assert recordings(capture) >= 2, capture._said  # the last batch of an epoch is smaller
    assert captured.equals(eager)


def test_outputs_are_those_of_an_eager_step_and_stay_as_they_are() -> None:
    data = batches([4] * 4, meta=True)
    for options in (isnet, lambda: {"loss_function": nn.CrossEntropyLoss()}):
        given = [{k: v for k, v in batch.items() if k != "mask" or options is isnet} for batch in data]
        eager = Training(None, given, **options())
        captured = Training(CapturedIteration(warm_up=1, record=again), given, **options())
        for one, other in zip(captured.outputs, eager.outputs, strict=True):
            assert list(one) == list(other)
            for key, value in other.items():
                ours, theirs = plain_tensor(one[key]), plain_tensor(value)
                assert torch.equal(ours, theirs)
                if key != "loss":
                    assert type(ours) is type(theirs)
                    assert getattr(ours, "meta", None) == getattr(theirs, "meta", None)
            heatmaps = attached(one["pred"], "heatmap"), attached(other["pred"], "heatmap")
            assert heatmaps == (None, None) or torch.equal(*heatmaps)
        assert not captured.outputs[-1]["pred"].requires_grad


def test_what_cannot_be_recorded_runs_eagerly_and_says_so_once(caplog) -> None:
    class Looks(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.mean().item() < 100 else -x

    def training(capture: CapturedIteration | None, **options: Any) -> Training:
        return Training(capture, batches([4] * 4, masks=False), loss_function=nn.CrossEntropyLoss(), **options)

    def looking() -> nn.Module:
        return make_network().append(Looks())

    def hooked() -> nn.Module:
        network = make_network()
        network[0].register_forward_hook(lambda *_: None)
        return network

    cases = [
        ({}, make_network, "the device is cpu"),
        ({"record": Tape(make_network())}, looking, "_local_scalar_dense"),
        ({"record": again}, hooked, "hooks"),
        ({"record": again}, lambda: nn.DataParallel(make_network()), "DataParallel exchanges"),
    ]
    for arguments, make, reason in cases:
        caplog.clear()
        with caplog.at_level(logging.WARNING, "CapturedIteration"):
            captured = training(CapturedIteration(warm_up=1, **arguments), network=make())
        assert captured.equals(training(None, network=make())), reason
        messages = [record.message for record in caplog.records if record.name == "CapturedIteration"]
        assert len(messages) == 1
        assert reason in messages[0]


def test_there_are_at_most_so_many_recordings(caplog) -> None:
    data = batches([2, 3, 4, 5], masks=False)
    capture = CapturedIteration(warm_up=1, limit=2, record=again)
    captured = Training(capture, data, epochs=3, loss_function=nn.CrossEntropyLoss())
    assert recordings(capture) == 2
    assert captured.equals(Training(None, data, epochs=3, loss_function=nn.CrossEntropyLoss()))
    assert "more than 2 kinds" in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        lambda inferer: inferer.rules.update(epsilon=1.0),
        lambda inferer: setattr(inferer, "layers", ("3",)),
        lambda inferer: setattr(inferer, "target", lambda logits: logits.square().sum(1)),
    ],
    ids=["rules", "layers", "target"],
)
def test_a_setting_that_changes_in_the_middle_leads_to_another_recording(change, monkeypatch) -> None:
    def changing() -> dict[str, Any]:
        parts = isnet()

        class Change:
            def attach(self, engine: Any) -> None:
                engine.add_event_handler(Events.ITERATION_STARTED(once=4), lambda: change(parts["inferer"]))

        return {**parts, "handlers": lambda *given: [*scheduled(*given), Change()]}

    data = batches([4] * 6)
    eager = Training(None, data, **changing())
    monkeypatch.setattr(without_waiting, "AT_ONCE", frozenset())
    capture = CapturedIteration(warm_up=1, record=Tape(make_network()))
    assert Training(capture, data, **changing()).equals(eager)
    assert recordings(capture) == 2
