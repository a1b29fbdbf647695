# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
r"""The rules of LRP-z⁺: what a layer does to the gradient in the second relevance pass of Dual ISNet.

It passes on what was added, and nothing of what was subtracted. For every pre-activation it needs the *companion*
:math:`z^+ = W^+ x^+ + W^- x^- + b^+`: the sum of the terms that are above 0, where + and − mark the parts above and
below 0 of weight, input and bias.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from monai_debias.relevance.rules import stabilised

__all__ = ["companion_of_linear", "z_plus_relevance", "z_plus_transposed"]


def z_plus_relevance(g: torch.Tensor, a: torch.Tensor, companion: torch.Tensor, epsilon: float) -> torch.Tensor:
    r"""LRP-z⁺ at an activation with output :math:`a \ge 0`: :math:`g_{in} = g\,a/(z^+ + \varepsilon)`."""
    return stabilised(g * a, companion, epsilon)


def companion_of_linear(
    forward: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], x: torch.Tensor, weight: torch.Tensor, signed: bool
) -> torch.Tensor:
    r"""What a linear map adds up without anything negative, :math:`W^+ x^+ + W^- x^-`.

    Args:
        forward: the linear map, a function of input and weight.
        x: its input.
        weight: its weight.
        signed: whether ``x`` may be negative; where it is not, the second term is 0 and is left out.
    """
    if not signed:
        return forward(x, weight.relu())
    return forward(x.relu(), weight.relu()) + forward((-x).relu(), (-weight).relu())


def z_plus_transposed(
    transpose: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor],
    g: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    signed: bool,
) -> torch.Tensor:
    r"""LRP-z⁺ at a linear map: :math:`W^{+T} g` where :math:`x > 0`, :math:`W^{-T} g` elsewhere (αβ, α = 1)."""
    up = transpose(g, weight.relu(), x)
    return up if not signed else torch.where(x < 0, -transpose(g, (-weight).relu(), x), up)
