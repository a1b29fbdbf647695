# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The layers that have a relevance rule: each computes what it always computes and attaches its rule.

Every function takes the mode, the operation of torch and the operation's own arguments.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import torch

from monai_debias.relevance import rules
from monai_debias.relevance.kernels import SplitGradient
from monai_debias.relevance.operations import ACTIVATIONS, CONVOLUTIONS, bare_name, in_place
from monai_debias.relevance.passes import Rule, before_change
from monai_debias.relevance.propagation import Fold, LinearLayer, RelevanceMode, Role, Stem, Tag

__all__ = ["HANDLERS"]


def activation(mode: RelevanceMode, function: Callable, u: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    """An element-wise function.

    One that works in place is computed beside its input, which it replaces from then on. A ReLU, whose rule does not
    need its input, does work in place where no other tensor shares the memory.
    """
    name, changes_input = bare_name(function), in_place(function)
    f = ACTIVATIONS[name] if changes_input else function
    signature = _signature_with_inplace(f)
    if signature is not None:
        bound = signature.bind(u, *args, **kwargs)
        changes_input |= bool(bound.arguments.get("inplace"))
        bound.arguments["inplace"] = False
        args = bound.args[1:]
        kwargs = bound.kwargs
    epsilon, is_relu, positive = mode.passes.epsilon, name == "relu", mode.passes.positive
    before = mode.use(u)
    z = mode.companion(u) if positive else None
    shared = mode.shares_memory(u)
    if is_relu and changes_input and not (positive or before.captured or shared):
        u_before, a = before_change(u), u.relu_()
    else:
        u_before = u.clone() if changes_input and shared else u
        a = f(u_before, *args, **kwargs)

    fold = before.fold
    fold.by_relu = is_relu

    # the output of a ReLU is kept by its own derivative too; that of others may be changed in place behind them
    def output(kept: torch.Tensor) -> torch.Tensor:
        return kept if is_relu else f(kept, *args, **kwargs)

    def epsilon_rule(
        g: torch.Tensor, kept: torch.Tensor, _: torch.Tensor | None, scale: torch.Tensor | None
    ) -> torch.Tensor:
        if is_relu:
            return rules.relu_relevance(g, kept, epsilon, scale if fold.in_relu else None)
        return rules.element_wise_relevance(g, output(kept), kept, epsilon)

    def positive_rule(g: torch.Tensor, kept: torch.Tensor, z: torch.Tensor, _: torch.Tensor | None) -> torch.Tensor:
        return rules.positive_relevance(g, kept if is_relu else output(kept).relu(), z, epsilon)

    rule = Rule(epsilon_rule, positive_rule, (True, True, False))
    tag = Tag(Role.FLOWS, nonnegative=name in ("relu", "relu6"))
    out = mode.fork(a, [u_before], rule, (a if is_relu else u_before, z, fold.made_with), tag)
    if mode.stem is None and before.layer is not None:
        mode.stem = Stem(before.layer, before.path, out)
    if changes_input:
        mode.rename(u, out, changed=a is u)
    return out


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
    if mode.flows(weight) or not mode.flows(input):
        raise mode.uncovered(function, "has a weight that depends on the input, which has no rule")
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
                function, 'with padding="same" and an even kernel pads one side more, which has no rule'
            )
        sides = [r // 2 for r in reach]
    else:
        sides = each(padding)
    geometry = each(stride), sides, dilation, transposed, each(options["output_padding"]), options["groups"]
    result = function(input, weight, bias, stride, padding, *args, **kwargs)
    return _linear_layer(mode, rules.Convolution(*geometry), result, input, weight, bias)


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
    if mode.flows(weight) or not mode.flows(input):
        raise mode.uncovered(function, "has a weight that depends on the input, which has no rule")
    return _linear_layer(mode, rules.Dense(), function(input, weight, bias), input, weight, bias)


def _linear_layer(
    mode: RelevanceMode,
    linear: rules.Convolution | rules.Dense,
    result: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
) -> torch.Tensor:
    before = mode.use(x)
    signed = not before.nonnegative
    fold = Fold()
    tag = Tag(Role.FLOWS, layer=LinearLayer(linear, x, weight, bias, signed), fold=fold, path=(before.fold, fold))

    def fused(weight: torch.Tensor) -> torch.Tensor:
        return linear.scaled(weight, fold.scale) if fold.scale is not None and fold.valid else weight

    def epsilon_rule(g: torch.Tensor, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return linear.transpose(g, fused(weight) if fold.less_work else weight, x)

    def positive_rule(g: torch.Tensor, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return rules.positive_input(linear.transpose, g, x, fused(weight), signed)

    return mode.fork(result, [x], Rule(epsilon_rule, positive_rule, (True, False)), (x, weight), tag)


def batch_norm(
    mode: RelevanceMode,
    function: Callable,
    input: torch.Tensor,
    running_mean: torch.Tensor | None,
    running_var: torch.Tensor | None,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> torch.Tensor:
    """Batch norm: a fixed affine map; where it directly follows a convolution, its scale belongs to the weight."""
    if training:
        # what batch_norm itself calls; this way the statistics of the batch need not be computed twice
        result, mean, inverse, *_ = torch._batch_norm_impl_index(
            input, weight, bias, running_mean, running_var, True, momentum, eps, torch.backends.cudnn.enabled
        )
    elif running_mean is None or running_var is None:
        raise ValueError("batch norm in evaluation mode without running statistics.")
    else:
        result = function(input, running_mean, running_var, weight, bias, False, momentum, eps)
        mean, inverse = running_mean.clone(), (running_var + eps).rsqrt()
    return _affine(mode, result, input, mean.detach(), inverse.detach(), weight, bias)


def _affine(
    mode: RelevanceMode,
    result: torch.Tensor,
    x: torch.Tensor,
    mean: torch.Tensor,
    inverse: torch.Tensor,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
) -> torch.Tensor:
    scale = inverse if weight is None else weight * inverse
    shift = -mean * scale if bias is None else bias - mean * scale
    before, tag = mode.use(x), Tag(Role.FLOWS)
    fold, layer, signed = before.fold, before.layer, not before.nonnegative
    foldable = (
        layer is not None
        and layer.scale is None
        and fold.scale is None
        and not layer.linear.transposed
        and x.ndim == layer.weight.ndim
    )
    if layer is not None and foldable:
        fold.scale, fold.less_work = scale, 4 * layer.weight.numel() < x.numel()
        tag.layer, tag.path = replace(layer, scale=scale, shift=shift), (*before.path, tag.fold)
    elif mode.passes.positive:
        s, t = rules.per_channel(scale, x), rules.per_channel(shift, x)
        tag.companion = rules.positive_output(torch.mul, x, s, signed) + t.relu()

    def in_weight() -> bool:
        return foldable and fold.valid and fold.less_work

    own = tag.fold
    own.made_with, own.elsewhere = scale, in_weight

    def epsilon_rule(g: torch.Tensor, _: torch.Tensor | None, scale: torch.Tensor) -> torch.Tensor:
        return g if in_weight() or own.in_relu else rules.affine_relevance(g, scale)

    def positive_rule(g: torch.Tensor, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        if foldable and fold.valid:
            return g
        return rules.positive_input(_times, g, x, rules.per_channel(scale, g), signed)

    saved = (x if mode.passes.positive else None, scale)
    return mode.fork(result, [x], Rule(epsilon_rule, positive_rule, (True, False)), saved, tag)


def _times(g: torch.Tensor, scale: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    return g * scale


def instance_norm(
    mode: RelevanceMode,
    function: Callable,
    input: torch.Tensor,
    running_mean: torch.Tensor | None = None,
    running_var: torch.Tensor | None = None,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> torch.Tensor:
    """Instance norm: its denominators are constants; with running statistics it is a fixed affine map."""
    result = function(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)
    if not use_input_stats and running_mean is not None and running_var is not None:
        return _affine(mode, result, input, running_mean.clone(), (running_var + eps).rsqrt(), weight, bias)
    return _centered(mode, result, input, (*input.shape[:2], -1), weight, bias, eps, channels_first=True)


def group_norm(
    mode: RelevanceMode,
    function: Callable,
    input: torch.Tensor,
    num_groups: int,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
) -> torch.Tensor:
    """Group norm: its denominators are constants."""
    result = function(input, num_groups, weight, bias, eps)
    return _centered(mode, result, input, (len(input), num_groups, -1), weight, bias, eps, channels_first=True)


def layer_norm(
    mode: RelevanceMode,
    function: Callable,
    input: torch.Tensor,
    normalized_shape: Any,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
) -> torch.Tensor:
    """Layer norm: its denominators are constants."""
    result = function(input, normalized_shape, weight, bias, eps)
    lead = input.shape[: input.ndim - len(normalized_shape)]
    return _centered(mode, result, input, (*lead, -1), weight, bias, eps, channels_first=False)


def _centered(
    mode: RelevanceMode,
    result: torch.Tensor,
    x: torch.Tensor,
    groups: tuple[int, ...],
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    eps: float,
    channels_first: bool,
) -> torch.Tensor:
    def along(values: torch.Tensor | None, like: torch.Tensor) -> torch.Tensor | None:
        return rules.per_channel(values, like) if channels_first and values is not None else values

    grouped = x.detach().reshape(groups)
    variance, mean = torch.var_mean(grouped, -1, correction=0, keepdim=True)
    inverse = (variance + eps).rsqrt()
    signed, tag = not mode.use(x).nonnegative, Tag(Role.FLOWS)
    scale = shift = None
    if mode.passes.positive:
        w, b = along(weight, x), along(bias, x)
        scale = inverse.expand_as(grouped).reshape(x.shape)
        scale = scale if w is None else scale * w
        shift = -mean.expand_as(grouped).reshape(x.shape) * scale
        shift = shift if b is None else shift + b
        tag.companion = rules.positive_output(torch.mul, x, scale, signed) + shift.relu()

    def epsilon_rule(
        g: torch.Tensor, inverse: torch.Tensor, weight: torch.Tensor | None, *_: torch.Tensor | None
    ) -> torch.Tensor:
        return rules.centered_relevance(g, along(weight, g), inverse, (len(g), *groups[1:]))

    def positive_rule(g: torch.Tensor, _: torch.Tensor, __: Any, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return rules.positive_input(_times, g, x, scale, signed)

    saved = (inverse, weight, x if mode.passes.positive else None, scale)
    return mode.fork(result, [x], Rule(epsilon_rule, positive_rule, (True, False, True, True)), saved, tag)


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
    if is_causal or kwargs or dropout_p or not mode.flows(value):
        raise mode.uncovered(function, f"with is_causal, dropout or {sorted(kwargs) or 'constant values'} has no rule")
    result = function(query, key, value, attn_mask, 0.0, scale=scale)
    size = query.shape[-1] ** -0.5 if scale is None else scale
    tags = [mode.use(t) for t in (query, key, value) if mode.flows(t)]

    def rule(g: torch.Tensor, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        scores = query @ key.transpose(-1, -2) * size
        if attn_mask is not None:
            scores = scores.masked_fill(~attn_mask, -torch.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
        return scores.softmax(-1).transpose(-1, -2) @ g

    if mode.passes.positive and not tags[-1].nonnegative:
        raise mode.uncovered(function, "of values that may be negative has no rule in the positive pass")
    tag = Tag(Role.FLOWS, nonnegative=tags[-1].nonnegative)
    return mode.fork(result, [value], Rule(rule, rule, (True, True)), (query, key), tag)


def concatenation(mode: RelevanceMode, function: Callable, tensors: Any, dim: int = 0, **kwargs: Any) -> torch.Tensor:
    """Concatenation, of which every part gets its part of the gradient."""
    if kwargs or any(t.ndim != tensors[0].ndim for t in tensors):
        raise mode.uncovered(function, f"with {sorted(kwargs)} or parts of unequal dimensions has no rule")
    known = mode.positive(function, (tensors, dim), {}) if mode.passes.positive else {}
    for t in tensors:
        if mode.flows(t):
            mode.use(t)
    sizes = [t.shape[dim] for t in tensors]

    def parts(g: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return SplitGradient.apply(g, sizes, dim)

    return mode.fork(function(tensors, dim), tensors, Rule(parts, parts, ()), (), Tag(Role.FLOWS, **known))


HANDLERS: dict[str, Callable[..., torch.Tensor]] = {
    **dict.fromkeys(ACTIVATIONS, activation),
    **dict.fromkeys(CONVOLUTIONS, convolution),
    "batch_norm": batch_norm,
    "cat": concatenation,
    "concat": concatenation,
    "concatenate": concatenation,
    "group_norm": group_norm,
    "instance_norm": instance_norm,
    "layer_norm": layer_norm,
    "linear": dense,
    "scaled_dot_product_attention": attention,
}
