# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Mixes hidden states of a network in its next training pass, and leaves the network as it was."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.nn.parallel import DataParallel, DistributedDataParallel

__all__ = ["ArmedNetwork", "Mixture", "mix_rows"]


class Mixture(NamedTuple):
    """Which state is mixed and how: row i with the share λ = ``weight``, row ``order[i]`` with the rest."""

    layer: str
    weight: float
    order: np.ndarray


def mix_rows(rows: torch.Tensor, mixture: Mixture) -> torch.Tensor:
    """λ·x + (1 − λ)·x[π] for rows x of shape (B, ...)."""
    order = torch.as_tensor(mixture.order, device=rows.device)
    return mixture.weight * rows + (1 - mixture.weight) * rows[order]


class ArmedNetwork:
    """A network whose named states are mixed in its next training pass: once, in training mode and with gradients.

    The network itself carries no hook until that pass begins, and none when it has ended or failed: it can be copied,
    saved, scripted and exported meanwhile, and passes of evaluation are what they always are.

    Args:
        network: classifier; one in ``DistributedDataParallel`` is unwrapped.
        mixtures: of the first ``n_samples`` rows of each state, in the order in which the network computes the states.
        n_samples: number of un-mixed rows B.
        n_rows: rows of the network's input: B, or more with rows appended that are left as they are.
        append: whether mixed rows are appended to a state, or take the place of the un-mixed ones.

    Raises:
        ValueError: when a layer does not exist; in the pass, when the input has other rows, or a state is not mixed
            once and in its turn.
        TypeError: when the network is a ``DataParallel`` or compiled one, whose hooks do not run; in the pass, when a
            state is not a tensor.
    """

    def __init__(
        self, network: torch.nn.Module, mixtures: Sequence[Mixture], n_samples: int, n_rows: int, append: bool
    ) -> None:
        inner = network.module if isinstance(network, DistributedDataParallel) else network
        if isinstance(inner, DataParallel) or hasattr(inner, "_orig_mod") or inner._compiled_call_impl is not None:
            raise TypeError(
                f"hidden states of a {type(inner).__name__} cannot be mixed when it is compiled or in DataParallel: "
                "give the network itself, or in DistributedDataParallel, and do not compile it for training."
            )
        modules = dict(inner.named_modules())
        unknown = [mixture.layer for mixture in mixtures if mixture.layer not in modules]
        if unknown:
            known = ", ".join(name for name in modules if name)
            raise ValueError(f"the network has no layers {unknown}; it has {known}.")
        self._network = weakref.ref(inner)
        self._modules = [modules[mixture.layer] for mixture in mixtures]
        self._mixtures = list(mixtures)
        self._n_samples = n_samples
        self._n_rows = n_rows
        self._append = append
        self._hooks: list[Any] = []
        self._mixed = 0  # states so far
        self._trigger = register_module_forward_pre_hook(self._begin)
        self.waiting = True

    def disarm(self) -> None:
        """Mix nothing any more."""
        self.waiting = False
        for hook in (self._trigger, *self._hooks):
            hook.remove()

    def _begin(self, module: torch.nn.Module, args: tuple) -> None:
        if module is not self._network() or not (module.training and torch.is_grad_enabled()):
            return
        self.disarm()
        found = {len(value) for value in args if isinstance(value, torch.Tensor) and value.ndim > 0}
        if found and self._n_rows not in found:
            raise ValueError(
                f"the states of the network are to be mixed for a batch of {self._n_rows} rows, but it is given one of "
                f"{sorted(found)}. Give it the batch that was mixed last; for another training pass call disarm()."
            )
        self._hooks = [
            state.register_forward_hook(partial(self._mix, index=index)) for index, state in enumerate(self._modules)
        ]
        self._hooks.append(module.register_forward_hook(self._end, always_call=True))

    def _mix(self, module: torch.nn.Module, args: tuple, state: Any, index: int) -> torch.Tensor:
        mixture = self._mixtures[index]
        if index < self._mixed:
            raise ValueError(
                f"layer {mixture.layer!r} runs twice in one pass, so that its state is not unique: choose another one."
            )
        if index > self._mixed:
            raise ValueError(
                f"layer {mixture.layer!r} runs before {self._mixtures[self._mixed].layer!r}: give the layers in the "
                "order in which the network computes them."
            )
        if not isinstance(state, torch.Tensor):
            raise TypeError(
                f"layer {mixture.layer!r} returns {type(state).__name__}, expected one tensor (B, ...): choose another."
            )
        expected = self._n_rows + (self._mixed * self._n_samples if self._append else 0)
        if state.ndim == 0 or len(state) != expected:
            raise ValueError(
                f"the state of layer {mixture.layer!r} has shape {tuple(state.shape)}, expected {expected} rows: the "
                "first dimension must be the batch."
            )
        self._mixed += 1
        if not self._append:
            return mix_rows(state, mixture)
        return torch.cat([state, mix_rows(state[: self._n_samples], mixture)])

    def _end(self, module: torch.nn.Module, args: tuple, output: Any) -> None:
        for hook in self._hooks:
            hook.remove()
        skipped = [mixture.layer for mixture in self._mixtures[self._mixed :]]
        if skipped and output is not None:  # None after an error in the pass
            raise ValueError(f"layers {skipped} took no part in the pass, and the labels do not fit: choose others.")
