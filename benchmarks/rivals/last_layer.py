# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A classifier as its body and its last layer, and what either returns for samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import nn


def split(network: nn.Module) -> tuple[nn.Module, nn.Linear]:
    """A copy of the network that returns features (B, F), and its last layer itself, which makes logits of them.

    Raises:
        ValueError: when the network has no dense layer.

    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)).eval()
    >>> body, head = split(network)
    >>> images = torch.rand(5, 1, 2, 2)
    >>> torch.equal(head(body(images)), network(images))
    True
    """
    dense = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not dense:
        raise ValueError(f"{type(network).__name__} has no dense layer: expected one as its last.")
    body = deepcopy(network)
    body.set_submodule(dense[-1], nn.Identity())
    head = network.get_submodule(dense[-1])
    assert isinstance(head, nn.Linear)
    return body, head


@torch.no_grad()
def outputs(
    network: nn.Module,
    samples: Sequence[dict[str, Any]],
    normalize: Callable[[torch.Tensor], torch.Tensor] | None = None,
    batch: int = 100,
) -> torch.Tensor:
    """What a network returns for the normalized images of samples in evaluation, (N, K); it stays in evaluation."""
    network.eval()
    images = (torch.stack([s["image"] for s in samples[n : n + batch]]) for n in range(0, len(samples), batch))
    return torch.cat([network(some if normalize is None else normalize(some)) for some in images])


def labels(samples: Sequence[dict[str, Any]]) -> torch.Tensor:
    """Their labels, (N,), int64."""
    return torch.tensor([sample["label"] for sample in samples])
