# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Losses nested in each other, in the one order in which each does what it is for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from monai.utils import LossReduction

from monai_debias.constraint import Constraint
from monai_debias.constraints import STRING, MappingOf
from monai_debias.losses.background_consistency import BackgroundConsistencyLoss
from monai_debias.losses.classification import CLASSIFICATION_LOSS, REDUCTION, make_classification_loss
from monai_debias.losses.isnet import ISNetLRPLoss
from monai_debias.losses.mixup import MixupLoss
from monai_debias.losses.spectral_decoupling import SpectralDecouplingLoss
from monai_debias.losses.weighted import SampleWeightedLoss
from monai_debias.parameters import expects

__all__ = ["nested_loss", "part_with", "parts_of", "present_terms"]

_FROM_INSIDE = (SpectralDecouplingLoss, MixupLoss, SampleWeightedLoss, BackgroundConsistencyLoss, ISNetLRPLoss)


class _Part(Constraint):
    def _has_type(self, value: Any) -> bool:
        return _kind(value) in _FROM_INSIDE

    def __str__(self) -> str:
        return f"one of {', '.join(kind.__name__ for kind in _FROM_INSIDE)}, or a functools.partial of it"


@expects(classification_loss=CLASSIFICATION_LOSS, parts=MappingOf(_Part(), key=STRING), reduction=REDUCTION)
def nested_loss(
    classification_loss: torch.nn.Module | str | None,
    parts: Mapping[str, Callable[..., torch.nn.Module]],
    reduction: LossReduction | str = LossReduction.MEAN,
) -> torch.nn.Module:
    """Wrap a classification loss in losses of this package, in one fixed order, however they are given.

    From the inside: the classification loss, the penalty of spectral decoupling on the logits, the groups of rows of a
    mixup, the weights of the rows, the consistency of swapped backgrounds, and an ISNet's heatmap loss. All but the
    outermost return one value per row, (B,).

    Args:
        classification_loss: as all losses of this package take it: None for cross-entropy, ``"bce"`` for multi-label,
            the name of a loss of ``torch.nn`` or ``monai.losses``, or one that was made with ``reduction="none"``.
        parts: losses of this package, without the loss that each wraps, ``{name: partial(MixupLoss, groups=[...])}``;
            in a config ``{"_target_": "monai_debias.losses.MixupLoss", "_mode_": "callable", "groups": [...]}``.
        reduction: of the outermost loss: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        The outermost loss; without parts the classification loss as it is given.

    Raises:
        TypeError: when a part is not a loss of this package.
        ValueError: when there are two of a kind, or a loss refuses its arguments.

    Example:
        >>> from functools import partial
        >>> parts = {"isnet": ISNetLRPLoss, "penalty": partial(SpectralDecouplingLoss, penalty_weight=1.0)}
        >>> loss = nested_loss(None, parts)
        >>> [type(part).__name__ for part in loss.modules() if hasattr(part, "terms")]
        ['ISNetLRPLoss', 'SpectralDecouplingLoss']
    """
    chosen = [parts[name] for name in _in_order(parts)]
    if not chosen and isinstance(classification_loss, torch.nn.Module):
        return classification_loss
    loss = make_classification_loss(classification_loss)
    if not chosen:
        return loss
    for part in chosen[:-1]:
        loss = part(classification_loss=loss, reduction=LossReduction.NONE)
    return chosen[-1](classification_loss=loss, reduction=reduction)


def part_with(loss: Any, *names: str) -> Any:
    """The outermost of nested losses that has certain attributes, such as ``"relevance_weight"``.

    Args:
        loss: a loss, which may be the only one.
        names: of the attributes.

    Raises:
        TypeError: when none has them.

    Example:
        >>> part_with(SampleWeightedLoss(MixupLoss(reduction="none")), "groups").groups
        ('mixed',)
    """
    found = next((part for part in parts_of(loss) if all(hasattr(part, name) for name in names)), None)
    if found is None:
        raise TypeError(f"{type(loss).__name__} has no loss inside with {' and '.join(names)}.")
    return found


def present_terms(loss: Any) -> dict[str, float | torch.Tensor]:
    """The terms that nested losses had in the last call; of two with the same name, that of the inner loss.

    Args:
        loss: a loss, which may be the only one; parts of it may have a mapping of scalars ``terms``.

    Example:
        >>> from monai_debias.losses import SpectralDecouplingLoss
        >>> loss = SpectralDecouplingLoss(penalty_weight=0.5)
        >>> _ = loss(torch.zeros(1, 2), torch.tensor([0]))
        >>> {name: round(float(value), 4) for name, value in present_terms(loss).items()}
        {'classification': 0.6931, 'penalty': 0.0}
    """
    return {name: value for part in parts_of(loss) for name, value in getattr(part, "terms", {}).items()}


def parts_of(loss: Any) -> list[Any]:
    """A loss and those inside of it, the outermost first."""
    return list(loss.modules()) if isinstance(loss, torch.nn.Module) else [loss]


def _kind(part: Any) -> Any:
    return getattr(part, "func", part)


def _in_order(parts: Mapping[str, Any]) -> list[str]:
    names: dict[type, str] = {}
    for name, part in parts.items():
        if _kind(part) in names:
            raise ValueError(
                f"{names[_kind(part)]} and {name} cannot be combined: each puts a {_kind(part).__name__} around the "
                "classification loss. Choose one of them."
            )
        names[_kind(part)] = name
    return [names[kind] for kind in _FROM_INSIDE if kind in names]
