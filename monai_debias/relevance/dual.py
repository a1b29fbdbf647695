# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Dual ISNet's second relevance pass, LRP-z⁺, beside the ε pass of the same forward pass.

It is meant for networks of ReLUs. Where linear layers follow each other without an activation between them, or an
activation has negative outputs, the relevance that it passes on may be negative, or add up to more than came in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch

from monai_debias.relevance import rules
from monai_debias.relevance.operands import replaced, tensors_in, widened
from monai_debias.relevance.operations import COVERED, DIVISIONS, MAXIMA, NEGATING, PRODUCTS, bare_name, in_place
from monai_debias.relevance.passes import Backward, Passes, Rule
from monai_debias.relevance.propagation import RelevanceMode
from monai_debias.relevance.rules_z_plus import companion_of_linear
from monai_debias.relevance.tags import LinearLayer, Role, Tag, UncoveredOperationError
from monai_debias.without_waiting import look, waits

__all__ = ["DualMode", "Known", "ZPlus", "dual_starts", "known_of_linear"]

_NO_COMPANION = (
    "a tensor was changed in place, and another one that shows its values was made before: LRP-z⁺ has no rule for the "
    "latter. Let the network make new tensors there, or use another target."
)


@dataclass(eq=False)
class Known:
    """What the z⁺ pass must know of a tensor.

    Args:
        nonnegative: whether it has no negative value.
        companion: z⁺, what the tensor would be if nothing negative had been added; None until it is computed.
        layer: the linear layer that it comes from, which may include a normalisation.
        signed: whether that layer's input may be negative.
    """

    nonnegative: bool = False
    companion: torch.Tensor | None = None
    layer: LinearLayer | None = None
    signed: bool = True


@dataclass(frozen=True)
class ZPlus:
    """What the z⁺ pass does at an operation.

    Args:
        known: what is known of its result.
        rule: what it does to the gradient; None where the rule is that of the ε pass.
        saved: tensors that the rule needs.
        inputs: the tensors that the rule gives a gradient; None for those of the operation itself.
    """

    known: Known
    rule: Rule | None = None
    saved: Sequence[torch.Tensor | None] = ()
    inputs: Sequence[torch.Tensor] | None = None


