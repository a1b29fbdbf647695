# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The strength of the planted shortcut: which view the cue on the screen of each clip names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monai_debias.constraints import Instance, Integer, Number, OneOf, SequenceOf
from monai_debias.demo.echo.anatomy import VIEWS
from monai_debias.parameters import expects

__all__ = ["assign_cues"]


@expects(
    labels=SequenceOf(Integer(f"[0, {len(VIEWS) - 1}]")),
    mode=OneOf("same", "random", "reversed"),
    bias=Number(f"[{1 / len(VIEWS)}, 1]"),
    rng=Instance(np.random.Generator),
)
def assign_cues(
    labels: Sequence[int] | NDArray[np.integer], mode: str, bias: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Decide which view the cue of each item names, with exact shares per view (up to rounding).

    ==============  ================================================================================
    ``mode``        the cue names
    ==============  ================================================================================
    ``"same"``      the item's own view for the share ``bias`` of each view's items, for the rest
                    one of the other three, in equal parts
    ``"random"``    any of the four views, in equal parts
    ``"reversed"``  one of the other three views, in equal parts
    ==============  ================================================================================

    Args:
        labels: the items' own views, integers in [0, 3], any number of items.
        mode: ``"same"``, ``"random"`` or ``"reversed"``.
        bias: share of own-view cues, from 0.25 (chance: the cue says nothing about the view) to 1; for ``"same"``.
        rng: decides which items get which cue.

    Returns:
        int64 array of the items' cues, (items,).

    Raises:
        ValueError: when ``mode`` is unknown, ``bias`` out of range, or a label is not a view.

    Example:
        >>> import numpy as np
        >>> from monai_debias.demo.echo.cues import assign_cues
        >>> labels = np.repeat([0, 1, 2, 3], 100)
        >>> cues = assign_cues(labels, "same", 0.95, np.random.default_rng(0))
        >>> float((cues == labels).mean())
        0.95
    """
    own = np.asarray(labels, np.int64)
    cues = own.copy()
    for view in range(len(VIEWS)):
        where = rng.permutation(np.flatnonzero(own == view))
        if mode == "same":
            where = where[round(bias * len(where)) :]
        choices = np.arange(len(VIEWS)) if mode == "random" else np.delete(np.arange(len(VIEWS)), view)
        # Whole rounds through the choices; the incomplete last round is drawn without replacement.
        rounds = [rng.permutation(choices) for _ in range(-(-len(where) // len(choices)))]
        cues[where] = np.concatenate([*rounds, np.empty(0, np.int64)])[: len(where)]
    return cues
