# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The second table of handlers: what the z⁺ pass of Dual ISNet does at the layers that the ε pass has rules for.

Every function takes the mode, the operation of torch, the tag of its result, the result and the operation's own
arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from monai_debias.relevance.dual import DualMode, Known, ZPlus, known_of_linear
from monai_debias.relevance.norms import NORMS
from monai_debias.relevance.operations import ACTIVATIONS, CONVOLUTIONS, bare_name
from monai_debias.relevance.passes import Rule
from monai_debias.relevance.rules_z_plus import companion_of_linear, z_plus_relevance, z_plus_transposed
from monai_debias.relevance.tags import LinearLayer, Tag

__all__ = ["Z_PLUS_HANDLERS"]


def activation(
    mode: DualMode, function: Callable, _: Tag, a: torch.Tensor, input: torch.Tensor, *__: Any, **___: Any
) -> ZPlus:
    """An element-wise function: what it lets through, as a share of all that was added."""
    epsilon, name = mode.passes.epsilon, bare_name(function)

    def rule(g: torch.Tensor, a: torch.Tensor, companion: torch.Tensor) -> torch.Tensor:
        return z_plus_relevance(g, a, companion, epsilon)

    # the output of a ReLU is kept by its own derivative too; that of others may be changed in place after them
    saved = (a if name == "relu" else a.relu(), mode.companion(input))
    return ZPlus(Known(nonnegative=name in ("relu", "relu6")), Rule(rule, (True, True), in_float32=True), saved)


def linear_layer(mode: DualMode, _: Callable, tag: Tag, *__: Any, **___: Any) -> ZPlus:
    """A convolution or dense layer."""
    assert tag.layer is not None
    return _weighted(tag.layer, signed=not mode.known_of(tag.layer.x).nonnegative)


def _weighted(layer: LinearLayer, signed: bool) -> ZPlus:
    transpose = layer.linear.transpose  # the rule must not hold the layer, which holds its input

    def rule(g: torch.Tensor, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return z_plus_transposed(transpose, g, x, weight, signed)

    known = Known(layer=layer, signed=signed)
    return ZPlus(known, Rule(rule, (True, False)), (layer.x, layer.weight), inputs=(layer.x,))


def normalisation(
    mode: DualMode, _: Callable, tag: Tag, result: torch.Tensor, input: torch.Tensor, *__: Any, **___: Any
) -> ZPlus:
    """A normalisation: here a fixed affine map, whose factors and summands may have either sign.

    After a linear layer the two are one layer, so that its relevance goes to the input of that one at once. What else
    takes the output of the linear layer has it to itself.
    """
    assert tag.affine is not None
    before = mode.known_of(input)
    if tag.layer is not None and not mode.tags[input].captured:
        return _weighted(tag.layer.fused(), before.signed)
    signed, (scale, shift) = not before.nonnegative, tag.affine()
    companion = companion_of_linear(torch.mul, input, scale, signed) + shift.relu()

    def rule(g: torch.Tensor, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return z_plus_transposed(_times, g, x, scale, signed)

    known, per_sample = Known(companion=companion.to(result.dtype)), (True, len(scale) == len(input))
    return ZPlus(known, Rule(rule, per_sample, in_float32=True), (input, scale))


def _times(g: torch.Tensor, scale: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    return g * scale


def attention(
    mode: DualMode,
    function: Callable,
    _: Tag,
    __: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *options: Any,
    **named: Any,
) -> ZPlus:
    """Fused attention: the attention weights are constants of 0 or more."""
    if mode.known_of(value).nonnegative:
        return ZPlus(Known(nonnegative=True))
    return ZPlus(Known(companion=function(query, key, mode.companion(value), *options, **named)))


def gated_linear_unit(
    mode: DualMode, _: Callable, __: Tag, ___: torch.Tensor, input: torch.Tensor, dim: int = -1
) -> ZPlus:
    """A gated linear unit: the sigmoid of the second half of its input is the gate of the first."""
    if mode.known_of(input).nonnegative:
        return ZPlus(Known(nonnegative=True))
    values, gates = mode.companion(input).chunk(2, dim)[0], input.chunk(2, dim)[1].sigmoid()
    return ZPlus(Known(companion=values * gates))


def concatenation(mode: DualMode, function: Callable, _: Tag, __: torch.Tensor, *args: Any, **kwargs: Any) -> ZPlus:
    """Concatenation: each part keeps its companion."""
    nonnegative, companions = known_of_linear(mode, function, args, kwargs)
    return ZPlus(Known(nonnegative, None if nonnegative else companions[0]))


Z_PLUS_HANDLERS: dict[str, Callable[..., ZPlus]] = {
    **dict.fromkeys(ACTIVATIONS, activation),
    **dict.fromkeys([*CONVOLUTIONS, "linear"], linear_layer),
    **dict.fromkeys(NORMS, normalisation),
    **dict.fromkeys(["cat", "concat", "concatenate"], concatenation),
    "glu": gated_linear_unit,
    "scaled_dot_product_attention": attention,
}
