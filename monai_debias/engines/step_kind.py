# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What steps of a training have in common if the recording of one of them goes for the others."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from types import FunctionType
from typing import Any

import torch
from torch import distributed
from torch.nn.modules.module import _has_any_global_hook
from torch.nn.parallel import DataParallel, DistributedDataParallel

from monai_debias.attached import signature
from monai_debias.losses.nested import parts_of

__all__ = ["has_hooks", "inferers_of", "kind_of", "why_never"]


def why_never(engine: Any, device_records: bool) -> str:
    """Why no step of a MONAI trainer can be recorded; empty if they can."""
    if not device_records:
        return f"the device is {torch.device(engine.state.device).type}, which has no CUDA graphs"
    if isinstance(engine.network, DistributedDataParallel | DataParallel):
        return f"{type(engine.network).__name__} exchanges tensors between devices during a step"
    if distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1:
        return "there are several processes, whose losses exchange counts"
    return "the trainer has compile=True" if engine.compile else ""


def has_hooks(network: torch.nn.Module) -> bool:
    """Whether Python of somebody else runs in a forward or backward pass."""
    return _has_any_global_hook() or any(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
        for module in network.modules()
    )


def kind_of(engine: Any, prepared: Any) -> Hashable:
    """What must be equal: shapes, the places of parameters and buffers, and all settings of loss and inferer.

    Args:
        engine: a MONAI trainer.
        prepared: what its ``prepare_batch`` returned.
    """
    losses = parts_of(engine.loss_function)
    tensors = [*engine.network.parameters(), *engine.network.buffers()]
    tensors += [buffer for loss in losses if isinstance(loss, torch.nn.Module) for buffer in loss.buffers(False)]
    return (
        signature(prepared),
        tuple(_settings(part) for part in (*inferers_of(engine), *losses)),
        tuple((tensor.data_ptr(), tensor.requires_grad) for tensor in tensors),
        tuple(module.training for module in engine.network.modules()),
        engine.accumulation_steps,
        id(engine.scaler) if engine.amp else None,
    )


def inferers_of(engine: Any) -> list[Any]:
    """The inferer of a trainer, and those inside of it."""
    found, inferer = [], getattr(engine, "inferer", None)
    while inferer is not None:
        found.append(inferer)
        inferer = getattr(inferer, "inferer", None)
    return found


def _settings(part: Any) -> Hashable:
    """The numbers, words and functions of a loss or inferer, but those that a recording does not hold fast."""
    free = getattr(part, "scheduled", ())
    fixed = {name: value for name, value in vars(part).items() if name not in free}
    return id(part), _fixed(fixed), getattr(part, "explains_next", None)


def _fixed(value: Any) -> Hashable:
    """A value without what is in it of tensors and other objects."""
    if isinstance(value, Mapping):
        return tuple((key, _fixed(entry)) for key, entry in value.items() if _is_setting(entry))
    if isinstance(value, list | tuple):
        return tuple(_fixed(entry) for entry in value if _is_setting(entry))
    return value


def _is_setting(value: Any) -> bool:
    return isinstance(value, bool | int | float | str | None | Mapping | list | tuple | FunctionType)