class DualMode(RelevanceMode):
    """Gives the operations of one forward pass their rules for both passes.

    Args:
        passes: the state of the pass.
        x: the network's input, a tensor that requires a gradient.
        handlers: those of the ε pass, as in :class:`RelevanceMode`.
        z_plus: those of the z⁺ pass, by the same names, each a function of the mode, the operation, the tag of the
            result, the result and the operation's arguments that returns :class:`ZPlus`.
        allow: names of operations without a rule whose ordinary gradient is to be used.
    """

    keeps_inputs = True

    def __init__(
        self,
        passes: Passes,
        x: torch.Tensor,
        handlers: dict[str, Callable[..., Any]],
        z_plus: dict[str, Callable[..., ZPlus]],
        allow: Sequence[str] = (),
    ) -> None:
        super().__init__(passes, x, handlers, allow)
        self.z_plus = z_plus
        self._known: WeakKeyDictionary[Tag, Known] = WeakKeyDictionary()
        self._call: tuple[Callable, tuple, dict[str, Any]] | None = None
        # not looked at where that has to be waited for: the rules for signed values are right for all
        self._known[self.tags[x]] = Known(nonnegative=not waits(x) and bool((x >= 0).all()))

    def known_of(self, tensor: torch.Tensor) -> Known:
        """What is known of a tensor that relevance flows through."""
        return self._known.setdefault(self.tags[tensor], Known())

    def companion(self, tensor: torch.Tensor) -> torch.Tensor:
        """z⁺ of a tensor: what it would be if nothing negative had been added."""
        known = self.known_of(tensor)
        if known.nonnegative:
            return tensor
        if known.companion is None:
            known.companion = tensor.relu() if known.layer is None else _companion_of_layer(known.layer, known.signed)
        return known.companion

    def _handled(self, handler: Callable[..., Any], function: Callable, args: tuple, kwargs: dict[str, Any]) -> Any:
        self._call = function, args, kwargs
        try:
            return super()._handled(handler, function, args, kwargs)
        finally:
            self._call = None

    def fork(
        self,
        result: torch.Tensor,
        inputs: Sequence[torch.Tensor],
        rule: Rule,
        saved: Sequence[torch.Tensor | None],
        tag: Tag,
        only: Backward | None = None,
    ) -> torch.Tensor:
        """The result of an operation with its rules for both passes."""
        forked = super().fork(result, inputs, rule, saved, tag, only)
        if self._call is None or tag.role is not Role.FLOWS:
            return forked
        function, args, kwargs = self._call
        self._call = None
        z_plus = self.z_plus[bare_name(function)](self, function, tag, forked, *args, **kwargs)
        self._known[tag] = z_plus.known
        if z_plus.rule is None:
            return forked
        inputs = inputs if z_plus.inputs is None else z_plus.inputs
        return super().fork(forked, inputs, z_plus.rule, z_plus.saved, tag, only=Backward.Z_PLUS)

    def linear(self, function: Callable, name: str, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Linear operations: the companion of the result is what they make of the companions of the inputs."""
        if name not in COVERED:
            return super().linear(function, name, args, kwargs)
        if name not in self.allow:
            self.refuse_unless_linear(function, name, args, kwargs)
        before = [tag for t in tensors_in((args, kwargs)) if (tag := self.tags.get(t)) is not None]
        nonnegative, companions = known_of_linear(self, function, args, kwargs)
        result = super().linear(function, name, args, kwargs)
        results = args[:1] if in_place(function) else tensors_in(result)
        for tensor, companion in zip(results, [*companions, *[None] * len(results)], strict=False):
            if self.flows(tensor) and self.tags[tensor] not in before:
                self._known[self.tags[tensor]] = Known(nonnegative, companion)
        if in_place(function):
            self._write_companion(args[0])
        return result

    def rename(self, old: torch.Tensor, new: torch.Tensor, changed: bool) -> torch.Tensor:
        """Let ``new`` stand for ``old``, in the companion of what ``old`` is a view of, too."""
        if (result := super().rename(old, new, changed)) is old:
            self._write_companion(old)
        return result

    def _write_companion(self, changed: torch.Tensor) -> None:
        """Write the companion of a view that was changed in place into that of the tensor that it is a part of."""
        base = changed._base if changed._is_view() else None
        if base is None or not (self.flows(base) and self.flows(changed)):
            return
        companion, place = self.companion(base).clone(), changed.storage_offset() - base.storage_offset()
        companion.as_strided(changed.shape, changed.stride(), place).copy_(self.companion(changed))
        self.tags[base] = Tag(Role.FLOWS, has_views=True, batch_first=self.tags[base].batch_first)
        self._known[self.tags[base]] = Known(companion=companion)

    def _see_as(self, tag: Tag, other: torch.Tensor) -> Tag:
        """What was not made by an operation has no companion: where relevance flows through it, it is broken."""
        return super()._see_as(
            Tag(Role.BROKEN, UncoveredOperationError(_NO_COMPANION)) if tag.role is Role.FLOWS else tag, other
        )


def _companion_of_layer(layer: LinearLayer, signed: bool) -> torch.Tensor:
    x, weight = layer.x.to(layer.dtype), layer.weight.to(layer.dtype)
    z = companion_of_linear(layer.linear.forward, x, weight, signed)
    return z if layer.bias is None else (z + layer.linear.spread(layer.bias.relu(), z)).to(z.dtype)


def known_of_linear(
    mode: DualMode, function: Callable, args: tuple, kwargs: dict[str, Any]
) -> tuple[bool, list[torch.Tensor]]:
    """Whether the results of a linear operation have no negative values; if not, their companions.

    Raises:
        UncoveredOperationError: when it subtracts, or multiplies by something negative.
    """
    name, tensors = bare_name(function), tensors_in((args, kwargs))
    flowing = [t for t in tensors if mode.flows(t)]
    if name in mode.allow and len(flowing) > 1:
        return False, []
    factors = [t for t in tensors if t.is_floating_point() and not mode.flows(t)]
    scales = name in PRODUCTS or name in DIVISIONS
    seen = [t for t in factors if not waits(t)]
    negative = any(bool((t < 0).any()) for t in seen) or any(isinstance(a, float | int) and a < 0 for a in args)
    refusal = mode.uncovered(function, "subtracts, or multiplies by something negative, which LRP-z⁺ has no rule for")
    if name in NEGATING or kwargs.get("alpha", 1) < 0 or (scales and negative):
        raise refusal
    if scales:
        for t in factors:
            look(partial(_refuse_negative, refusal), (t < 0).any())
    elif len(seen) < len(factors):  # a summand that would have to be waited for may be negative
        negative = True
    if not negative and all(mode.known_of(t).nonnegative for t in flowing):
        return True, []

    if name in MAXIMA:
        return False, _chosen(function, args, kwargs, mode.companion)

    def without_negative(t: torch.Tensor) -> torch.Tensor:
        if mode.flows(t):
            return mode.companion(t).clone() if in_place(function) else mode.companion(t)
        return t.relu() if t.is_floating_point() and not scales else t

    args, kwargs = replaced(args, without_negative), replaced(kwargs, without_negative)
    with torch.random.fork_rng(enabled="dropout" in name):  # the same units are dropped from tensor and companion
        result = function(*args, **kwargs)
    return False, tensors_in(args[0] if in_place(function) else result)


def _chosen(
    function: Callable, args: tuple, kwargs: dict[str, Any], companion: Callable[[torch.Tensor], torch.Tensor]
) -> list[torch.Tensor]:
    """Of the companion of a tensor what a maximum or a sorting chooses by the values of the tensor itself."""
    (x,) = tensors_in((args, kwargs))
    chosen: list[torch.Tensor] = []
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        args, kwargs = (replaced(values, lambda _: leaf) for values in (args, kwargs))
        for values in tensors_in(function(*args, **kwargs)):
            if values.is_floating_point():  # the choice is linear: the transpose of its transpose
                start = torch.zeros_like(values).requires_grad_()
                (back,) = torch.autograd.grad(values, leaf, start, create_graph=True, retain_graph=True)
                chosen += torch.autograd.grad(back, start, companion(x), create_graph=True)
            else:
                chosen.append(values)
    return chosen


def _refuse_negative(refusal: UncoveredOperationError, negative: torch.Tensor) -> None:
    if bool(negative):
        raise refusal


def dual_starts(
    logits: torch.Tensor, mode: DualMode, epsilon: float
) -> list[tuple[Backward, torch.Tensor, torch.Tensor]]:
    """Where Dual ISNet's passes start: from all logits, each with its value as relevance, stabilised by ε as well."""
    companion, logits = widened(mode.companion(logits)), widened(logits)
    return [
        (Backward.Z_PLUS, logits, rules.stabilised(companion, companion, epsilon)),
        (Backward.EPSILON, logits, rules.stabilised(logits, logits, epsilon)),
    ]
