# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The layers that have a relevance rule: each computes what it always computes and attaches its rule.

Every function takes the mode, the operation of torch and the operation's own arguments.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch.nn import functional as F  # noqa: N812

from monai_debias.relevance import rules
from monai_debias.relevance.kernels import SplitGradient
from monai_debias.relevance.norms import NORMS
from monai_debias.relevance.operands import replaced, tensors_in, widened
from monai_debias.relevance.operations import ACTIVATIONS, CONVOLUTIONS, GATING, bare_name, in_place
from monai_debias.relevance.passes import Rule, before_change
from monai_debias.relevance.propagation import RelevanceMode
from monai_debias.relevance.tags import LinearLayer, Role, Stem, Tag, Uses

__all__ = ["HANDLERS"]


def activation(mode: RelevanceMode, function: Callable, input: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    """An element-wise function.

    One that would work in place is computed in new memory, and its result stands for the input from then on. A ReLU,
    whose rule does not need its input, does work in place where no other tensor shares the memory.
    """
    name, changes_input = bare_name(function), in_place(function)
    f = ACTIVATIONS[name] if changes_input else function
    signature = _signature_with_inplace(f)
    if signature is not None:
        bound = signature.bind(input, *args, **kwargs)
        changes_input |= bool(bound.arguments.get("inplace"))
        bound.arguments["inplace"] = False
        args = bound.args[1:]
        kwargs = bound.kwargs
    epsilon, is_relu = mode.passes.epsilon, name == "relu"
    zero = mode.passes.zeros(1, input)
    before, shared = mode.use(input), mode.shares_memory(input)
    if is_relu and changes_input and not (mode.keeps_inputs or before.captured or shared):
        u_before, a = before_change(input), input.relu_()
    else:
        u_before = input.clone() if changes_input and shared else input
        a = f(u_before, *args, **kwargs)

    def rule(g: torch.Tensor, kept: torch.Tensor, *slopes: torch.Tensor) -> torch.Tensor:
        if is_relu:
            return rules.relu_relevance(g, kept, epsilon, zero)
        own = iter(slopes)
        options, named = replaced((args, kwargs), lambda _: next(own))
        return rules.element_wise_relevance(g, f(kept, *options, **named), kept, epsilon)

    # the output of a ReLU is kept by its own derivative too; that of others may be changed in place after them
    kept = a if is_relu else u_before
    slopes = tensors_in((args, kwargs))  # of a PReLU
    relevance = Rule(rule, (True, *[False] * len(slopes)), in_float32=not is_relu)
    out = mode.fork(a, [u_before], relevance, (kept, *slopes), Tag(Role.FLOWS, activated=name in GATING))
    if mode.stem is None and before.layer is not None:
        mode.stem = Stem(before.layer, before.path, out)
    return mode.rename(input, out, changed=a is input) if changes_input else out


def clamp(mode: RelevanceMode, function: Callable, input: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    """A clamp is an activation if 0 stays 0; else what it adds would be no relevance of the input."""
    names = ("min_val", "max_val") if bare_name(function) == "hardtanh" else ("min", "max")
    bounds = {**dict(zip(names, args, strict=False)), **kwargs}
    low, high = (0 if bounds.get(name) is None else bounds[name] for name in names)
    if not (isinstance(low, int | float) and isinstance(high, int | float) and low <= 0 <= high):
        raise mode.uncovered(function, "has a relevance rule only for numbers as limits, in whose range 0 lies")
    return activation(mode, function, input, *args, **kwargs)


@cache
def _signature_with_inplace(f: Callable) -> inspect.Signature | None:
    signature = inspect.signature(f) if inspect.isfunction(f) else None
    return signature if signature is not None and "inplace" in signature.parameters else None


def convolution(
    mode: RelevanceMode,
    function: Callable,
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    *args: Any,
    **kwargs: Any,
) -> torch.Tensor:
    """A convolution or transposed convolution of 1, 2 or 3 spatial dimensions."""
    name = bare_name(function)
    n, transposed = CONVOLUTIONS[name], "transpose" in name
    if input.ndim != n + 2:
        raise ValueError(f"{name} got an input of shape {tuple(input.shape)}, expected a batch (B, C, spatial...).")
    order = ("output_padding", "groups", "dilation") if transposed else ("dilation", "groups")
    options = {"output_padding": 0, "groups": 1, "dilation": 1, **dict(zip(order, args, strict=False)), **kwargs}
    each = partial(_for_each_dimension, n=n)
    dilation = each(options["dilation"])
    if isinstance(padding, str):
        reach = [d * (k - 1) if padding == "same" else 0 for d, k in zip(dilation, weight.shape[2:], strict=True)]
        if any(r % 2 for r in reach):
            raise mode.uncovered(
                function, 'with padding="same" and an even kernel pads one side more than the other, which has no rule'
            )
        sides = [r // 2 for r in reach]
    else:
        sides = each(padding)
    geometry = each(stride), sides, dilation, transposed, each(options["output_padding"]), options["groups"]
    cast = _cast(weight)
    result = function(input, cast, bias, stride, padding, *args, **kwargs)
    return _linear_layer(mode, rules.Convolution(*geometry), result, input, weight, bias, cast)


def _for_each_dimension(value: Any, n: int) -> list[int]:
    values = [value] if isinstance(value, int) else list(value)
    return values * n if len(values) == 1 else values


def dense(
    mode: RelevanceMode,
    function: Callable,
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
) -> torch.Tensor:
    """A matrix product with a weight."""
    cast = _cast(weight)
    return _linear_layer(mode, rules.Dense(), function(input, cast, bias), input, weight, bias, cast)


def _cast(weight: torch.Tensor) -> torch.Tensor:
    """A weight in the type that autocast would give it, once for the layer and its rule."""
    device = weight.device.type
    if weight.dtype != torch.float32 or not torch.is_autocast_enabled(device):
        return weight
    return weight.to(torch.get_autocast_dtype(device))


def _linear_layer(
    mode: RelevanceMode,
    linear: rules.Convolution | rules.Dense,
    result: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    cast: torch.Tensor,
) -> torch.Tensor:
    uses = Uses()
    path = (mode.use(x).uses, uses)
    tag = Tag(Role.FLOWS, layer=LinearLayer(linear, x, weight, bias, result.dtype), uses=uses, path=path)

    def rule(g: torch.Tensor, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return linear.transpose(g, weight, x[: len(g)])  # only the shape of the input matters

    return mode.fork(result, [x], Rule(rule, (False, False)), (x, cast), tag)


def attention(
    mode: RelevanceMode,
    function: Callable,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    **kwargs: Any,
) -> torch.Tensor:
    """Fused attention: the attention weights are constants, relevance flows through the values."""
    if any(kwargs.values()):
        raise mode.uncovered(function, f"with {sorted(kwargs)} has no rule")
    if not mode.flows(value):
        arguments = (query, key, value, attn_mask, dropout_p, is_causal)
        return mode.constant(function, arguments, {"scale": scale}, "chooses among constant values")
    size = query.shape[-1] ** -0.5 if scale is None else scale
    mask = attn_mask
    if is_causal:
        mask = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
    if dropout_p:
        return mode.see_inside(_attention_with_dropout, query, key, value, mask, dropout_p, size)
    result = function(query, key, value, attn_mask, 0.0, is_causal, scale=scale)
    mode.use(value)

    def rule(g: torch.Tensor, query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        return _attention_weights(query, key, mask, size).to(g.dtype).transpose(-1, -2) @ g

    # each may lack the batch, or be the same for all samples
    saved = [t if t is None else t.expand(*result.shape[:-2], *t.shape[-2:]) for t in (query, key, mask)]
    per_sample = (True,) * 3 if result.ndim > 2 else None
    return mode.fork(result, [value], Rule(rule, per_sample), saved, Tag(Role.FLOWS))


def _attention_weights(query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None, size: float) -> torch.Tensor:
    scores = widened((query * size**0.5) @ (key * size**0.5).transpose(-1, -2))
    if mask is None:
        return scores.softmax(-1)
    scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    nothing = scores.isneginf().all(-1, keepdim=True)  # to attend to: the result is 0
    return scores.masked_fill(nothing, 0.0).softmax(-1).masked_fill(nothing, 0.0)


def _attention_with_dropout(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, p: float, size: float
) -> torch.Tensor:
    """Attention step by step, since the weights that the fused operation drops cannot be seen."""
    return F.dropout(_attention_weights(query, key, mask, size), p) @ value


def gated_linear_unit(mode: RelevanceMode, function: Callable, input: torch.Tensor, dim: int = -1) -> torch.Tensor:
    """A gated linear unit: the sigmoid of the second half of its input is the gate of the first."""
    mode.use(input)
    dim %= input.ndim

    def rule(g: torch.Tensor, input: torch.Tensor) -> torch.Tensor:
        return torch.cat([g * input.chunk(2, dim)[1].sigmoid(), torch.zeros_like(g)], dim)

    relevance = Rule(rule, (True,) if dim else None, in_float32=True)
    return mode.fork(function(input, dim), [input], relevance, (input,), Tag(Role.FLOWS))


def concatenation(mode: RelevanceMode, function: Callable, tensors: Any, dim: int = 0, **kwargs: Any) -> torch.Tensor:
    """Concatenation: each part gets its part of the gradient."""
    if kwargs or any(t.ndim != tensors[0].ndim for t in tensors):  # called with axis=, or with an empty part
        return mode.linear(function, bare_name(function), (tensors,) if kwargs else (tensors, dim), kwargs)
    for t in tensors:
        if mode.flows(t):
            mode.use(t)
    sizes = [t.shape[dim] for t in tensors]

    def parts(g: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return SplitGradient.apply(g, sizes, dim)

    result = function(tensors, dim)
    return mode.fork(result, tensors, Rule(parts, () if dim % result.ndim else None), (), Tag(Role.FLOWS))


HANDLERS: dict[str, Callable[..., torch.Tensor]] = {
    **dict.fromkeys(ACTIVATIONS, activation),
    **dict.fromkeys(["clamp", "clamp_min", "clip", "hardtanh"], clamp),
    **dict.fromkeys(CONVOLUTIONS, convolution),
    **NORMS,
    "cat": concatenation,
    "concat": concatenation,
    "concatenate": concatenation,
    "glu": gated_linear_unit,
    "linear": dense,
    "scaled_dot_product_attention": attention,
}
