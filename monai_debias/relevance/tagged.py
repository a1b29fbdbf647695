# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The tensors of one forward pass and what each is to relevance: the record that a relevance mode keeps and asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.overrides import resolve_name
from torch.utils.weak import WeakTensorKeyDictionary

from monai_debias.relevance.operands import replaced, shares_storage, tensors_in, widened
from monai_debias.relevance.operations import bare_name, in_place
from monai_debias.relevance.passes import Backward, Passes, Rule, fork
from monai_debias.relevance.tags import Role, Stem, Tag, UncoveredOperationError

__all__ = ["LOST", "TaggedTensors"]

LOST = ", a constant of the relevance pass: it may multiply or select, but adding it to a value would lose relevance"


class TaggedTensors:
    """What is known of the tensors of one forward pass.

    Args:
        passes: the state of the pass.
        x: the network's input, a tensor that requires a gradient.
        allow: names of operations without a rule whose ordinary gradient is to be used.
    """

    keeps_inputs = False  # whether rules read the input of an operation after it has been changed in place

    def __init__(self, passes: Passes, x: torch.Tensor, allow: Sequence[str] = ()) -> None:
        super().__init__()
        self.passes = passes
        self.allow = frozenset(allow)
        self.stem: Stem | None = None
        self.tags = WeakTensorKeyDictionary()
        self.renamed = WeakTensorKeyDictionary()
        self.tags[x] = Tag(Role.FLOWS)

    def flows(self, value: Any) -> bool:
        """Whether relevance flows through a value."""
        tag = self.tags.get(value) if isinstance(value, torch.Tensor) else None
        return tag is not None and tag.role is Role.FLOWS

    def wide(self, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor in at least single precision, unless the pass runs in mixed precision."""
        return widened(tensor) if self.passes.autocast is None else tensor

    def tag(self, tensor: torch.Tensor, user: Callable | str) -> Tag | None:
        """The tag of a tensor, None for a plain constant; ``user`` is the operation that takes it, for the error."""
        tag = self.tags.get(tensor)
        if tag is not None and not (tag.without_gradient and tensor.grad_fn is not None):
            return tag
        base = tensor._base if tensor._is_view() else None
        if tag is None and base is not None and base in self.tags:  # made before something was written there
            return self._see_as(self.tags[base], tensor)
        if not tensor.requires_grad:
            return None
        if tensor.is_leaf or (base is not None and base.is_leaf):
            return Tag(Role.CONSTANT)  # a parameter
        made_by = type(tensor.grad_fn).__name__
        if made_by in self.allow:
            self.tags[tensor] = Tag(Role.FLOWS)
            return self.tags[tensor]
        error = UncoveredOperationError(
            f"{user if isinstance(user, str) else resolve_name(user) or bare_name(user)} gets a tensor that {made_by} "
            "made out of sight of the relevance rules (a custom autograd function, scripted code, torch.func, an "
            "earlier forward pass). Replace it by torch operations, or accept its ordinary gradient with "
            f'allow=["{made_by}"].'
        )
        return Tag(Role.BROKEN, error)

    def use(self, tensor: torch.Tensor) -> Tag:
        """The tag of a tensor that an operation uses."""
        tag = self.tags[tensor]
        tag.uses.count += 1
        return tag

    def keep(self, output: torch.Tensor) -> tuple[torch.Tensor, int]:
        """A layer's output, whose values must stay as they are, and the version of its memory."""
        output = self.current(output)
        if self.flows(output):
            self.use(output).captured = True
        return output, output._version

    def mark(self, result: Any, role: Role, function: Callable, args: tuple, **known: Any) -> Any:
        """Tag what an operation returned, or changed in place."""
        changed = tensors_in(args[:1]) if in_place(function) else []
        for tensor in changed or tensors_in(result):
            if role in (Role.FLOWS, Role.BROKEN) and not (tensor.is_floating_point() or tensor.is_complex()):
                self.tags[tensor] = Tag(Role.FACTOR, self.uncovered(function, "makes a choice (index, mask)" + LOST))
            elif role is not Role.CONSTANT or tensor.requires_grad:
                self.tag_one(tensor, Tag(role, **known))
        for tensor in changed:
            if self.shares_memory(tensor):
                self.tag_memory_of(tensor)
        return result

    def tag_one(self, tensor: torch.Tensor, tag: Tag) -> None:
        """Tag a tensor that an operation has made."""
        tag.without_gradient = tensor.grad_fn is None  # a view made in no_grad still says that it requires one
        before = self.tags.get(tensor)  # of what was changed in place
        tag.has_views |= before is not None and before.has_views
        self.tags[tensor] = tag
        base = tensor._base if tensor._is_view() else None
        if base is not None and base in self.tags:
            self.tags[base].has_views = True

    def fork(
        self,
        result: torch.Tensor,
        inputs: Sequence[torch.Tensor],
        rule: Rule,
        saved: Sequence[torch.Tensor | None],
        tag: Tag,
        only: Backward | None = None,
    ) -> torch.Tensor:
        """The result of an operation with its rule and its tag; samples stay where they are in the inputs."""
        result = self.wide(result)
        if torch._C._functorch.is_functorch_wrapped_tensor(result):
            raise UncoveredOperationError("torch.func maps over a part of the network, of which no rule is known")
        if not all(self.tags[t].batch_first for t in inputs if self.flows(t)):
            rule.per_sample = None  # the rows are not samples
        tag.batch_first = rule.per_sample is not None
        forked = fork(self.passes, rule, result, inputs, saved, only)
        self.tag_one(forked, tag)
        return forked

    def rename(self, old: torch.Tensor, new: torch.Tensor, changed: bool) -> torch.Tensor:
        """Let ``new`` stand for ``old``, which an operation has changed in place (``changed``), or should have.

        Returns:
            What the operation is to return: ``old``, if other tensors see its memory, else ``new``.
        """
        if changed or not self.shares_memory(old):
            self.renamed[old] = new
            return new
        old.copy_(new)
        self.tags[new].has_views = True
        self.tags[old] = self.tags[new]
        return old

    def adopt(self, copied: torch.Tensor, original: torch.Tensor) -> None:
        """Give a copy of a tensor the tag of the original."""
        tag = self.tag(original, "the network")
        if tag is not None:
            self.tags[copied] = tag

    def current(self, arguments: Any) -> Any:
        """Arguments in which a tensor that an activation should have changed in place is replaced by its output."""
        return replaced(arguments, self._current) if self.renamed else arguments

    def _current(self, tensor: torch.Tensor) -> torch.Tensor:
        while (later := self.renamed.get(tensor)) is not None:
            tensor = later
        return tensor

    def shares_memory(self, tensor: torch.Tensor) -> bool:
        """Whether another tensor sees the same memory."""
        return tensor._is_view() or self.tags[tensor].has_views

    def uncovered(
        self,
        function: Callable,
        why: str = "has no relevance rule",
        name: str = "",
        accept: str = "its ordinary gradient in the relevance pass",
    ) -> UncoveredOperationError:
        """The error about an operation without a rule; ``name`` is what to allow, if it is not the operation itself."""
        name = name or bare_name(function)
        full_name = (resolve_name(function) or bare_name(function)).removesuffix(".__get__")
        return UncoveredOperationError(
            f'{full_name} {why}. Replace it in the network, or accept {accept} with allow=["{name}"].'
        )

    def tag_memory_of(self, changed: torch.Tensor) -> None:
        """Tag what else sees the memory of a tensor that was changed in place: it has become what that one is."""
        tag, base = self.tags.get(changed), changed._base if changed._is_view() else None
        if tag is None:
            return
        others = [t for t in self.tags if t is not changed and shares_storage(t, changed)]
        if base is not None and base not in self.tags:
            others.append(base)  # a buffer of which a part was written
        for other in others:
            before = self.tags.get(other)
            if before is None or before.role is Role.CONSTANT or tag.role is Role.BROKEN:
                self._see_as(tag, other)
            elif before.role is Role.FLOWS and tag.role is Role.FLOWS:
                before.batch_first &= tag.batch_first
            elif before.role is not tag.role:  # one part is a gate, and through another relevance flows
                self._see_as(Tag(Role.BROKEN, before.error or tag.error), other)

    def _see_as(self, tag: Tag, other: torch.Tensor) -> Tag:
        """Tag another tensor with the same memory, in which the samples may stand elsewhere."""
        self.tags[other] = Tag(tag.role, tag.error, has_views=True, batch_first=False)
        return self.tags[other]
