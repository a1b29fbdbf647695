# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The positive pass at linear operations: what their results would be if nothing negative had been added."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from monai_debias.relevance.operands import replaced, tensors_in
from monai_debias.relevance.operations import NEGATING, PRODUCTS, bare_name, in_place
from monai_debias.relevance.tagged import TaggedTensors

__all__ = ["known_of_linear"]


def known_of_linear(tensors: TaggedTensors, function: Callable, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
    """What the positive pass must know of the result of a linear operation."""
    name, flowing = bare_name(function), [tensors.tags[t] for t in tensors_in((args, kwargs)) if tensors.flows(t)]
    if name in tensors.allow and len(flowing) > 1:
        return {}
    factors = [t for t in tensors_in((args, kwargs)) if t.is_floating_point() and not tensors.flows(t)]
    scales = name in PRODUCTS or name in ("div", "truediv")
    negative = any(bool((t < 0).any()) for t in factors) or any(isinstance(a, float | int) and a < 0 for a in args)
    if name in NEGATING or kwargs.get("alpha", 1) < 0 or (scales and negative):
        raise tensors.uncovered(
            function, "subtracts, or multiplies by something negative, which LRP-z⁺ has no rule for"
        )
    if not negative and all(tag.nonnegative for tag in flowing):
        return {"nonnegative": True}

    def positive_part(t: torch.Tensor) -> torch.Tensor:
        if tensors.flows(t):
            return tensors.companion(t)
        return t.relu() if t.is_floating_point() and not scales else t

    companions = replaced((args, kwargs), positive_part)
    if in_place(function):
        companions = ((companions[0][0].clone(), *companions[0][1:]), companions[1])
    with torch.random.fork_rng(enabled="dropout" in name):  # the same units are dropped from tensor and companion
        result = function(*companions[0], **companions[1])
    return {"companion": companions[0][0] if in_place(function) else result}
