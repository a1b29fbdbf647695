# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The strength of a planted shortcut: which class the cue of each item names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monai_debias.constraints import Instance, Integer, Number, OneOf, SequenceOf
from monai_debias.parameters import expects

__all__ = ["assign_cues"]


@expects(
    labels=SequenceOf(Integer("[0, inf)")),
    classes=Integer("[2, inf)"),
    mode=OneOf("same", "random", "reversed"),
    bias=Number("[0, 1]"),
    rng=Instance(np.random.Generator),
)
def assign_cues(
    labels: Sequence[int] | NDArray[np.integer], classes: int, mode: str, bias: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Decide which class the cue of each item names, with exact shares per class (up to rounding).

    ==============  ================================================================================
    ``mode``        the cue names
    ==============  ================================================================================
    ``"same"``      the item's own class for the share ``bias`` of each class's items, for the rest
                    one of the others, in equal parts
    ``"random"``    any of the classes, in equal parts
    ``"reversed"``  one of the other classes, in equal parts
    ==============  ================================================================================

    Args:
        labels: the items' own classes, integers below ``classes``, any number of items.
        classes: number of classes.
        mode: ``"same"``, ``"random"`` or ``"reversed"``.
        bias: share of own-class cues, from 1 / ``classes`` (chance: the cue says nothing about the class) to 1; for
            ``"same"``.
        rng: decides which items get which cue.

    Returns:
        int64 array of the items' cues, (items,).

    Raises:
        ValueError: when ``mode`` is unknown, ``bias`` out of range, or a label is not a class.

    Example:
        >>> import numpy as np
        >>> from monai_debias.demo.cues import assign_cues
        >>> labels = np.repeat([0, 1, 2, 3], 100)
        >>> cues = assign_cues(labels, 4, "same", 0.95, np.random.default_rng(0))
        >>> float((cues == labels).mean())
        0.95
    """
    own = np.asarray(labels, np.int64)
    if own.size and own.max() >= classes:
        raise ValueError(f"labels has a {own.max()}, expected integers below the number of classes, {classes}.")
    if bias < 1 / classes:
        raise ValueError(f"bias is {bias}, expected at least 1 / {classes}: with {classes} classes that is chance.")
    cues = own.copy()
    for label in range(classes):
        where = rng.permutation(np.flatnonzero(own == label))
        if mode == "same":
            where = where[round(bias * len(where)) :]
        choices = np.arange(classes) if mode == "random" else np.delete(np.arange(classes), label)
        # Whole rounds through the choices; the incomplete last round is drawn without replacement.
        rounds = [rng.permutation(choices) for _ in range(-(-len(where) // len(choices)))]
        cues[where] = np.concatenate([*rounds, np.empty(0, np.int64)])[: len(where)]
    return cues
