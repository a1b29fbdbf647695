# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Relevance rules in the forward pass of any network, without touching the network.

Inside :class:`RelevanceMode` every operation of torch passes through it. It computes what the
operation always computes, and gives its result a second way back, the rule of :mod:`monai_debias.relevance.rules`.

What an operation is not sure to pass on by a rule makes its result *broken*, and so is all that is computed from it: no
error yet, since a side branch may not concern the logits, but one as soon as the logits are made of it. So no relevance
is lost unnoticed between the input and the logits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils.weak import WeakTensorKeyDictionary

from monai_debias.relevance.companions import known_of_linear
from monai_debias.relevance.operands import (
    broadcast,
    is_composed,
    is_square,
    low_precision,
    replaced,
    shares_storage,
    tensors_in,
    widened,
    without_override,
)
from monai_debias.relevance.operations import (
    BORROWING,
    COVERED,
    DEVIATIONS,
    DIVISIONS,
    GATES,
    KEEPS_SQUARES,
    LEAVING,
    POWERS,
    PRODUCTS,
    bare_name,
    flowing_factors,
    gives_shape,
    in_place,
    keeps_batch,
    may_stand_beside,
)
from monai_debias.relevance.passes import Passes, Rule, fork
from monai_debias.relevance.tags import Role, Stem, Tag, UncoveredOperationError

__all__ = ["RelevanceMode"]

_NOTHING = Rule(lambda g: None, lambda g: None, ())
_LOST = ", a constant of the relevance pass: it may multiply or select, but added to a value it would lose relevance"
_NO_GRADIENT = "returns a tensor without a gradient, through which relevance is lost"
_ADVICE = dict.fromkeys(
    ("log_softmax", "logsigmoid"), "has no relevance rule; if it is the last layer, let the network return its logits"
)


