# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Mixes hidden states of a network in its next training pass, without changing the network."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.nn.parallel import DistributedDataParallel

from monai_debias.networks import find_layers, unwrapped
from monai_debias.transforms.mixtures import Mixture, mix_rows

__all__ = ["arm", "disarm", "find_states"]

_ARMED: weakref.WeakKeyDictionary[torch.nn.Module, _MixingPass] = weakref.WeakKeyDictionary()


def find_states(network: torch.nn.Module, layers: Sequence[str]) -> tuple[torch.nn.Module, list[torch.nn.Module]]:
    """Return the network itself, out of ``DistributedDataParallel``, and the modules that compute the named states.

    Raises:
        ValueError: when a layer does not exist.
        TypeError: when the network is scripted, compiled or in ``DataParallel``, where hooks do not run.
    """
    inner = network.module if isinstance(network, DistributedDataParallel) else network
    wrapped = unwrapped(inner) is not inner or isinstance(inner, torch.jit.ScriptModule)
    if wrapped or inner._compiled_call_impl is not None:
        raise TypeError(
            f"hidden states of a {type(inner).__name__} that is scripted, compiled or in DataParallel cannot be mixed: "
            "give the plain network, or one in DistributedDataParallel, and train that."
        )
    return inner, find_layers(inner, layers)


def arm(network: torch.nn.Module, mixtures: Sequence[Mixture], n_samples: int, n_rows: int, append: bool) -> None:
    """Mix named states of a network in its next training pass: once, in training mode and with gradients.

    The network has no hook before that pass begins and none after it has ended. Until then it can be copied, saved,
    scripted, traced and exported (not by a strict ``torch.export``), and evaluation passes are not changed. Mixtures
    from an earlier call are replaced.

    Args:
        network: classifier; one in ``DistributedDataParallel`` is unwrapped.
        mixtures: one for each state, of its first ``n_samples`` rows, in the order in which the network computes the
            states; an empty sequence arms nothing.
        n_samples: number of un-mixed rows B.
        n_rows: rows of the network's input: B, or more if further rows are appended, which are not mixed.
        append: whether mixed rows are appended to a state, or take the place of the un-mixed ones.

    Raises:
        ValueError: when a layer does not exist; in the pass, when the input has other rows, or a state is not mixed
            once and in its turn.
        TypeError: as :func:`find_states`; in the pass, when a state is not a tensor.
    """
    if disarm(network):
        warnings.warn(
            "the network was not trained on the batch that was mixed before this one: is it a copy of the network that "
            "is trained? After an error between mixing and training call disarm().",
            stacklevel=4,
        )
    inner, states = find_states(network, [mixture.layer for mixture in mixtures])
    if mixtures:
        _ARMED[inner] = _MixingPass(inner, states, mixtures, n_samples, n_rows, append)


def disarm(network: torch.nn.Module) -> bool:
    """Mix nothing in the network's next training pass; returns whether it was armed."""
    armed = _ARMED.pop(unwrapped(network), None)
    if armed is not None:
        armed.remove_hooks()
    return armed is not None


class _MixingPass:
    """Waits for a training pass of a network, and mixes its states then."""

    def __init__(
        self,
        network: torch.nn.Module,
        states: Sequence[torch.nn.Module],
        mixtures: Sequence[Mixture],
        n_samples: int,
        n_rows: int,
        append: bool,
    ) -> None:
        self._network = weakref.ref(network)
        self._states = states
        self._mixtures = mixtures
        self._n_samples = n_samples
        self._n_rows = n_rows
        self._append = append
        self._n_mixed = 0  # states so far
        self._hooks: list[Any] = []  # of the pass
        # A hook of the network's own would be copied with it, and torch.jit.script would refuse it.
        self._trigger = register_module_forward_pre_hook(self._begin)
        self._finalizer = weakref.finalize(network, self._trigger.remove)

    def remove_hooks(self) -> None:
        self._finalizer.detach()
        for hook in (self._trigger, *self._hooks):
            hook.remove()

    def _begin(self, module: torch.nn.Module, args: tuple) -> None:
        if module is not self._network():
            return
        if self._hooks:  # an earlier pass was interrupted
            disarm(module)
            return
        if not (module.training and torch.is_grad_enabled()):
            return
        found = {len(value) for value in args if isinstance(value, torch.Tensor) and value.ndim > 0}
        if found and self._n_rows not in found:
            disarm(module)
            raise ValueError(
                f"hidden states are to be mixed for a batch of {self._n_rows} rows, but the network is given one of "
                f"{sorted(found)}. Give it the batch that was mixed last; for another training pass call disarm()."
            )
        self._hooks = [
            state.register_forward_hook(partial(self._mix, index=index)) for index, state in enumerate(self._states)
        ]
        self._hooks.append(module.register_forward_hook(self._end, always_call=True))

    def _mix(self, module: torch.nn.Module, args: tuple, state: Any, index: int) -> torch.Tensor:
        layer = self._mixtures[index].layer
        if index < self._n_mixed:
            raise ValueError(
                f"layer {layer!r} runs twice in one pass, so its state is ambiguous: choose another layer."
            )
        if index > self._n_mixed:
            raise ValueError(
                f"layer {layer!r} runs before {self._mixtures[self._n_mixed].layer!r}: give the layers in the order in "
                "which the network computes them."
            )
        if not isinstance(state, torch.Tensor):
            raise TypeError(f"layer {layer!r} returns {type(state).__name__}, expected one tensor (B, ...).")
        expected = self._n_rows + (self._n_mixed * self._n_samples if self._append else 0)
        if state.ndim == 0 or len(state) != expected:
            raise ValueError(
                f"the state of layer {layer!r} has shape {tuple(state.shape)}, expected {expected} rows: the first "
                "dimension must be the batch."
            )
        self._n_mixed += 1
        if not self._append:
            return mix_rows(state, self._mixtures[index])
        return torch.cat([state, mix_rows(state[: self._n_samples], self._mixtures[index])])

    def _end(self, module: torch.nn.Module, args: tuple, output: Any) -> None:
        disarm(module)
        skipped = [mixture.layer for mixture in self._mixtures[self._n_mixed :]]
        if skipped and output is not None:  # None after an error in the pass
            raise ValueError(
                f"layers {skipped} took no part in the pass, so the mixed labels do not fit the output: choose others."
            )
