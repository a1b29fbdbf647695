# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The random number generators of a training, as a state that can be saved and restored."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine
from monai.transforms import Randomizable

from monai_debias.distributed import gathered, n_processes, own_share

__all__ = ["RandomStates", "random_transforms"]

# parts of a MONAI trainer that may draw random numbers, besides its data loader
_PARTS = ("prepare_batch", "inferer", "loss_function")


class RandomStates:
    """The random states of Python, NumPy and torch, and those of a trainer's sampler, transforms and other parts.

    The processes of a data loader begin each epoch with seeds from torch's state in the main process, so that nothing
    of them needs saving. Processes that outlive an epoch (``persistent_workers``) are the exception. In distributed
    training every process gets its own states back, if the number of processes is the same.

    Args:
        engine: the trainer, which has a data loader once it has started.

    Example:
        >>> def step(engine, batch):
        ...     return torch.rand(()).item()
        >>> trainer = Engine(step)
        >>> state = RandomStates(trainer).state_dict()
        >>> first = trainer.run([0]).output
        >>> RandomStates(trainer).load_state_dict(state)
        >>> trainer.run([0]).output == first
        True
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.logger = logging.getLogger(type(self).__name__)

    def state_dict(self) -> dict[str, Any]:
        """The states of every process, in plain values and tensors."""
        return {"processes": gathered([self._own()])}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the states of this process."""
        processes = state["processes"]
        if len(processes) != n_processes():
            self.logger.warning(
                "%d processes resume a training of %d: they draw other random numbers, and see other batches.",
                n_processes(),
                len(processes),
            )
            return
        own = own_share(processes)[0]
        random.setstate(own["python"])
        np.random.set_state(_to_numpy(own["numpy"]))  # noqa: NPY002
        torch.set_rng_state(own["torch"])
        if torch.cuda.is_available() and len(own["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(own["cuda"])
        for generator, saved in zip(self._torch_generators(), own["generators"], strict=True):
            generator.set_state(saved)
        self._load_transforms(own["transforms"])

    def _own(self) -> dict[str, Any]:
        return {
            "python": random.getstate(),
            "numpy": _from_numpy(np.random.get_state()),  # noqa: NPY002
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "generators": [generator.get_state() for generator in self._torch_generators()],
            "transforms": self._transforms(),
        }

    def _transforms(self) -> dict[str, Any]:
        """The states of the transforms, each once, and which one each transform has: they may share one."""
        states = {id(r): r for r in [Randomizable.R, *(owner.R for owner in random_transforms(self.engine))]}
        places = {key: i for i, key in enumerate(states)}
        return {
            "states": [_from_numpy(r.get_state()) for r in states.values()],
            "owners": [places[id(owner.R)] for owner in random_transforms(self.engine)],
        }

    def _load_transforms(self, saved: Mapping[str, Any]) -> None:
        """Give each transform its state; one that has not drawn yet still has MONAI's, which all share."""
        states = [Randomizable.R, *(np.random.RandomState() for _ in saved["states"][1:])]
        for state, content in zip(states, saved["states"], strict=True):
            state.set_state(_to_numpy(content))
        for owner, place in zip(random_transforms(self.engine), saved["owners"], strict=True):
            owner.R = states[place]

    def _torch_generators(self) -> list[torch.Generator]:
        return [part for part in _parts(self.engine) if isinstance(part, torch.Generator)]


def random_transforms(engine: Engine) -> list[Any]:
    """Find the objects with a MONAI random state ``R`` in a trainer's data loader and other parts.

    Args:
        engine: the trainer, after it has started.

    Returns:
        The objects, in the order in which the configuration names them.

    Example:
        >>> random_transforms(Engine(lambda engine, batch: None))
        []
    """
    return [part for part in _parts(engine) if isinstance(getattr(part, "R", None), np.random.RandomState)]


def _parts(engine: Engine) -> list[Any]:
    """All objects within the trainer's parts, each once, in a fixed order."""
    found: dict[int, Any] = {}
    waiting = [engine.state.dataloader, *(getattr(engine, name, None) for name in _PARTS)]
    for part in waiting:  # which grows during the loop
        if id(part) in found or isinstance(part, type | ModuleType | torch.Tensor | str | int | float | None):
            continue
        found[id(part)] = part
        waiting += part if isinstance(part, list | tuple) else vars(part).values() if hasattr(part, "__dict__") else []
    return list(found.values())


def _from_numpy(state: Any) -> tuple[Any, ...]:
    return (state[0], torch.from_numpy(state[1].astype(np.int64)), *state[2:])


def _to_numpy(state: Any) -> tuple[Any, ...]:
    return (state[0], state[1].numpy().astype(np.uint32), *state[2:])
