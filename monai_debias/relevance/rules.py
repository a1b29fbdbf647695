# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
r"""The rules of layer-wise relevance propagation: what a layer does to the gradient in a relevance pass.

The relevance of a tensor :math:`x` is :math:`R = x \circ G`, where :math:`G` is a gradient that passes every layer by
one of the rules below instead of by its derivative (LRP-Flex, Bassi et al. 2024). A rule is a pure function of the
incoming gradient ``g`` and of the tensors it was made with; all of them can be differentiated again, with respect to
the parameters too, which is what the training of an ISNet does.

These are LRP-ε and, for inputs in a known range, the zᴮ rule at the first layer. LRP-z⁺, which Dual ISNet needs beside
them, is in :mod:`monai_debias.relevance.rules_z_plus`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F  # noqa: N812

from monai_debias.relevance.kernels import (
    ActivationGradient,
    ConvolutionTransposed,
    ProductTransposed,
    ReluGradient,
    per_channel,
)

__all__ = [
    "Convolution",
    "Dense",
    "affine_relevance",
    "away_from_zero",
    "centered_relevance",
    "element_wise_relevance",
    "relu_relevance",
    "stabilised",
    "zb_relevance",
]


def away_from_zero(z: torch.Tensor, epsilon: float) -> torch.Tensor:
    r""":math:`z + \varepsilon\,\mathrm{sign}(z)`, with :math:`\mathrm{sign}(0) = 1`: a denominator that is never 0."""
    return torch.where(z < 0, z - epsilon, z + epsilon)


def stabilised(numerator: torch.Tensor, z: torch.Tensor, epsilon: float) -> torch.Tensor:
    r""":math:`n / (z + \varepsilon\,\mathrm{sign}(z))`; with ε = 0 it is 0 where z is, since nothing came in there."""
    if epsilon > 0:
        return numerator / away_from_zero(z, epsilon)
    zero = z == 0
    return torch.where(zero, 0.0, numerator / torch.where(zero, 1.0, z))


def relu_relevance(g: torch.Tensor, a: torch.Tensor, epsilon: float, zero: torch.Tensor) -> torch.Tensor:
    r"""LRP-ε at a ReLU with output :math:`a`: :math:`g_{in} = g\,a/(a+\varepsilon)`, which is 0 where :math:`a = 0`.

    ``zero`` is a 0 of shape (1,), in at least single precision, that all layers share.
    """
    return ReluGradient.apply(g, a, epsilon, zero) if epsilon > 0 else g * (a > 0)


def element_wise_relevance(g: torch.Tensor, a: torch.Tensor, u: torch.Tensor, epsilon: float) -> torch.Tensor:
    r"""LRP-ε at any activation :math:`a = f(u)`, :math:`f(0) = 0`: :math:`g\,a/(u+\varepsilon\,\mathrm{sign}\,u)`.

    It is our generalisation of the rule for ReLU, which it equals where :math:`f` is one.
    """
    return ActivationGradient.apply(g, a, u, epsilon) if epsilon > 0 else stabilised(g * a, u, epsilon)


def affine_relevance(
    g: torch.Tensor, weight: torch.Tensor | None, variance: torch.Tensor, zeros: torch.Tensor
) -> torch.Tensor:
    r"""Batch norm as a fixed affine map: :math:`g_{in} = g\,\gamma/\sigma`, with one factor per channel.

    Args:
        g: gradient of the output, shape (B, C, ...).
        weight: γ, shape (C,), or None.
        variance: :math:`\sigma^2`, shape (C,).
        zeros: zeros of shape (C,).
    """
    # by torch's own batch norm, one operation forward and one back: with a mean of 0, no shift and no ε of its own
    return F.batch_norm(g, zeros, variance, weight, eps=0.0)


def centered_relevance(
    g: torch.Tensor, weight: torch.Tensor | None, inverse_deviation: torch.Tensor, groups: Sequence[int]
) -> torch.Tensor:
    r"""Layer, group and instance norm with a constant denominator: :math:`g_{in} = c - \mathrm{mean}(c)`.

    Here :math:`c = \gamma g/\sigma`. The mean is that of one sample, so it stays a linear function of that sample.

    Args:
        g: gradient of the output.
        weight: γ, broadcastable to ``g``, or None.
        inverse_deviation: 1/σ, shape (groups..., 1).
        groups: shape (groups..., n) of the input in which the last dimension is what the norm averages over.
    """
    c = (g if weight is None else g * weight).reshape(groups) * inverse_deviation
    return (c - c.mean(-1, keepdim=True)).reshape(g.shape)


class Convolution:
    """A convolution as a linear map of its input, and that map transposed.

    Args:
        stride: as in ``torch.convolution``, like the arguments that follow.
        padding: zeros on each side.
        dilation: distance between the kernel's elements.
        transposed: whether it is a transposed convolution.
        output_padding: what a transposed convolution adds to one side of its output.
        groups: number of groups of channels that do not see each other.
    """

    def __init__(
        self,
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
        transposed: bool,
        output_padding: Sequence[int],
        groups: int,
    ) -> None:
        self.geometry = (stride, padding, dilation, transposed, output_padding, groups)
        self.transposed = transposed
        self.unpadded = not (transposed or any(padding) or groups > 1) and all(s == 1 for s in stride)

    def forward(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """:math:`W * x`."""
        return torch.convolution(x, weight, None, *self.geometry)

    def transpose(self, g: torch.Tensor, weight: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """:math:`W^T g` in the type of ``g``, for an input of the shape of ``x``, whose values play no part."""
        weight = weight.to(g.dtype)
        if self.unpadded and weight.shape[2:].numel() == 1 and _faster_as_product(g, weight):
            return ProductTransposed.apply(g.flatten(2), weight.flatten(1)).reshape(x.shape)
        return ConvolutionTransposed.apply(g, weight, x, self.geometry)

    @staticmethod
    def scaled(weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """The weight with each output channel times its scale, shape (C,)."""
        return weight * scale.reshape(-1, *[1] * (weight.ndim - 1))

    @staticmethod
    def spread(bias: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """A bias of shape (C,), broadcastable to the output ``like``."""
        return per_channel(bias, like)


def _faster_as_product(g: torch.Tensor, weight: torch.Tensor) -> bool:
    """Whether a convolution of single positions takes half the time as a matrix product, and not twice (on a CPU)."""
    return g.shape[2:].numel() >= 1024 or min(weight.shape[:2]) < 32


class Dense:
    """A matrix product as a linear map of its input, and that map transposed."""

    transposed = False

    def forward(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """:math:`W x`."""
        return F.linear(x, weight)

    def transpose(self, g: torch.Tensor, weight: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """:math:`W^T g` in the type of ``g``."""
        return g.matmul(weight.to(g.dtype))

    scaled = staticmethod(Convolution.scaled)

    @staticmethod
    def spread(bias: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """A bias of shape (C,), broadcastable to the output ``like``."""
        return bias


def zb_relevance(
    relevance: torch.Tensor,
    x: torch.Tensor,
    linear: Convolution | Dense,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    input_range: tuple[float, float],
    epsilon: float,
) -> torch.Tensor:
    r"""LRP-zᴮ at the first layer, for inputs that lie in a box.

    .. math::
        z = W x + b - l\,(W^+ 1 + b^+) - h\,(W^- 1 + b^-),\quad s = \frac{R}{z + \varepsilon\,\mathrm{sign}\,z},\quad
        R_{in} = x \circ W^T s - l\,W^{+T} s - h\,W^{-T} s

    Args:
        relevance: relevance of the layer's output, shape (R, C, spatial...).
        x: the input, shape (R, channels, spatial...).
        linear: the layer.
        weight: its weight, the normalisation after it folded in.
        bias: its bias, shape (C,), likewise; a constant here.
        input_range: lowest and highest value that an input can have, :math:`(l, h)`.
        epsilon: :math:`\varepsilon`.
    """
    low, high = input_range
    positive, negative = weight.relu(), -(-weight).relu()
    z = linear.forward(x, weight)
    ones = torch.ones_like(x[:1])
    offset = low * linear.forward(ones, positive) + high * linear.forward(ones, negative)
    if bias is not None:
        b = per_channel(bias.detach(), z)
        z = z + b
        offset = offset + low * b.relu() - high * (-b).relu()
    s = stabilised(relevance, z - offset, epsilon)
    out = x * linear.transpose(s, weight, x)
    if low:
        out = out - low * linear.transpose(s, positive, x)
    if high:
        out = out - high * linear.transpose(s, negative, x)
    return out
