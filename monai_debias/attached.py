# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Tensors with companions: how a loss in a stock MONAI trainer gets more than predictions and labels.

A ``SupervisedTrainer`` hands ``loss_function(pred, label)`` two values, and shows the same two to metrics,
post-processing and handlers. The methods of this package need more: masks, weights, heatmaps, mixed rows. These travel
attached to the prediction, the label or the image, which stay what they are in a plain training.

========== ========== ============================================ ============================================
part       of         what it is                                   who takes it
========== ========== ============================================ ============================================
"mask"     label      masks of the images' rows, (B', 1, spatial)  ``ISNetLRPLoss``
"has_mask" label      which of them are real, bool (B',)           ``ISNetLRPLoss``
"weight"   label      weights of the logits' rows, (B'',)          ``SampleWeightedLoss``
"rows"     label      labels of all rows of logits, (B'', K)       ``MixupLoss``
"rows"     image      all rows of the network's input, (B', ...)   ``FlowMixupInferer``
"explain"  image      rows, labels and masks for an ISNet          ``ISNetInferer``
"swapped"  image      which rows, and these on other backgrounds   ``BackgroundSwapInferer``
"rows"     prediction logits of all rows, (B'', K)                 ``MixupLoss``
"heatmap"  prediction relevance of the explained rows              ``ISNetLRPLoss``
"swapped"  prediction which rows, and the logits of their swaps    ``BackgroundConsistencyLoss``
========== ========== ============================================ ============================================

What is attached has to be taken: as long as a part waits, calculating with the tensor is an error. So a training whose
loss or inferer was forgotten does not silently run as another method.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import torch

__all__ = ["attach", "attached", "map_tensors", "plain_tensor", "signature", "take_apart"]

_TAKERS = {
    "mask": "ISNetLRPLoss",
    "has_mask": "ISNetLRPLoss",
    "weight": "SampleWeightedLoss",
    "rows": "MixupLoss, which goes inside SampleWeightedLoss and ISNetLRPLoss, and for images FlowMixupInferer",
    "heatmap": "ISNetLRPLoss",
    "explain": "ISNetInferer, which takes the masks of a batch",
    "swapped": "BackgroundConsistencyLoss, and for images BackgroundSwapInferer",
}
_LOOKS = frozenset({"__get__", "__len__", "__repr__", "__format__", "dim", "size", "is_floating_point", "numel"})


def attach(tensor: torch.Tensor, **parts: Any) -> torch.Tensor:
    """Attach companions to a tensor, in addition to those that it already has.

    Args:
        tensor: any tensor. Calculations with the result give what they would give with the tensor itself, a
            MetaTensor stays one, and gradients flow.
        parts: the companions by name; a value of None attaches nothing.

    Returns:
        A tensor that shares its memory; the tensor itself if there is no companion.

    Example:
        >>> label = attach(torch.tensor([0, 2]), weight=torch.tensor([0.5, 1.5]))
        >>> label + 1
        Traceback (most recent call last):
        RuntimeError: a tensor of shape (2,) is used before its attached 'weight' was taken: ...
        >>> attached(label, "weight")
        tensor([0.5000, 1.5000])
        >>> label + 1
        tensor([1, 3])
    """
    given = {name: part for name, part in parts.items() if part is not None}
    plain, present = (tensor.plain, tensor.parts) if isinstance(tensor, _Attached) else (tensor, {})
    return _Attached.of(plain, present | given)


def attached(tensor: Any, name: str, default: Any = None) -> Any:
    """Take a companion of a tensor, or ``default`` if it has none of that name; any object may be passed.

    Example:
        >>> attached(torch.zeros(2), "mask") is None
        True
    """
    if not isinstance(tensor, _Attached):
        return default
    tensor.waiting.discard(name)
    return tensor.parts.get(name, default)


