# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Relevance rules in the forward pass of any network, without touching the network.

Inside :class:`RelevanceMode` every operation of torch passes through it. It computes what the operation always
computes, and gives its result a second way back, the rule of :mod:`monai_debias.relevance.rules`.

Where no rule is sure to hold, the result of an operation is *broken*, and so is all that is computed from it. That is
not an error yet, since a side branch may not concern the logits; it is one as soon as the logits depend on it. So no
relevance is lost unnoticed between the input and the logits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from monai_debias.relevance.batch_dimension import keeps_batch
from monai_debias.relevance.constants import Constants
from monai_debias.relevance.operands import (
    broadcast,
    is_composed,
    is_square,
    low_precision,
    replaced,
    shares_storage,
    takes,
    tensors_in,
    without_override,
)
from monai_debias.relevance.operations import (
    BOOKKEEPING,
    BORROWING,
    CHANGING_STATISTICS,
    COVERED,
    DEVIATIONS,
    DIVISIONS,
    GATES,
    JOINING,
    KEEPS_SQUARES,
    LEAVING,
    PRODUCTS,
    bare_name,
    flowing_factors,
    gives_shape,
    in_place,
)
from monai_debias.relevance.passes import Passes
from monai_debias.relevance.tags import Role, Tag, UncoveredOperationError

__all__ = ["RelevanceMode"]

_NO_GRADIENT = "returns a tensor without a gradient, through which relevance is lost"
_ADVICE = dict.fromkeys(
    ("log_softmax", "logsigmoid"), "has no relevance rule; if it is the last layer, let the network return its logits"
)


