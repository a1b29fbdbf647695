# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The formulas on which a relevance pass spends its time, with derivatives written out.

Element-wise formulas of several steps run over blocks that stay in the processor's cache, since on a CPU temporary
tensors of the full size would take most of the time. Differentiated once more, they fall back on torch's derivatives.

Tensors of half precision (autocast) are kept as they are for the second derivative, and computed with in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch.autograd import Function

from monai_debias.relevance.operands import low_precision, widened

__all__ = [
    "ActivationGradient",
    "ConvolutionTransposed",
    "InFloat32",
    "ProductTransposed",
    "ReluGradient",
    "SplitGradient",
    "per_channel",
]

BLOCK = 2**17  # elements; half a megabyte of float32 for each of the three or four tensors of a formula


def _blocks(*tensors: torch.Tensor) -> Iterator[tuple[torch.Tensor, ...]]:
    """The tensors in blocks of samples; elsewhere than on a CPU they are one block."""
    first = tensors[0]
    samples = len(first) if first.device.type != "cpu" else max(1, BLOCK * len(first) // max(1, first.numel()))
    return zip(*(t.split(samples) for t in tensors), strict=True)


class InFloat32(Function):
    """A formula of tensors of half precision, calculated in float32; for its derivative it is calculated again."""

    @staticmethod
    def forward(
        ctx: Any, formula: Callable[..., torch.Tensor], g: torch.Tensor, *tensors: torch.Tensor | None
    ) -> torch.Tensor:
        """Compute it; the formula is a function of g and the other tensors, and its result has the type of g."""
        ctx.save_for_backward(g, *tensors)
        ctx.formula = formula
        return formula(*_in_float32((g, *tensors))).to(g.dtype)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradients with respect to all tensors."""
        needed = ctx.needs_input_grad[1:]
        again = torch.is_grad_enabled()  # differentiated once more: the graph goes on to the saved tensors
        with torch.enable_grad():
            tensors = [t if again or t is None else t.detach() for t in ctx.saved_tensors]
            leaves = [t.requires_grad_() if n and not again else t for t, n in zip(tensors, needed, strict=True)]
            sources = [t for t, n in zip(leaves, needed, strict=True) if n]
            found = torch.autograd.grad(
                ctx.formula(*_in_float32(leaves)), sources, grad.float(), create_graph=again, allow_unused=True
            )
        gradients = iter(found)
        return None, *(next(gradients) if n else None for n in needed)


def _in_float32(tensors: Iterable[torch.Tensor | None]) -> list[torch.Tensor | None]:
    return [None if t is None else widened(t) for t in tensors]


class ReluGradient(Function):
    r"""LRP-ε at a ReLU with output a: :math:`g\,a/(a+\varepsilon)`."""

    @staticmethod
    def forward(ctx: Any, g: torch.Tensor, a: torch.Tensor, epsilon: float, zero: torch.Tensor) -> torch.Tensor:
        """Compute it; g and a are of the same shape (B, C, ...), a is 0 or more; zero is one, of shape (1,)."""
        ctx.save_for_backward(g, a)
        ctx.epsilon, ctx.zero = epsilon, zero
        out, summand = torch.empty_like(a), _summand(epsilon, a)
        for o, gb, ab in _blocks(out, g, a):
            quotient = torch.add(ab, summand, out=_scratch(o))
            torch.div(ab, quotient, out=quotient)
            torch.mul(quotient, gb, out=o)
        return out

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        r"""The gradients with respect to g and a; the derivative by a is :math:`g\,\varepsilon/(a+\varepsilon)^2`."""
        g, a = ctx.saved_tensors
        if torch.is_grad_enabled():
            quotient = grad / (a + ctx.epsilon)
            return quotient * a, quotient * g * ctx.epsilon / (a + ctx.epsilon), None, None
        grad_g, grad_a, summand = torch.empty_like(a), torch.empty_like(a), _summand(ctx.epsilon, a)
        for by_g, by_a, t, gb, ab in _blocks(grad_g, grad_a, grad, g, a):
            p = torch.add(ab, summand, out=_scratch(by_a))
            quotient = torch.div(t, p, out=_scratch(by_g))
            torch.addcdiv(ctx.zero, quotient * gb, p, value=ctx.epsilon, out=by_a)
            torch.mul(quotient, ab, out=by_g)
        return grad_g, grad_a, None, None


class ActivationGradient(Function):
    r"""LRP-ε at an activation with input u and output a: :math:`g\,a/(u+\varepsilon\,\mathrm{sign}\,u)`.

    All tensors are of one shape (B, ...) and in at least single precision; the sign of 0 is 1, that of -0 is -1.
    """

    @staticmethod
    def forward(ctx: Any, g: torch.Tensor, a: torch.Tensor, u: torch.Tensor, epsilon: float) -> torch.Tensor:
        """Compute it; ε is above 0."""
        ctx.save_for_backward(g, a, u)
        ctx.epsilon = summand = u.new_full((), epsilon)
        out = torch.empty_like(a)
        for o, gb, ab, ub in _blocks(out, g, a, u):
            torch.copysign(summand, ub, out=o).add_(ub)
            torch.div(ab, o, out=o).mul_(gb)
        return out

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        r"""The gradients with respect to g, a and u; the last is :math:`-g\,a/(u+\varepsilon\,\mathrm{sign}\,u)^2`."""
        g, a, u = ctx.saved_tensors
        if torch.is_grad_enabled():
            quotient = grad / (denominator := torch.copysign(ctx.epsilon, u) + u)
            by_a = quotient * g
            return quotient * a, by_a, -by_a * a / denominator, None
        gradients = torch.empty_like(a), torch.empty_like(a), torch.empty_like(a)
        for by_g, by_a, by_u, t, gb, ab, ub in _blocks(*gradients, grad, g, a, u):
            denominator = torch.copysign(ctx.epsilon, ub, out=by_u).add_(ub)
            quotient = torch.div(t, denominator, out=by_g)
            torch.mul(quotient, gb, out=by_a)
            torch.div(ab, denominator, out=by_u).mul_(by_a).neg_()
            quotient.mul_(ab)
        return *gradients, None


def _summand(epsilon: float, like: torch.Tensor) -> float | torch.Tensor:
    """A number in a form that makes a sum with a tensor of half precision float32, in one operation."""
    return like.new_full((1,), epsilon, dtype=torch.float32) if low_precision(like) else epsilon


def _scratch(result: torch.Tensor) -> torch.Tensor | None:
    """Where a formula may keep what it has so far: in its result, unless that is of half precision."""
    return None if low_precision(result) else result


def per_channel(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Values of shape (C,) as (1, C, 1, ...), to go with a tensor (B, C, spatial...)."""
    return values.reshape(1, -1, *[1] * (like.ndim - 2))


class ConvolutionTransposed(Function):
    """The gradient of a convolution's input, written so that differentiating it costs two ordinary convolutions.

    The second derivative of torch's own convolution goes through transposed operands and takes several times as long.
    """

    @staticmethod
    def forward(ctx: Any, g: torch.Tensor, weight: torch.Tensor, x: torch.Tensor, geometry: tuple) -> torch.Tensor:
        """Compute it; x gives the shape, geometry the last six arguments of ``torch.convolution``."""
        ctx.save_for_backward(g, weight)
        ctx.geometry = geometry
        only_input = [True, False, False]
        like = x if x.dtype == g.dtype else torch.empty_like(x, dtype=g.dtype)
        return torch.ops.aten.convolution_backward(g, like, weight, None, *geometry, only_input)[0]

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradients with respect to g and to the weight."""
        g, weight = ctx.saved_tensors
        grad_g = torch.convolution(grad, weight, None, *ctx.geometry) if ctx.needs_input_grad[0] else None
        grad_weight = None
        if ctx.needs_input_grad[1]:
            only_weight = [False, True, False]
            grad_weight = torch.ops.aten.convolution_backward(g, grad, weight, None, *ctx.geometry, only_weight)[1]
        return grad_g, grad_weight, None, None


class ProductTransposed(Function):
    """:math:`W^T g` for every sample."""

    @staticmethod
    def forward(ctx: Any, g: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Compute it; g is (B, C, positions), the weight (C, channels of the result)."""
        ctx.save_for_backward(g, weight)
        return torch.bmm(weight.t().expand(len(g), -1, -1), g)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradients with respect to both."""
        g, weight = ctx.saved_tensors
        grad_g = torch.bmm(weight.expand(len(g), -1, -1), grad) if ctx.needs_input_grad[0] else None
        return grad_g, torch.bmm(g, grad.transpose(1, 2)).sum(0) if ctx.needs_input_grad[1] else None


class SplitGradient(Function):
    """The parts of the gradient of a concatenation; the derivative is one concatenation."""

    @staticmethod
    def forward(ctx: Any, g: torch.Tensor, sizes: list[int], dim: int) -> tuple[torch.Tensor, ...]:
        """Compute them, of the given sizes."""
        ctx.dim = dim
        return g.split(sizes, dim)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradient with respect to g."""
        return torch.cat(grads, ctx.dim), None, None
