# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Values of tensors that are looked at without making the CPU wait for a GPU.

A line like ``if bool(mask.any())`` makes the CPU wait until a GPU has done all that it was given, and the GPU then wait
for the CPU. So what is to be looked at in a training step is copied to the CPU at the end of the step, all at once and
while the GPU goes on, and looked at one step later. On the CPU, and outside of training steps, nothing has to wait, and
it is looked at immediately. A check that fails late says to which iteration it belongs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, NamedTuple
from weakref import ReferenceType, WeakKeyDictionary, ref

import torch
from ignite.engine import Engine, Events

__all__ = ["follow", "gathered", "in_training_step", "look", "read", "send", "training_step", "waits"]

AT_ONCE = frozenset({"cpu"})  # types of devices whose values are there without waiting


class Iteration(NamedTuple):
    """An iteration of a training."""

    engine: ReferenceType[Engine]
    name: str


_here = threading.local()  # .looks: what the open step of this thread has gathered; .iteration: in which it is
_unread: WeakKeyDictionary[Any, _Copied] = WeakKeyDictionary()  # by the owner of the step


class Look(NamedTuple):
    """Values, and the function of them that is called as soon as they are on the CPU."""

    then: Callable[..., None]
    values: tuple[torch.Tensor, ...]


def waits(tensor: torch.Tensor) -> bool:
    """Whether the CPU would have to wait for the values of a tensor."""
    return tensor.device.type not in AT_ONCE


def look(then: Callable[..., None], *values: torch.Tensor) -> None:
    """Call a function with values of tensors: at once on the CPU, in a training step on a GPU one step later.

    Args:
        then: takes the values as tensors on the CPU, without gradients; what it raises ends the training.
        values: small tensors. All that is large is reduced before, on its own device.

    Example:
        >>> look(lambda loss: print(f"the loss is {loss.item():g}"), torch.tensor(0.5))
        the loss is 0.5
    """
    values = tuple(value.as_subclass(torch.Tensor).detach() for value in values)
    looks = getattr(_here, "looks", None)
    if looks is not None and any(map(waits, values)):
        looks.append(Look(then, values))
    else:
        then(*(value.cpu() for value in values))


@contextmanager
def training_step(owner: Any, is_training: bool = True) -> Iterator[None]:
    """What is looked at inside is read at the end of the next step of the same owner.

    Args:
        owner: a loss, an inferer or a handler. Inside the step of another one it is a part of that step.
        is_training: without it nothing is late, and what the last step has left is read before.
    """
    if getattr(_here, "looks", None) is not None:
        yield
        return
    if not is_training:
        read(owner)
        yield
        return
    with gathered() as looks:
        yield
    send(owner, looks)


def in_training_step(forward: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Let the checks in the ``forward`` of a loss be those of a training step where its predictions have gradients."""

    @wraps(forward)
    def in_step(self: Any, pred: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        with training_step(self, torch.is_grad_enabled() and getattr(pred, "requires_grad", False)):
            return forward(self, pred, *args, **kwargs)

    return in_step


@contextmanager
def gathered() -> Iterator[list[Look]]:
    """Gather what is looked at inside, to be given to :func:`send`; a captured step gives it after each replay."""
    outer, _here.looks = getattr(_here, "looks", None), []
    try:
        yield _here.looks
    finally:
        _here.looks = outer


def send(owner: Any, looks: Sequence[Look]) -> None:
    """Begin to copy values to the CPU, and read those that the same owner has sent before in the same training.

    Args:
        owner: whose step it is.
        looks: from :func:`gathered`.
    """
    earlier, iteration = _unread.pop(owner, None), getattr(_here, "iteration", None)
    if looks:
        _unread[owner] = _Copied(looks, iteration)
    if earlier is not None and _same_training(earlier.iteration, iteration):  # another one ended with an error
        earlier.read()


def _same_training(one: Iteration | None, other: Iteration | None) -> bool:
    return one is None or other is None or one.engine == other.engine


def read(owner: Any) -> None:
    """Read what an owner has sent and nobody has read, which may wait.

    Raises:
        Exception: what the functions given to :func:`look` raise; the message names the iteration.
    """
    copied = _unread.pop(owner, None)
    if copied is not None:
        copied.read()


def follow(engine: Engine) -> None:
    """Let messages name the iterations of a trainer, and leave nothing unread after an epoch, before anything is saved.

    Every handler of this package that acts in each iteration calls it; more than one call has no further effect.
    """
    if not engine.has_event_handler(_begin):
        engine.add_event_handler(Events.STARTED, _forget)
        engine.add_event_handler(Events.ITERATION_STARTED, _begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, _end)
        engine.add_event_handler(Events.EPOCH_COMPLETED, _read_all)
        engine.add_event_handler(Events.COMPLETED, _read_all)


def _forget(engine: Engine) -> None:
    """Drop what a run of the same trainer that ended with an error has left."""
    for owner in _owners(engine):
        del _unread[owner]


def _begin(engine: Engine) -> None:
    _here.iteration = Iteration(ref(engine), f"iteration {engine.state.iteration} (epoch {engine.state.epoch})")


def _end(engine: Engine) -> None:
    _here.iteration = None
    length = engine.state.epoch_length
    if length and engine.state.iteration % length == 0:  # before the handlers of the epoch
        _read_all(engine)


def _read_all(engine: Engine) -> None:
    for owner in _owners(engine):
        read(owner)


def _owners(engine: Engine) -> list[Any]:
    return [owner for owner, copied in _unread.items() if copied.belongs_to(engine)]


class _Copied:
    """Values on their way to the CPU."""

    def __init__(self, looks: Sequence[Look], iteration: Iteration | None) -> None:
        self.looks, self.iteration = looks, iteration
        flat = [value.reshape(-1) for look in looks for value in look.values if waits(value)]
        wide = torch.float32 if flat[0].device.type == "mps" else torch.float64
        self.packed, self.arrived = _to_cpu(torch.cat([*flat, flat[0].new_zeros(1, dtype=wide)]))

    def belongs_to(self, engine: Engine | None) -> bool:
        """Whether it was sent in a training."""
        return self.iteration is not None and self.iteration.engine() is engine

    def read(self) -> None:
        """Wait for the values, and give them to the functions that look at them."""
        self.arrived()
        numbers = self.packed.cpu()
        for then, values in self.looks:
            there = []
            for value in values:
                if waits(value):
                    part, numbers = numbers[: value.numel()], numbers[value.numel() :]
                    value = part.to(value.dtype).reshape(value.shape)
                there.append(value)
            try:
                then(*there)
            except (ValueError, FloatingPointError, RuntimeError) as error:
                raise type(error)(f"{error} {self._late()}") from error

    def _late(self) -> str:
        which = "the training step before" if self.iteration is None else self.iteration.name
        return f"This belongs to {which}: on a GPU values are looked at one step later."


def _to_cpu(values: torch.Tensor) -> tuple[torch.Tensor, Callable[[], None]]:
    """A copy that is made while the CPU goes on, and a function that waits for it."""
    if values.device.type != "cuda":
        return values, lambda: None
    copy, event = values.to("cpu", non_blocking=True), torch.cuda.Event()
    event.record(torch.cuda.current_stream(values.device))
    return copy, event.synchronize