class RelevanceMode(Constants, TorchFunctionMode):
    """Gives the operations of one forward pass their relevance rules.

    Args:
        passes: the state of the pass.
        x: the network's input, a tensor that requires a gradient.
        handlers: by name, what computes an operation together with its rule: a function of the mode, the operation and
            its arguments.
        allow: names of operations without a rule whose ordinary gradient is to be used.
    """

    def __init__(
        self, passes: Passes, x: torch.Tensor, handlers: dict[str, Callable[..., Any]], allow: Sequence[str] = ()
    ) -> None:
        super().__init__(passes, x, allow)
        self.handlers = handlers

    def __torch_function__(
        self, function: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Compute an operation, with its rule where it has one."""
        args, kwargs = self.current(args), self.current(kwargs or {})
        name = bare_name(function)
        if name in BOOKKEEPING:
            result = function(*args, **kwargs)
            for copied, original in zip(tensors_in(result), tensors_in(args), strict=False):
                self.adopt(copied, original)
            return result
        tensors = tensors_in((args, kwargs))
        mattering = tensors[:1] if name in BORROWING else tensors
        tags = [tag for t in mattering if (tag := self.tag(t, function)) is not None]
        roles = {tag.role for tag in tags}
        if roles <= {Role.CONSTANT} or gives_shape(name):
            result = function(*args, **kwargs)
            return self.mark(result, Role.CONSTANT, function, args) if tags else result
        if name == "broadcast_tensors":  # each tensor keeps its own role
            return self.see_inside(broadcast, *args)
        if name not in self.allow:
            self._refuse_to_leave(function, args)
        low = [t for t in tensors if self.passes.autocast is None and low_precision(t)]
        if not low:
            return self._compute(function, name, args, kwargs, tags, roles)
        wide = {id(t): t.float() for t in low}
        args, kwargs = (replaced(values, lambda t: wide.get(id(t), t)) for values in (args, kwargs))
        result = self._compute(function, name, args, kwargs, tags, roles)
        for t in low:
            if not t.requires_grad and (name in CHANGING_STATISTICS or in_place(function)):
                t.copy_(wide[id(t)])
        return result

    def _compute(
        self, function: Callable, name: str, args: tuple, kwargs: dict[str, Any], tags: list[Tag], roles: set[Role]
    ) -> Any:
        """Compute an operation with an argument that depends on the input."""
        if name in self.allow and Role.FLOWS in roles and Role.BROKEN not in roles:
            return self.linear(function, name, args, kwargs)
        if name in GATES:
            return self.constant(function, args, kwargs, "makes a gate")
        if Role.BROKEN in roles:
            return self.broken(function, name, args, kwargs, tags)
        if Role.FLOWS not in roles:
            error = next(tag.error for tag in tags if tag.role is Role.FACTOR)
            return self.mark(function(*args, **kwargs), Role.FACTOR, function, args, error=error)
        try:
            if Role.FACTOR in roles:
                self.refuse_added_factors(name, args, kwargs)
            return self._by_rule(function, name, args, kwargs)
        except UncoveredOperationError as error:
            broken = error.with_traceback(None)
        return self.mark(function(*args, **kwargs), Role.BROKEN, function, args, error=broken)

    def _by_rule(self, function: Callable, name: str, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Compute an operation on what relevance flows through; other arguments may be factors."""
        if not torch.is_grad_enabled():
            if "no_grad" in self.allow:
                return function(*args, **kwargs)
            raise self.uncovered(function, _NO_GRADIENT, "no_grad", "that")
        if name in DEVIATIONS:
            return self.constant(function, args, kwargs, "makes a deviation")
        if name in ("std_mean", "var_mean"):
            return self.spread_and_mean(function, name, args, kwargs)
        if is_square(name, args):
            return self.mark(function(*args, **kwargs), Role.BROKEN, function, args, **self.square(function))
        if name in ("mul", "multiply") and not in_place(function):
            args = self.with_gate(args)
        if name in self.handlers:
            if name not in JOINING:
                self._refuse_other_sources(function, args, kwargs)
            return self._handled(self.handlers[name], function, args, kwargs)
        if name not in COVERED and is_composed(function):
            return self.see_inside(without_override(function), *args, **kwargs)
        return self.linear(function, name, args, kwargs)

    def _handled(self, handler: Callable[..., Any], function: Callable, args: tuple, kwargs: dict[str, Any]) -> Any:
        try:
            return handler(self, function, *args, **kwargs)
        except TypeError:
            if takes(handler, self, function, *args, **kwargs):
                raise
            # torch.batch_norm and others have more arguments, in another order
            why = "has no relevance rule with these arguments; call torch.nn.functional's function of the same name"
            raise self.uncovered(function, why) from None

    def _refuse_other_sources(self, function: Callable, args: tuple, kwargs: dict[str, Any]) -> None:
        """Refuse a weight or a bias that relevance flows through: the rule of a layer gives it none."""
        x = args[0] if args else kwargs.get("input")
        if not self.flows(x) or any(self.flows(t) and t is not x for t in tensors_in((args, kwargs))):
            raise self.uncovered(function, "has a weight or bias that depends on the input, which has no rule")

    def see_inside(self, function: Callable, *args: Any, **kwargs: Any) -> Any:
        """Compute a function of torch operations, of which each passes through the mode."""
        with self:
            return function(*args, **kwargs)

    def linear(self, function: Callable, name: str, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Operations that are linear in what depends on the input: their ordinary gradient is the rule."""
        tensors = tensors_in((args, kwargs))
        sources = [t for t in (tensors[:1] if name in BORROWING else tensors) if self.flows(t)]
        flowing = [self.tags[t] for t in sources]
        if name not in self.allow:
            self.refuse_unless_linear(function, name, args, kwargs)
        versions = {id(t): t._version for t in sources}
        result = function(*args, **kwargs)
        unchanged = isinstance(result, torch.Tensor) and versions.get(id(result)) == result._version
        if unchanged and name in COVERED and not in_place(function):
            return result  # its argument: one that is contiguous, dropout in evaluation
        if not any(t.requires_grad for t in tensors_in((result, args[:1] if in_place(function) else ()))):
            return self._without_gradient(function, name, result, args)
        for tag in flowing:
            tag.uses.count += 1
        if name not in COVERED and name not in self.allow:
            why = _ADVICE.get(name, "has no relevance rule")
            return self.mark(result, Role.BROKEN, function, args, error=self.uncovered(function, why))
        result = replaced(result, self.wide)
        activated = name in KEEPS_SQUARES and len(flowing) == 1 and flowing[0].activated
        batch_first = all(tag.batch_first for tag in flowing) and all(
            keeps_batch(name, args, kwargs, sources, t, self.passes.batch_size)
            for t in (args[:1] if in_place(function) else tensors_in(result))
        )
        return self.mark(result, Role.FLOWS, function, args, activated=activated, batch_first=batch_first)

    def refuse_unless_linear(self, function: Callable, name: str, args: tuple, kwargs: dict[str, Any]) -> None:
        """Raise UncoveredOperationError for a product, quotient or maximum of what relevance flows through."""
        flows = [self.flows(a) for a in (*args, *kwargs.values())]
        if name == "einsum":
            flows = [self.flows(t) for t in tensors_in(args)]
        if name in PRODUCTS and flowing_factors(name, flows) > 1:
            raise self.uncovered(
                function, "multiplies two tensors that relevance flows through, neither of them a gate"
            )
        if name in DIVISIONS and any(flows[1:]):
            raise self.uncovered(function, "divides by a tensor that depends on the input, which has no rule")
        if name == "scatter_reduce" and not {"sum", "mean"} & {a for a in (*args, *kwargs.values()) if type(a) is str}:
            raise self.uncovered(function, "has a relevance rule only for sums and means")
        if name == "grid_sample" and any(flows[1:]):
            raise self.uncovered(function, "samples at places that depend on the input, which has no rule")
        if name in ("max", "min") and any(isinstance(a, torch.Tensor) for a in args[1:]):
            raise self.uncovered(function)

    def _without_gradient(self, function: Callable, name: str, result: Any, args: tuple) -> Any:
        """Tag a result without a gradient: a shape, number, comparison or index, or what has lost its gradient."""
        for alias in tensors_in(result):
            for t in tensors_in(args[:1]):
                if self.flows(t) and shares_storage(t, alias):
                    self.tags[t].has_views = True
        if name in self.allow:
            return result
        return self.mark(result, Role.BROKEN, function, args, error=self.uncovered(function, _NO_GRADIENT, "", "that"))

    def _refuse_to_leave(self, function: Callable, args: tuple) -> None:
        name = getattr(function, "__name__", "")
        if name in LEAVING and args[0].is_floating_point():
            why = "takes values on their way from the input to the logits out of torch, where no relevance follows them"
            raise self.uncovered(function, why, "", "that, where they are only looked at,")
