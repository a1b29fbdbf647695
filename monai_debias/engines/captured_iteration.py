# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The step of a MONAI trainer as a CUDA graph: recorded once, and replayed without Python."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from monai.data import MetaTensor
from monai.engines.utils import IterationEvents
from monai.utils import CommonKeys

from monai_debias.attached import map_tensors, plain_tensor, take_apart
from monai_debias.constraints import FUNCTION, NONE, Integer
from monai_debias.engines.accumulation import begins_to_accumulate, steps_now
from monai_debias.engines.cuda_graph import GraphRecorder
from monai_debias.engines.step_kind import has_hooks, inferers_of, kind_of, why_never
from monai_debias.losses.nested import parts_of
from monai_debias.parameters import expects
from monai_debias.without_waiting import Look, gathered, send

__all__ = ["CapturedIteration"]

_ERRORS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
Recorder = Callable[[Callable[[], Any]], Callable[[], Any]]


@dataclass
class _Computed:
    """What a step leaves, without gradients: the next replay overwrites it."""

    pred: torch.Tensor
    loss: torch.Tensor
    terms: list[tuple[Any, dict[str, torch.Tensor]]]
    looks: list[Look]


@dataclass
class _Step:
    """Steps of one kind: with batches of the same shapes, and the same settings."""

    kept: Any = None  # the engine's parts, so that their identity stays theirs
    eager: int = 0
    refused: bool = False
    buffers: list[torch.Tensor] = field(default_factory=list)
    replay: Callable[[], _Computed] | None = None
    meta: bool = False  # whether predictions are MetaTensors


