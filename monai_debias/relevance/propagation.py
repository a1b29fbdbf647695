# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Relevance rules in the forward pass of any network, without touching the network.

Inside :class:`RelevanceMode` every operation of torch passes through it. It computes what the
operation always computes, and gives its result a second way back, the rule of :mod:`monai_debias.relevance.rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import torch
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils.weak import WeakTensorKeyDictionary

from monai_debias.relevance import rules
from monai_debias.relevance.operations import GATES, LINEAR, NEGATING, PRODUCTS, bare_name, in_place, keeps_batch
from monai_debias.relevance.passes import Passes, Rule, fork

__all__ = ["LinearLayer", "RelevanceMode", "Role", "Stem", "Tag", "UncoveredOperationError"]


class UncoveredOperationError(RuntimeError):
    """A network contains an operation that no relevance rule covers."""


@dataclass(eq=False)
class Fold:
    """How often a tensor is used, and how a normalisation beside it becomes one with its neighbours.

    Args:
        uses: how many operations take the tensor.
        scale: of the normalisation behind it, if it comes from a linear layer. The ε pass takes it into the layer's
            weight where this is less work than to multiply the gradient by it; the positive pass always does, since
            there it makes a difference.
        less_work: whether it is less work.
        made_with: if a normalisation made the tensor, its scale.
        elsewhere: if a normalisation made the tensor, whether its scale is taken into the weight before it.
        by_relu: whether a ReLU takes the tensor; if it is all that does, it multiplies by the scale together with its
            own rule in the ε pass.
    """

    uses: int = 0
    scale: torch.Tensor | None = None
    less_work: bool = False
    made_with: torch.Tensor | None = None
    elsewhere: Callable[[], bool] = lambda: False
    by_relu: bool = False

    @property
    def valid(self) -> bool:
        """Whether layer and normalisation may count as one: nothing else uses the layer's output."""
        return self.scale is not None and self.uses == 1

    @property
    def in_relu(self) -> bool:
        """Whether the ReLU multiplies by the scale."""
        return self.made_with is not None and self.by_relu and self.uses == 1 and not self.elsewhere()


@dataclass(frozen=True)
class LinearLayer:
    """A linear layer, and the normalisation behind it: where a tensor comes from.

    Args:
        linear: the layer as a map.
        x: its input, (B, C, spatial...).
        weight: its weight.
        bias: its bias, (C,), or None.
        signed: whether ``x`` may be negative.
        scale: of the normalisation behind it, (C,), or None.
        shift: likewise.
    """

    linear: rules.Convolution | rules.Dense
    x: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor | None
    signed: bool
    scale: torch.Tensor | None = None
    shift: torch.Tensor | None = None

    def fused(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Weight and bias of layer and normalisation in one."""
        if self.scale is None or self.shift is None:
            return self.weight, self.bias
        bias = self.shift if self.bias is None else self.bias * self.scale + self.shift
        return self.linear.scaled(self.weight, self.scale), bias

    def positive(self) -> torch.Tensor:
        """What the output would be if nothing negative were added: z⁺."""
        weight, bias = self.fused()
        z = rules.positive_output(self.linear.forward, self.x, weight, self.signed)
        return z if bias is None else z + self.linear.spread(bias.relu(), z)


class Role(Enum):
    """What a tensor is to relevance."""

    FLOWS = "relevance flows through it"
    CONSTANT = "it is a constant of the relevance pass"
    PRODUCT = "it is the product of two tensors that relevance flows through"


@dataclass(eq=False)
class Tag:
    """What the mode knows of a tensor.

    Args:
        role: what it is to relevance.
        nonnegative: whether it is known to have no negative value (asked only where a positive pass is prepared).
        layer: the linear layer that it comes from.
        companion: z⁺ where it comes from more than one layer (only where a positive pass is prepared).
        fold: how often it is used, and by which normalisation.
        path: the same for the tensors from the layer's input to this one.
        has_views: whether another tensor sees its memory.
        captured: whether its values are wanted as they are.
        batch_first: whether its first dimension is the batch.
        product: of what it is a product.
    """

    role: Role
    nonnegative: bool = False
    layer: LinearLayer | None = None
    companion: torch.Tensor | None = None
    fold: Fold = field(default_factory=Fold)
    path: tuple[Fold, ...] = ()
    has_views: bool = False
    captured: bool = False
    batch_first: bool = True
    product: str = ""


@dataclass(frozen=True)
class Stem:
    """The first layer of a network, up to its activation."""

    layer: LinearLayer
    path: tuple[Fold, ...]
    output: torch.Tensor


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
        given = [t for t in _tensors((args, kwargs)) if t.requires_grad]
        tags = [self.tag(t, function) for t in given]
        flowing = [tag for tag in tags if tag.role is Role.FLOWS]
        products = [tag for tag in tags if tag.role is Role.PRODUCT]
        name = bare_name(function)
        if not flowing and not products:
            result = function(*args, **kwargs)
            return self._mark(result, Role.CONSTANT, function, args) if tags else result
        if name in GATES:
            return self._gate(function, *args, **kwargs)
        if products:
            return self._scale_product(function, name, args, kwargs, products[0], bool(flowing))
        if name in self.handlers and name not in self.allow:
            return self.handlers[name](self, function, *args, **kwargs)
        return self._linear(function, name, args, kwargs, flowing)

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
        tag.batch_first = all(self.tags[t].batch_first for t in inputs if self.flows(t))
        if not tag.batch_first:
            rule.per_sample = ()  # whose rows are not samples
        forked = fork(self.passes, rule, result, inputs, saved)
        self.tags[forked] = self.latest = tag
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
        self, function: Callable, why: str = "has no relevance rule", name: str = ""
    ) -> UncoveredOperationError:
        """The error for an operation that must not pass silently; ``name`` is what to allow, if not the operation."""
        name = name or bare_name(function)
        return UncoveredOperationError(
            f"{resolve_name(function) or bare_name(function)} {why}. Replace it in the network, or accept its "
            f'ordinary gradient in the relevance pass with allow=["{name}"].'
        )

    def current(self, arguments: Any) -> Any:
        """Arguments in which what an activation was to change in place is replaced by the activation."""
        return _replace(arguments, lambda t: self.renamed.get(t, t)) if self.renamed else arguments

    def tag(self, tensor: torch.Tensor, user: Callable | str) -> Tag:
        """The tag of a tensor that requires a gradient; ``user`` is the operation that the error says takes it."""
        tag = self.tags.get(tensor)
        if tag is not None:
            return tag
        if tensor.is_leaf or (tensor._is_view() and tensor._base is not None and tensor._base.is_leaf):
            return Tag(Role.CONSTANT)  # a parameter
        made_by = type(tensor.grad_fn).__name__
        if made_by in self.allow:
            self.tags[tensor] = Tag(Role.FLOWS)
            return self.tags[tensor]
        raise UncoveredOperationError(
            f"{user if isinstance(user, str) else resolve_name(user) or bare_name(user)} gets a tensor that {made_by} "
            "made out of sight of the relevance rules (a custom autograd function, scripted code, an earlier forward "
            f'pass). Replace it by torch operations, or accept its ordinary gradient with allow=["{made_by}"].'
        )

    def _mark(self, result: Any, role: Role, function: Callable, args: tuple, **known: Any) -> Any:
        """Tag what an operation returned, and what it changed in place."""
        for tensor in _tensors((result, args[:1] if in_place(function) else ())):
            if tensor.requires_grad:
                self.tags[tensor] = Tag(role, **known)
                if role is Role.FLOWS:
                    self.latest = self.tags[tensor]
                base = tensor._base if tensor._is_view() else None
                if base is not None and base in self.tags:
                    self.tags[base].has_views = True
        return result

    def _gate(self, function: Callable, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Sigmoid and softmax: squeeze-excitation gates and attention weights are constants."""
        x = args[0] if args else kwargs["input"]
        nothing = Rule(lambda g: None, lambda g: None, ())
        return self.fork(function(*args, **kwargs), [x], nothing, (), Tag(Role.CONSTANT, nonnegative=True))

    def _scale_product(
        self, function: Callable, name: str, args: tuple, kwargs: dict[str, Any], tag: Tag, others_flow: bool
    ) -> Any:
        """Between the product of queries and keys and the softmax that makes attention weights of it."""
        result = function(*args, **kwargs)
        if any(t.requires_grad for t in _tensors(result)) and (others_flow or name not in LINEAR | PRODUCTS):
            why = f"takes the result of {tag.product}, a product of two tensors of which neither is a gate"
            raise self.uncovered(function, why, tag.product)
        return self._mark(result, Role.PRODUCT, function, args, product=tag.product)

    def _linear(self, function: Callable, name: str, args: tuple, kwargs: dict[str, Any], flowing: list[Tag]) -> Any:
        """Operations that are linear in what depends on the input: their ordinary gradient is the rule."""
        known: dict[str, Any] = {}
        if self.passes.positive and name in LINEAR | PRODUCTS:
            known = self.positive(function, args, kwargs)
        result = function(*args, **kwargs)
        if not any(t.requires_grad for t in _tensors(result)) and not in_place(function):
            self._note_aliases(result, args)
            return result  # a shape, a comparison, a detached tensor: nothing flows
        for tag in flowing:
            tag.fold.uses += 1
        if name not in self.allow:
            if name not in LINEAR | PRODUCTS:
                raise self.uncovered(function)
            if name in PRODUCTS and len(flowing) > 1:
                return self._mark(result, Role.PRODUCT, function, args, product=name)
            if name in ("div", "truediv", "true_divide", "divide") and self.flows(args[1]):
                raise self.uncovered(function, "divides by a tensor that depends on the input, which has no rule")
        size, before = self.passes.batch_size, all(tag.batch_first for tag in flowing)
        self._mark(result, Role.FLOWS, function, args, **known)
        for tensor in _tensors(result):
            if self.flows(tensor):
                self.tags[tensor].batch_first = before and keeps_batch(name, args, kwargs, tensor, size)
        return result

    def _note_aliases(self, result: Any, args: tuple) -> None:
        for alias in _tensors(result):
            for t in _tensors(args[:1]):
                if self.flows(t) and t.untyped_storage().data_ptr() == alias.untyped_storage().data_ptr():
                    self.tags[t].has_views = True

    def positive(self, function: Callable, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
        """What the positive pass must know of the result of a linear operation."""
        name, flowing = bare_name(function), [self.tags[t] for t in _tensors((args, kwargs)) if self.flows(t)]
        if name in PRODUCTS and len(flowing) > 1:
            return {}
        factors = [t for t in _tensors((args, kwargs)) if t.is_floating_point() and not self.flows(t)]
        scales = name in PRODUCTS or name in ("div", "truediv")
        negative = any(bool((t < 0).any()) for t in factors) or any(isinstance(a, float | int) and a < 0 for a in args)
        if name in NEGATING or (scales and negative):
            raise self.uncovered(
                function, "subtracts, or multiplies by something negative, which LRP-z⁺ has no rule for"
            )
        if not negative and all(tag.nonnegative for tag in flowing):
            return {"nonnegative": True}

        def positive_part(t: torch.Tensor) -> torch.Tensor:
            if self.flows(t):
                return self.companion(t)
            return t.relu() if t.is_floating_point() and not scales else t

        companions = _replace((args, kwargs), positive_part)
        if in_place(function):
            companions = ((companions[0][0].clone(), *companions[0][1:]), companions[1])
        with torch.random.fork_rng(enabled="dropout" in name):  # the same units are dropped from tensor and companion
            result = function(*companions[0], **companions[1])
        return {"companion": result} if isinstance(result, torch.Tensor) else {}


def _tensors(values: Any) -> Iterator[torch.Tensor]:
    if isinstance(values, torch.Tensor):
        yield values
    elif isinstance(values, tuple | list):
        for value in values:
            yield from _tensors(value)
    elif isinstance(values, dict):
        yield from _tensors(list(values.values()))


def _replace(values: Any, replacement: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    if isinstance(values, torch.Tensor):
        return replacement(values)
    if isinstance(values, dict):
        return {key: _replace(value, replacement) for key, value in values.items()}
    if type(values) in (tuple, list):
        return type(values)(_replace(value, replacement) for value in values)
    return values
