# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A contact sheet of masks: many images at a glance, each with the outline of its mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

__all__ = ["mask_sheet"]

_ACROSS = 5
_OUTLINE, _UNSURE = "#ff5533", "#c01818"
_LONGEST = 30  # characters of a path that are shown


class _Row(Protocol):
    """What a tile shows, see :class:`~monai_debias.data.found_masks.find_all.MaskRow`."""

    @property
    def image(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def confidence(self) -> float: ...
    @property
    def usable(self) -> bool: ...
    @property
    def picture(self) -> NDArray[np.floating] | None: ...
    @property
    def outline(self) -> NDArray[np.bool_] | None: ...


def mask_sheet(rows: Sequence[_Row], first: int = 1) -> Figure:
    """Draw a tile for each mask: the image, brightened, the outline, its number, path, method and confidence.

    The title is red if the mask is not usable without a look.

    Args:
        rows: with ``image`` (a path), ``method``, ``confidence``, ``usable``, ``picture`` (rows, columns) in [0, 1] or
            None, and ``outline``, a mask of the same size or None, as
            :class:`~monai_debias.data.found_masks.find_all.MaskRow` has them.
        first: number of the first tile.

    Returns:
        The figure; nothing is shown or saved.

    Example:
        >>> from types import SimpleNamespace
        >>> picture = np.linspace(0, 1, 24 * 32).reshape(24, 32)
        >>> row = SimpleNamespace(
        ...     image="a.dcm", method="clip", confidence=0.9, usable=True, picture=picture, outline=picture > 0.5
        ... )
        >>> len(mask_sheet([row]).axes)
        1
    """
    down = max(1, -(-len(rows) // _ACROSS))
    figure = Figure(figsize=(2.6 * _ACROSS, 2.5 * down), layout="constrained")
    for place, row in enumerate(rows):
        _draw(figure.add_subplot(down, _ACROSS, place + 1), row, first + place)
    return figure


def _draw(axes: Axes, row: _Row, number: int) -> None:
    axes.set_axis_off()
    name = row.image if len(row.image) <= _LONGEST else "…" + row.image[1 - _LONGEST :]
    title = f"{number}  {name}\n{row.method}, {row.confidence:.2f}"
    axes.set_title(title, fontsize=7.5, color="black" if row.usable else _UNSURE)
    if row.picture is None:
        axes.text(0.5, 0.5, "not readable", ha="center", transform=axes.transAxes, color=_UNSURE)
        return
    axes.imshow(np.clip(row.picture, 0, 1) ** 0.6, cmap="gray", vmin=0, vmax=1)
    if row.outline is not None and row.outline.any() and not row.outline.all():
        axes.contour(row.outline, [0.5], colors=_OUTLINE, linewidths=1.2)