class CapturedIteration:
    """``iteration_update`` of a ``SupervisedTrainer`` that replays forward pass, loss and backward pass as a graph.

    A step of an ISNet has many small operations, for which a GPU mostly waits for Python. Recorded, they are started
    all at once. The first steps with batches of a shape run eagerly, then one is recorded. Clipping, gradient scaler
    and optimiser stay outside of the graph and run as always, while the GPU still computes: so schedules of the
    learning rate, skipped steps, accumulation and handlers mean what they mean in a plain training. P of
    ``ISNetLRPLoss`` may change in every step. Another setting that changes (``interval``, ``active``, cuts, a frozen
    layer, an attribute of a loss or inferer) leads to a recording of its own.

    After a step ``engine.state.output`` has the keys of a plain one; ``"pred"`` with what is attached to it and
    ``"loss"`` are copies, which nothing overwrites, and have no gradient. The handlers of ``FORWARD_COMPLETED`` and
    ``LOSS_COMPLETED`` are called after the backward pass, and before the optimiser's step.

    What cannot be recorded runs eagerly, and a log message says once why: on another device than CUDA; with
    ``DistributedDataParallel``; with hooks in the network (Manifold Mixup and Flow-Mixup mix hidden states by them); a
    network or loss whose Python looks at values; batches of more kinds than ``limit``. What is not a tensor in the
    network itself, e.g. the rate of a dropout, must not change during a training.

    Args:
        warm_up: how many steps of a kind run eagerly before one is recorded.
        limit: how many kinds of steps are recorded; each has a graph, all share their memory.
        record: what records, instead of a CUDA graph: takes a function, and returns one that does it again with what
            is in its tensors then.

    Raises:
        ValueError: when ``warm_up`` or ``limit`` is below 1.

    Example:
        >>> from monai.engines import SupervisedTrainer
        >>> network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2))
        >>> trainer = SupervisedTrainer(
        ...     device="cpu", max_epochs=1, network=network, loss_function=torch.nn.CrossEntropyLoss(),
        ...     train_data_loader=[{"image": torch.rand(3, 1, 4), "label": torch.tensor([0, 1, 1])}] * 5,
        ...     optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        ...     iteration_update=CapturedIteration(record=lambda compute: compute),  # on a CPU nothing is recorded
        ... )
        >>> trainer.run()
        >>> trainer.state.output[0]["pred"].shape
        torch.Size([2])
    """

    @expects(warm_up=Integer("[1, inf)"), limit=Integer("[1, inf)"), record=NONE | FUNCTION)
    def __init__(self, warm_up: int = 3, limit: int = 16, record: Recorder | None = None) -> None:
        self.warm_up = warm_up
        self.limit = limit
        self.record = record
        self.logger = logging.getLogger(type(self).__name__)
        self._graphs: GraphRecorder | None = None
        self._steps: dict[Hashable, _Step] = {}
        self._gradients: dict[torch.nn.Parameter, torch.Tensor] = {}
        self._said: set[str] = set()

    def __call__(self, engine: Any, batchdata: Any) -> dict:
        """Do one iteration of a trainer.

        Args:
            engine: the ``SupervisedTrainer``.
            batchdata: its batch.

        Returns:
            ``engine.state.output``.
        """
        device = torch.device(engine.state.device)
        never = why_never(engine, device_records=self.record is not None or device.type == "cuda")
        if never:
            self._say(never)
            return engine._iteration(engine, batchdata)
        with self._aside(device):
            prepared = engine.prepare_batch(batchdata, engine.state.device, engine.non_blocking, **engine.to_kwargs)
            engine.network.train()
            step = self._step(engine, prepared)
            if step is None or not self._is_recorded(engine, step, prepared):
                return _eagerly(engine, batchdata, prepared, step)
            return self._replayed(engine, step, prepared)

    def _aside(self, device: torch.device) -> AbstractContextManager[None]:
        if self.record is not None:
            return nullcontext()
        if self._graphs is None:
            self._graphs = GraphRecorder(device)
        return self._graphs.aside()

    def _step(self, engine: Any, prepared: Any) -> _Step | None:
        """The steps of the same kind as this one; None if it can have none."""
        if has_hooks(engine.network):
            self._say("the network has hooks, by which Manifold Mixup and Flow-Mixup mix hidden states")
            return None
        kept = engine.loss_function, engine.inferer, engine.network, engine.scaler if engine.amp else None
        return self._steps.setdefault(kind_of(engine, prepared), _Step(kept))

    def _is_recorded(self, engine: Any, step: _Step, prepared: Any) -> bool:
        """Whether there is a recording of such steps, which is made when enough of them have run eagerly."""
        step.eager += step.replay is None
        if step.replay is None and step.eager > self.warm_up and not step.refused:
            step.refused = not self._record(engine, step, prepared)
        return step.replay is not None

    def _record(self, engine: Any, step: _Step, prepared: Any) -> bool:
        """Record a step; whether that was possible."""
        if sum(other.replay is not None for other in self._steps.values()) >= self.limit:
            self._say(f"there are more than {self.limit} kinds of them, by shapes and settings")
            return False
        static = map_tensors(prepared, lambda tensor: tensor.as_subclass(torch.Tensor).detach().clone())
        step.buffers = _tensors(static)
        for part in parts_of(engine.loss_function):
            if hasattr(part, "keep_on_device"):
                part.keep_on_device(step.buffers[0].device)
        for parameter in engine.network.parameters():
            if parameter.grad is not None:
                self._gradients.setdefault(parameter, parameter.grad)
        self._gather_gradients()
        record = self.record or self._graphs.record  # type: ignore[union-attr]
        try:
            with _not_counted(engine, 0):
                step.replay = record(lambda: _compute(engine, static))
        except _ERRORS as error:  # if it is a mistake, the eager step ends with it
            self._say(f"{type(error).__name__} while one was recorded: {error}")
            return False
        return True

    def _say(self, reason: str) -> None:
        if reason not in self._said:
            self._said.add(reason)
            self.logger.warning("steps are not captured, but run eagerly: %s", reason)

    def _replayed(self, engine: Any, step: _Step, prepared: Any) -> dict:
        for buffer, tensor in zip(step.buffers, _tensors(prepared), strict=True):
            buffer.copy_(tensor.as_subclass(torch.Tensor), non_blocking=True)
        self._gather_gradients()
        if begins_to_accumulate(engine):
            engine.optimizer.zero_grad(set_to_none=False)
        assert step.replay is not None
        with _not_counted(engine, 1):
            computed = step.replay()
        send(self, computed.looks)
        for part, terms in computed.terms:
            part.terms = {name: value.clone() for name, value in terms.items()}
        engine.state.output = _output(prepared, computed, step.meta)
        return _finish(engine)

    def _gather_gradients(self) -> None:
        """Let gradients be where the recordings write them, whatever has replaced or dropped them."""
        for parameter, gradient in self._gradients.items():
            if parameter.grad is not gradient:
                gradient.zero_() if parameter.grad is None else gradient.copy_(parameter.grad)
                parameter.grad = gradient