def take_apart(tensor: torch.Tensor) -> tuple[torch.Tensor, dict[str, Any]]:
    """Take all companions of a tensor; return the tensor itself and the companions by name, to attach them to another.

    Example:
        >>> take_apart(attach(torch.zeros(2), weight=1.5))
        (tensor([0., 0.]), {'weight': 1.5})
    """
    if not isinstance(tensor, _Attached):
        return tensor, {}
    tensor.waiting.clear()
    return tensor.plain, dict(tensor.parts)


def plain_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """Look at a tensor without its companions, which go on waiting for what takes them.

    Example:
        >>> plain_tensor(attach(torch.zeros(2), weight=1.5)).sum()
        tensor(0.)
    """
    return tensor.plain if isinstance(tensor, _Attached) else tensor


def map_tensors(value: Any, function: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """Tuples, lists and dictionaries with every tensor in them replaced, also those attached to a tensor.

    Example:
        >>> attached(map_tensors(attach(torch.zeros(2), mask=torch.ones(2)), lambda tensor: tensor + 1), "mask")
        tensor([2., 2.])
    """
    if isinstance(value, _Attached):
        mapped = _Attached.of(function(value.plain), map_tensors(value.parts, function))
        assert isinstance(mapped, _Attached)  # it has parts, as the value has
        mapped.waiting = set(value.waiting)
        return mapped
    if isinstance(value, torch.Tensor):
        return function(value)
    if isinstance(value, dict):
        return {key: map_tensors(item, function) for key, item in value.items()}
    return type(value)(map_tensors(item, function) for item in value) if type(value) in (tuple, list) else value


def signature(value: Any) -> Hashable:
    """What two values have in common if a computation on one of them goes for the other: all but the tensors' values.

    Example:
        >>> one, other = attach(torch.zeros(2), mask=torch.ones(2)), attach(torch.ones(2), mask=torch.zeros(2))
        >>> signature(one) == signature(other), signature(one) == signature(torch.zeros(2))
        (True, False)
    """
    if isinstance(value, torch.Tensor):
        plain = plain_tensor(value)
        parts = signature(value.parts) if isinstance(value, _Attached) else ()
        return tuple(plain.shape), plain.dtype, plain.device, parts
    if isinstance(value, dict):
        return tuple((key, signature(item)) for key, item in value.items())
    return tuple(map(signature, value)) if isinstance(value, tuple | list) else value


class _Attached(torch.Tensor):
    """A tensor with companions; any operation on it is one on the tensor itself."""

    plain: torch.Tensor
    parts: dict[str, Any]
    waiting: set[str]

    @classmethod
    def of(cls, plain: torch.Tensor, parts: dict[str, Any]) -> torch.Tensor:
        if not parts:
            return plain
        with torch._C.DisableTorchFunctionSubclass():
            carrier = plain.as_subclass(cls)
        carrier.plain, carrier.parts, carrier.waiting = plain, parts, set(parts)
        return carrier

    @classmethod
    def __torch_function__(cls, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        look = getattr(func, "__name__", "") in _LOOKS
        return func(*_without_companions(args, look), **_without_companions(kwargs or {}, look))


def _without_companions(value: Any, look: bool) -> Any:
    """Arguments of an operation with the tensors themselves in place of those that have companions."""
    if isinstance(value, _Attached):
        if value.waiting and not look:
            raise RuntimeError(_waiting(value))
        return value.plain
    if type(value) in (tuple, list):
        return type(value)(_without_companions(item, look) for item in value)
    return {key: _without_companions(item, look) for key, item in value.items()} if isinstance(value, dict) else value


def _waiting(tensor: _Attached) -> str:
    names = sorted(tensor.waiting)
    takers = " and ".join(dict.fromkeys(_TAKERS.get(name, f"what asks for {name!r}") for name in names))
    return (
        f"a tensor of shape {tuple(tensor.plain.shape)} is used before its attached {', '.join(map(repr, names))} was "
        f"taken: the training lacks {takers}. If it is to do without, leave masks or weights out of the batch, for "
        "instance by SelectItemsd."
    )
