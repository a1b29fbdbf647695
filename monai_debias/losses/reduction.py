# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""From a value for each sample to the loss of a batch, also where the batch is spread over several processes."""

from __future__ import annotations

import torch
from monai.utils import LossReduction
from torch import distributed

__all__ = ["on_device_of", "reduce", "sum_over_processes"]


def reduce(values: torch.Tensor, reduction: str) -> torch.Tensor:
    """Reduce a value for each sample, shape (B,), to what ``reduction`` names: ``"mean"``, ``"sum"`` or ``"none"``."""
    if reduction == LossReduction.NONE.value:
        return values
    return values.mean() if reduction == LossReduction.MEAN.value else values.sum()


def sum_over_processes(counts: torch.Tensor, logits: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Add up counts over all processes of a distributed training step.

    ``DistributedDataParallel`` averages the gradients of W processes, each with the mean of its own batch. A mean over
    something else, like the samples with a mask, becomes that of all processes if each one weighs its sum by W and
    divides by the count of all. So every process must call this in every step, even if its count is 0.

    Args:
        counts: of this process, any shape.
        logits: of the step; where they have no gradient, e.g. in a validation on one process only, nothing is sent.

    Returns:
        The sums over the processes of the default group, and W; without a distributed step ``counts`` itself, and 1.
    """
    counts = counts.detach()
    is_step = logits.requires_grad and torch.is_grad_enabled()
    if not (is_step and distributed.is_available() and distributed.is_initialized()):
        return counts, 1
    n_processes = distributed.get_world_size()
    if n_processes > 1:
        counts = counts.clone()
        distributed.all_reduce(counts)
    return counts, n_processes


def on_device_of(values: torch.Tensor, loss: torch.nn.Module) -> None:
    """Move a loss to the device of a batch, once, instead of its buffers to each batch anew."""
    if any(buffer.device != values.device for buffer in loss.buffers()):
        loss.to(values.device)
