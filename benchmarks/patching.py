# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Through which units a background decides: activation patching, switches that are held, and the parts of a logit.

A network of ReLUs, max-pooling and batch norm in evaluation mode is affine as long as no unit switches on or off and no
maximum moves: there a logit is Σ x∘G + B, with the gradient G, the relevance x∘G of each pixel (LRP with ε = 0), and
what the biases add, B. The functions here are for such networks, and for images whose backgrounds were exchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from monai_debias.networks import find_layers, layer_outputs

Scalars = Callable[[torch.Tensor], torch.Tensor]


class Logit(NamedTuple):
    """What a logit, or a difference of logits, is the sum of, each (N,)."""

    outside: torch.Tensor
    """Relevance outside the mask."""
    inside: torch.Tensor
    """Relevance inside it."""
    biases: torch.Tensor
    """What no pixel has: the biases and the shifts of batch norm, through the units that are on."""
    relevance: torch.Tensor
    """Of each pixel, of the shape of the images."""

    def total(self) -> torch.Tensor:
        """The logit."""
        return self.outside + self.inside + self.biases


def parts_of_logit(network: nn.Module, images: torch.Tensor, masks: torch.Tensor, of: Scalars) -> Logit:
    """Split a scalar of each image into what its pixels and the biases give.

    Args:
        network: in evaluation mode, maps (N, C, spatial...) to logits (N, K).
        images: (N, C, spatial...).
        masks: (N, 1, spatial...), 1 = region of interest.
        of: from the logits to a scalar of each image, (N,), by a linear map.

    Example:
        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(2, 1))
        >>> network[1].weight.data, network[1].bias.data = torch.tensor([[2.0, 3.0]]), torch.tensor([5.0])
        >>> logit = parts_of_logit(network, torch.ones(1, 1, 2), torch.tensor([[[1, 0]]]), lambda z: z[:, 0])
        >>> logit.inside, logit.outside, logit.biases
        (tensor([2.]), tensor([3.]), tensor([5.]))
    """
    pixels = images.clone().requires_grad_()
    scalars = of(network(pixels))
    (gradient,) = torch.autograd.grad(scalars.sum(), pixels)
    relevance = images * gradient
    inside, outside = ((relevance * place).flatten(1).sum(1) for place in (masks, 1 - masks))
    return Logit(outside, inside, scalars.detach() - inside - outside, relevance)


def with_switches_held(network: nn.Module, images: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """The logits (N, K) of other images if each unit stayed on or off, and each maximum where it is, as for the images.

    Args:
        network: in evaluation mode, maps (N, C, spatial...) to logits (N, K).
        images: (N, C, spatial...), which set the switches.
        others: the images that go through the network, of the same shape.

    Example:
        >>> with_switches_held(nn.Sequential(nn.Flatten(), nn.ReLU()), torch.ones(1, 1, 1), -torch.ones(1, 1, 1))
        tensor([[-1.]])
    """
    pixels = images.clone().requires_grad_()
    logits = network(pixels)
    gradients = [torch.autograd.grad(logit.sum(), pixels, retain_graph=True)[0] for logit in logits.unbind(1)]
    changes = [((others - images) * gradient).flatten(1).sum(1) for gradient in gradients]
    return logits.detach() + torch.stack(changes, 1)


@torch.no_grad()
def with_patch(
    network: nn.Module,
    layer: str,
    images: torch.Tensor,
    sources: torch.Tensor,
    where: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """The logits (N, K) of images when some outputs of a layer are those of other images: activation patching.

    Args:
        network: in evaluation mode, maps (N, C, spatial...) to logits (N, K).
        layer: a module, by its name in the network.
        images: (N, C, spatial...).
        sources: where the outputs come from, of the same shape.
        where: from the layer's outputs for images and sources, both (N, channels, positions...), to those to replace:
            booleans that can be broadcast to them.

    Reference:
        Vig et al., NeurIPS 2020 (causal mediation analysis of units).

    Example:
        >>> network, off, on = nn.Sequential(nn.ReLU(), nn.Flatten()), torch.zeros(1, 1, 2), torch.ones(1, 1, 2)
        >>> with_patch(network, "0", off, on, lambda here, there: torch.tensor([True, False]))
        tensor([[1., 0.]])
    """
    with layer_outputs(network, [layer], torch.clone) as outputs:
        network(sources)
    theirs = outputs[layer]
    hook = find_layers(network, [layer])[0].register_forward_hook(
        lambda _, __, ours: torch.where(where(ours, theirs), theirs, ours)
    )
    try:
        return network(images)
    finally:
        hook.remove()