class RelevanceMode(TorchFunctionMode):
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
        super().__init__()
        self.passes = passes
        self.handlers = handlers
        self.allow = frozenset(allow)
        self.stem: Stem | None = None
        self.latest = Tag(Role.CONSTANT)
        self.tags = WeakTensorKeyDictionary()
        self.renamed = WeakTensorKeyDictionary()
        self.tags[x] = Tag(Role.FLOWS, nonnegative=passes.positive and bool((x >= 0).all()))

    def __torch_function__(
        self, function: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Compute an operation, with its rule where it has one."""
        args, kwargs = self.current(args), self.current(kwargs or {})
        name = bare_name(function)
        tensors = tensors_in((args, kwargs))
        mattering = tensors[:1] if name in BORROWING else tensors
        tags = [tag for t in mattering if (tag := self.tag(t, function)) is not None]
        roles = {tag.role for tag in tags}
        if roles <= {Role.CONSTANT} or gives_shape(name):
            result = function(*args, **kwargs)
            return self._mark(result, Role.CONSTANT, function, args) if tags else result
        if name == "broadcast_tensors":  # each of which keeps its own role
            return self.see_inside(broadcast, *args)
        if name not in self.allow:
            self._refuse_to_leave(function, args)
        low = [t for t in tensors if low_precision(t)]
        if not low:
            return self._compute(function, name, args, kwargs, tags, roles)
        wide = {id(t): t.float() for t in low}
        args, kwargs = (replaced(values, lambda t: wide.get(id(t), t)) for values in (args, kwargs))
        result = self._compute(function, name, args, kwargs, tags, roles)
        for t in low:
            if not t.requires_grad and not torch.equal(t.float(), wide[id(t)]):  # running statistics
                t.copy_(wide[id(t)])
        return result

    def _compute(
        self, function: Callable, name: str, args: tuple, kwargs: dict[str, Any], tags: list[Tag], roles: set[Role]
    ) -> Any:
        """An operation of which something depends on the input."""
        if name in self.allow and Role.FLOWS in roles and Role.BROKEN not in roles:
            return self._linear(function, name, args, kwargs)
        if name in GATES:
            return self.constant(function, args, kwargs, "makes a gate")
        if Role.BROKEN in roles:
            return self._broken(function, name, args, kwargs, tags)
        if Role.FLOWS not in roles:
            error = next(tag.error for tag in tags if tag.role is Role.FACTOR)
            return self._mark(function(*args, **kwargs), Role.FACTOR, function, args, error=error)
        try:
            if Role.FACTOR in roles:
                self._refuse_added_factors(name, args, kwargs)
            return self._by_rule(function, name, args, kwargs)
        except UncoveredOperationError as error:
            broken = error.with_traceback(None)
        return self._mark(function(*args, **kwargs), Role.BROKEN, function, args, error=broken)

    def _by_rule(self, function: Callable, name: str, args: tuple, kwargs: dict[str, Any]) -> Any:
        """An operation on what relevance flows through, beside which there may be factors."""
        if not torch.is_grad_enabled():
            if "no_grad" in self.allow:
                return function(*args, **kwargs)
            raise self.uncovered(function, _NO_GRADIENT, "no_grad", "that")
        if name in DEVIATIONS:
            return self.constant(function, args, kwargs, "makes a deviation")
        if name in ("std_mean", "var_mean"):
            return self._spread_and_mean(function, name, args, kwargs)
        if is_square(name, args):
            return self._mark(function(*args, **kwargs), Role.BROKEN, function, args, **self._square(function))
        if name in ("mul", "multiply") and not in_place(function):
            args = self._with_gate(args)
        if name in self.handlers:
            return self.handlers[name](self, function, *args, **kwargs)
        if name not in COVERED and is_composed(function):
            return self.see_inside(without_override(function), *args, **kwargs)
        return self._linear(function, name, args, kwargs)

    def see_inside(self, function: Callable, *args: Any, **kwargs: Any) -> Any:
        """Compute a function of torch operations, of which each passes through the mode."""
        with self:
            return function(*args, **kwargs)

    def flows(self, value: Any) -> bool:
        """Whether relevance flows through a value."""
        tag = self.tags.get(value) if isinstance(value, torch.Tensor) else None
        return tag is not None and tag.role is Role.FLOWS

    def use(self, tensor: torch.Tensor) -> Tag:
        """The tag of a tensor that an operation uses."""
        tag = self.tags[tensor]
        tag.fold.uses += 1
        return tag

    def fork(
        self,
        result: torch.Tensor,
        inputs: Sequence[torch.Tensor],
        rule: Rule,
        saved: Sequence[torch.Tensor | None],
        tag: Tag,
    ) -> torch.Tensor:
        """The result of an operation with its rule and its tag; samples stay where they are in the inputs."""
        result = widened(result)
        tag.batch_first = all(self.tags[t].batch_first for t in inputs if self.flows(t))
        if not tag.batch_first:
            rule.per_sample = ()  # whose rows are not samples
        forked = fork(self.passes, rule, result, inputs, saved)
        self._tag_one(forked, tag)
        return forked

    def shares_memory(self, tensor: torch.Tensor) -> bool:
        """Whether another tensor sees the same memory."""
        return tensor._is_view() or self.tags[tensor].has_views

    def adopt(self, tensor: torch.Tensor) -> None:
        """Take a tensor for a copy of the latest that relevance flows through, as DistributedDataParallel makes one."""
        self.tags[tensor] = self.latest

    def rename(self, old: torch.Tensor, new: torch.Tensor, changed: bool) -> None:
        """From now on ``new`` stands where ``old`` is used, which has been, or is to be, changed in place."""
        if not changed and self.shares_memory(old):
            old.copy_(new)
            self.tags[old] = self.tags[new]
        else:
            self.renamed[old] = new

    def companion(self, tensor: torch.Tensor) -> torch.Tensor:
        """z⁺ of a tensor: what it would be if nothing negative had been added."""
        tag = self.tags[tensor]
        if tag.nonnegative:
            return tensor
        if tag.companion is None:
            tag.companion = tensor.relu() if tag.layer is None else tag.layer.positive()
        return tag.companion

    def uncovered(
        self,
        function: Callable,
        why: str = "has no relevance rule",
        name: str = "",
        accept: str = "its ordinary gradient in the relevance pass",
    ) -> UncoveredOperationError:
        """The error for an operation that must not pass silently; ``name`` is what to allow, if not the operation."""
        name = name or bare_name(function)
        full_name = (resolve_name(function) or bare_name(function)).removesuffix(".__get__")
        return UncoveredOperationError(
            f'{full_name} {why}. Replace it in the network, or accept {accept} with allow=["{name}"].'
        )

    def current(self, arguments: Any) -> Any:
        """Arguments in which what an activation was to change in place is replaced by the activation."""
        return replaced(arguments, lambda t: self.renamed.get(t, t)) if self.renamed else arguments

    def tag(self, tensor: torch.Tensor, user: Callable | str) -> Tag | None:
        """The tag of a tensor, None for a plain constant; ``user`` is the operation that an error says takes it."""
        tag = self.tags.get(tensor)
        if tag is not None and not (tag.without_gradient and tensor.requires_grad):
            return tag
        if not tensor.requires_grad:
            return None
        if tensor.is_leaf or (tensor._is_view() and tensor._base is not None and tensor._base.is_leaf):
            return Tag(Role.CONSTANT)  # a parameter
        made_by = type(tensor.grad_fn).__name__
        if made_by in self.allow:
            self.tags[tensor] = Tag(Role.FLOWS)
            return self.tags[tensor]
        error = UncoveredOperationError(
            f"{user if isinstance(user, str) else resolve_name(user) or bare_name(user)} gets a tensor that {made_by} "
            "made out of sight of the relevance rules (a custom autograd function, scripted code, an earlier forward "
            f'pass). Replace it by torch operations, or accept its ordinary gradient with allow=["{made_by}"].'
        )
        return Tag(Role.BROKEN, error)

    def _mark(self, result: Any, role: Role, function: Callable, args: tuple, **known: Any) -> Any:
        """Tag what an operation returned, or changed in place."""
        tensors = list(args[:1] if in_place(function) else tensors_in(result))
        companions = [*tensors_in(known.pop("companion", None)), *[None] * len(tensors)]
        for tensor, companion in zip(tensors, companions, strict=False):
            if role in (Role.FLOWS, Role.BROKEN) and not (tensor.is_floating_point() or tensor.is_complex()):
                self.tags[tensor] = Tag(Role.FACTOR, self.uncovered(function, "makes a choice (index, mask)" + _LOST))
            elif role is not Role.CONSTANT or tensor.requires_grad:
                self._tag_one(tensor, Tag(role, companion=companion, **known))
        if in_place(function):
            self._tag_memory_of(args[0], role, known)
        return result

    def _tag_memory_of(self, changed: torch.Tensor, role: Role, known: dict[str, Any]) -> None:
        """Tag what else sees the memory of a tensor that was changed in place."""
        if role is Role.BROKEN:
            for tensor, tag in list(self.tags.items()):
                if tag.role is Role.FLOWS and shares_storage(tensor, changed):
                    self.tags[tensor] = Tag(role, **known)
        base = changed._base if changed._is_view() else None
        if role is Role.FLOWS and base is not None and base not in self.tags and not self.passes.positive:
            self.tags[base] = Tag(role, batch_first=False)  # a buffer of which a part was written

    def _tag_one(self, tensor: torch.Tensor, tag: Tag) -> None:
        tag.without_gradient = not tensor.requires_grad
        self.tags[tensor] = tag
        if tag.role is Role.FLOWS:
            self.latest = tag
        base = tensor._base if tensor._is_view() else None
        if base is not None and base in self.tags:
            self.tags[base].has_views = True

    def constant(self, function: Callable, args: tuple, kwargs: dict[str, Any], what: str) -> torch.Tensor:
        """Squeeze-excitation gates, attention weights and deviations are constants of a relevance pass."""
        constant = self._stopped(function(*args, **kwargs), self.uncovered(function, what + _LOST))
        x = args[0] if args else kwargs["input"]
        if x in self.tags and constant.data_ptr() == x.data_ptr():
            self.rename(x, constant, changed=True)
        return constant

    def _stopped(self, result: torch.Tensor, error: UncoveredOperationError | None = None) -> torch.Tensor:
        """The same values, from which no relevance goes back."""
        tag = Tag(Role.FACTOR, error, nonnegative=error is not None)
        if result.requires_grad:
            return self.fork(result, [], _NOTHING, (), tag)
        self._tag_one(result, tag)
        return result

    def _broken(self, function: Callable, name: str, args: tuple, kwargs: dict[str, Any], tags: list[Tag]) -> Any:
        """What comes of something broken is broken, but a root of a sum of squares is a deviation."""
        broken = [tag for tag in tags if tag.role is Role.BROKEN]
        squares = all(tag.role is Role.CONSTANT or tag.square for tag in tags)
        if squares and name in POWERS and not in_place(function):
            return self.constant(function, args, kwargs, "makes a deviation")
        keeps = squares and name in KEEPS_SQUARES and (len(broken) == 1 or name in ("add", "sub"))
        result = function(*args, **kwargs)
        return self._mark(result, Role.BROKEN, function, args, error=broken[0].error, square=keeps)

    def _square(self, function: Callable) -> dict[str, Any]:
        why = "makes squares, which have a rule only where a root of their sum divides (a normalisation)"
        return {"error": self.uncovered(function, why), "square": True}

    def _spread_and_mean(self, function: Callable, name: str, args: tuple, kwargs: dict[str, Any]) -> Any:
        spread, mean = function(*args, **kwargs)
        self._mark(mean, Role.FLOWS, function, (), batch_first=False)
        if name == "var_mean":
            return self._mark(spread, Role.BROKEN, function, (), **self._square(function)), mean
        return self._stopped(spread, self.uncovered(function, "makes a deviation" + _LOST)), mean

    def _with_gate(self, args: tuple) -> tuple:
        """Factors of which one is the output of an activation that makes gates, the other is not: a constant for it."""
        if len(args) != 2 or not all(self.flows(a) for a in args):
            return args
        gates = [self.tags[a].activated for a in args]
        if sum(gates) != 1:
            return args
        return tuple(self._stopped(a) if is_gate else a for a, is_gate in zip(args, gates, strict=True))

    def _refuse_added_factors(self, name: str, args: tuple, kwargs: dict[str, Any]) -> None:
        arguments: list[tuple[int | str, Any]] = [*enumerate(args), *kwargs.items()]
        for where, value in arguments:
            tags = [] if may_stand_beside(name, where) else [self.tags.get(t) for t in tensors_in(value)]
            for tag in tags:
                if tag is not None and tag.role is Role.FACTOR and tag.error is not None:
                    raise tag.error

    def _linear(self, function: Callable, name: str, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Operations that are linear in what depends on the input: their ordinary gradient is the rule."""
        tensors = tensors_in((args, kwargs))
        flowing = [self.tags[t] for t in (tensors[:1] if name in BORROWING else tensors) if self.flows(t)]
        if name not in self.allow:
            self._refuse_unless_linear(function, name, args, kwargs)
        known: dict[str, Any] = {}
        if self.passes.positive and name in COVERED:
            known = known_of_linear(self, function, args, kwargs)
        result = function(*args, **kwargs)
        if not any(t.requires_grad for t in tensors_in((result, args[:1] if in_place(function) else ()))):
            return self._without_gradient(function, name, result, args)
        for tag in flowing:
            tag.fold.uses += 1
        if name not in COVERED and name not in self.allow:
            why = _ADVICE.get(name, "has no relevance rule")
            return self._mark(result, Role.BROKEN, function, args, error=self.uncovered(function, why))
        result = replaced(result, widened)
        if name in KEEPS_SQUARES and len(flowing) == 1 and flowing[0].activated:
            known["activated"] = True
        size, before = self.passes.batch_size, all(tag.batch_first for tag in flowing)
        self._mark(result, Role.FLOWS, function, args, **known)
        for tensor in tensors_in(result):
            if self.flows(tensor):
                self.tags[tensor].batch_first = before and keeps_batch(name, args, kwargs, tensor, size)
        return result

    def _refuse_unless_linear(self, function: Callable, name: str, args: tuple, kwargs: dict[str, Any]) -> None:
        flows = [self.flows(a) for a in (*args, *kwargs.values())]
        if name == "einsum":
            flows = [self.flows(t) for t in tensors_in(args)]
        if name in PRODUCTS and flowing_factors(name, flows) > 1:
            raise self.uncovered(
                function, "multiplies two tensors that relevance flows through, neither of them a gate"
            )
        if name in DIVISIONS and any(flows[1:]):
            raise self.uncovered(function, "divides by a tensor that depends on the input, which has no rule")
        if name in ("max", "min") and any(isinstance(a, torch.Tensor) for a in args[1:]):
            raise self.uncovered(function)

    def _without_gradient(self, function: Callable, name: str, result: Any, args: tuple) -> Any:
        """A shape or number, a comparison or index, or what has lost its gradient."""
        for alias in tensors_in(result):
            for t in tensors_in(args[:1]):
                if self.flows(t) and shares_storage(t, alias):
                    self.tags[t].has_views = True
        if name in self.allow:
            return result
        return self._mark(result, Role.BROKEN, function, args, error=self.uncovered(function, _NO_GRADIENT, "", "that"))

    def _refuse_to_leave(self, function: Callable, args: tuple) -> None:
        name = getattr(function, "__name__", "")
        if name in LEAVING and args[0].is_floating_point():
            why = "takes values on their way from the input to the logits out of torch, where no relevance follows them"
            raise self.uncovered(function, why, "", "that, where they are only looked at,")
