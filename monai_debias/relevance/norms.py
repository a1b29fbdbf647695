# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Normalisations: a batch norm is a fixed affine map, the others have constant denominators.

Every function takes the mode, the operation of torch and the operation's own arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import torch

from monai_debias.relevance import rules
from monai_debias.relevance.kernels import per_channel
from monai_debias.relevance.operands import widened
from monai_debias.relevance.passes import Rule
from monai_debias.relevance.propagation import RelevanceMode
from monai_debias.relevance.tags import Role, Tag

__all__ = ["NORMS"]


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
    """Batch norm: a fixed affine map."""
    if training:
        if input.numel() == input.shape[1]:  # whose variance would put a NaN into the running statistics
            raise ValueError(
                f"batch norm has only one value for each channel in training, its input is {tuple(input.shape)}: give "
                "batches of two images or more, e.g. with drop_last=True, or larger images."
            )
        # what batch_norm itself calls; this way the statistics of the batch need not be computed twice
        result, mean, inverse, *_ = torch._batch_norm_impl_index(
            input, weight, bias, running_mean, running_var, True, momentum, eps, torch.backends.cudnn.enabled
        )
    elif running_mean is None or running_var is None:
        raise ValueError(
            "batch norm has no running statistics: in evaluation mode it needs them; make it with "
            "track_running_stats=True."
        )
    else:
        result = function(input, running_mean, running_var, weight, bias, False, momentum, eps)
        return _affine(mode, result, input, running_mean.clone(), running_var + eps, weight, bias)
    return _affine(mode, result, input, mean.detach(), inverse.detach().pow(-2), weight, bias)


def _affine(
    mode: RelevanceMode,
    result: torch.Tensor,
    x: torch.Tensor,
    mean: torch.Tensor,
    variance: torch.Tensor,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
) -> torch.Tensor:
    @cache
    def affine() -> tuple[torch.Tensor, torch.Tensor]:
        scale = variance.rsqrt() if weight is None else weight * variance.rsqrt()
        return scale, -mean * scale if bias is None else bias - mean * scale

    before = mode.use(x)
    tag = Tag(Role.FLOWS, affine=lambda: (per_channel(affine()[0], x), per_channel(affine()[1], x)))
    layer = before.layer
    if layer is not None and layer.affine is None and not layer.linear.transposed and x.ndim == layer.weight.ndim:
        tag.layer, tag.path = replace(layer, affine=affine), (*before.path, tag.uses)
    saved = (weight, variance, mode.passes.zeros(len(variance), variance))
    return mode.fork(result, [x], Rule(rules.affine_relevance, (False,) * 3), saved, tag)


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
        return _affine(mode, result, input, running_mean.clone(), running_var + eps, weight, bias)
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
    _refuse_whole_batch(mode, function, input, normalized_shape)
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
        return per_channel(values, like) if channels_first and values is not None else values

    grouped = widened(x.detach()).reshape(groups)
    variance, mean = torch.var_mean(grouped, -1, correction=0, keepdim=True)
    inverse = (variance + eps).rsqrt()
    mode.use(x)

    def affine() -> tuple[torch.Tensor, torch.Tensor]:
        w, b = along(weight, x), along(bias, x)
        scale = inverse.expand_as(grouped).reshape(x.shape)
        scale = scale if w is None else scale * w
        shift = -mean.expand_as(grouped).reshape(x.shape) * scale
        return scale, shift if b is None else shift + b

    def rule(g: torch.Tensor, inverse: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
        return rules.centered_relevance(g, along(weight, g), inverse, (len(g), *groups[1:]))

    return mode.fork(
        result, [x], Rule(rule, (True, False), in_float32=True), (inverse, weight), Tag(Role.FLOWS, affine=affine)
    )


def rms_norm(
    mode: RelevanceMode,
    function: Callable,
    input: torch.Tensor,
    normalized_shape: Any,
    weight: torch.Tensor | None = None,
    eps: float | None = None,
) -> torch.Tensor:
    """Root mean square norm: its denominators are constants."""
    _refuse_whole_batch(mode, function, input, normalized_shape)
    result = function(input, normalized_shape, weight, eps)
    dims = tuple(range(-len(normalized_shape), 0))
    squares = widened(input.detach()).square().mean(dims, keepdim=True)
    inverse = (squares + (torch.finfo(input.dtype).eps if eps is None else eps)).rsqrt()
    mode.use(input)

    def affine() -> tuple[torch.Tensor, torch.Tensor]:
        scale = _scaled(inverse, weight)
        return scale, torch.zeros_like(scale)

    def rule(g: torch.Tensor, inverse: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
        return g * _scaled(inverse, weight)

    relevance = Rule(rule, (True, False), in_float32=True)
    return mode.fork(result, [input], relevance, (inverse, weight), Tag(Role.FLOWS, affine=affine))


def _refuse_whole_batch(mode: RelevanceMode, function: Callable, x: torch.Tensor, normalized_shape: Any) -> None:
    if x.ndim == len(normalized_shape):
        raise mode.uncovered(function, "normalises over all samples of the batch at once, which has no rule")


def _scaled(inverse: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
    return inverse if weight is None else inverse * weight


NORMS: dict[str, Callable[..., torch.Tensor]] = {
    "batch_norm": batch_norm,
    "group_norm": group_norm,
    "instance_norm": instance_norm,
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
}