def _eagerly(engine: Any, batchdata: Any, prepared: Any, step: _Step | None) -> dict:
    """The trainer's own iteration, with a batch that is prepared already."""

    def look_at_type() -> None:  # before handlers decollate it
        if step is not None:
            step.meta = isinstance(plain_tensor(engine.state.output[CommonKeys.PRED]), MetaTensor)

    prepare_batch, engine.prepare_batch = engine.prepare_batch, lambda *_, **__: prepared
    try:
        with engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, look_at_type):
            return engine._iteration(engine, batchdata)
    finally:
        engine.prepare_batch = prepare_batch


def _compute(engine: Any, prepared: Any) -> _Computed:
    """What is recorded: forward pass, loss and backward pass, as the trainer does them."""
    inputs, targets, args, kwargs = prepared if len(prepared) == 4 else (*prepared, (), {})
    scaler = engine.scaler if engine.amp else None
    with gathered() as looks:
        with nullcontext() if scaler is None else torch.autocast("cuda", **engine.amp_kwargs):
            pred = engine.inferer(inputs, engine.network, *args, **kwargs)
            loss = engine.loss_function(pred, targets).mean()
        share = loss / engine.accumulation_steps if engine.accumulation_steps > 1 else loss
        (share if scaler is None else scaler.scale(share)).backward()
    terms = [(part, part.terms) for part in parts_of(engine.loss_function) if getattr(part, "terms", None)]
    return _Computed(map_tensors(pred, torch.Tensor.detach), loss.detach(), terms, looks)


def _output(prepared: Any, computed: _Computed, meta: bool) -> dict[str, Any]:
    """What an eager step leaves in the trainer's state, without gradients: image and label as they came, and copies."""
    image: Any = plain_tensor(prepared[0])
    logits = plain_tensor(computed.pred)
    for tensor in prepared[:2]:
        take_apart(tensor)  # the recording has used what is attached

    def copied(tensor: torch.Tensor) -> torch.Tensor:
        if meta and tensor is logits:
            return MetaTensor(tensor.clone(), meta=image.meta, applied_operations=image.applied_operations)
        return tensor.clone()

    output: dict[str, Any] = {CommonKeys.IMAGE: prepared[0], CommonKeys.LABEL: prepared[1]}
    return {**output, CommonKeys.PRED: map_tensors(computed.pred, copied), CommonKeys.LOSS: computed.loss.clone()}


def _finish(engine: Any) -> dict:
    """The events of a step, and the optimiser."""
    engine.fire_event(IterationEvents.FORWARD_COMPLETED)
    engine.fire_event(IterationEvents.LOSS_COMPLETED)
    engine.fire_event(IterationEvents.BACKWARD_COMPLETED)
    if steps_now(engine):
        if engine.amp and engine.scaler is not None:
            engine.scaler.step(engine.optimizer)
            engine.scaler.update()
        else:
            engine.optimizer.step()
    engine.fire_event(IterationEvents.MODEL_COMPLETED)
    return engine.state.output


@contextmanager
def _not_counted(engine: Any, iterations: int) -> Iterator[None]:
    """Let inferers count so many iterations, however often they are called inside."""
    counted = [(inferer, inferer.calls) for inferer in inferers_of(engine) if hasattr(inferer, "calls")]
    try:
        yield
    finally:
        for inferer, calls in counted:
            inferer.calls = calls + iterations * inferer.active


def _tensors(value: Any) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        found.append(tensor)
        return tensor

    map_tensors(value, keep)
    return found
