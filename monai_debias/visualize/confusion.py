# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Confusion matrices of several splits side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from sklearn.metrics import ConfusionMatrixDisplay

from monai_debias.constraints import NUMBERS, STRING, MappingOf, SequenceOf
from monai_debias.parameters import expects

__all__ = ["confusion_matrices"]


@expects(matrices=MappingOf(NUMBERS, key=STRING, least=1), class_names=SequenceOf(STRING, least=1))
def confusion_matrices(matrices: Mapping[str, ArrayLike], class_names: Sequence[str]) -> Figure:
    """Draw one confusion matrix per split, coloured by the share of the true class, with counts written in.

    Args:
        matrices: ``{title: counts}``, counts of shape (K, K) with the true class along the rows.
        class_names: names of the K classes.

    Returns:
        A figure with one panel per split; nothing is shown or saved.

    Raises:
        ValueError: when there is no matrix or one is not of shape (K, K).

    Example:
        >>> figure = confusion_matrices({"test": [[8, 2], [1, 9]]}, ["A2C", "A4C"])
        >>> figure.savefig("/dev/null", format="png")
    """
    size = len(class_names)
    figure = Figure(figsize=(0.6 + 3.2 * len(matrices), 3.4), layout="compressed")  # for square panels
    panels = figure.subplots(1, len(matrices), squeeze=False)[0]
    for panel, (title, matrix) in zip(panels, matrices.items(), strict=True):
        counts = np.asarray(matrix)
        if counts.shape != (size, size):
            raise ValueError(f"{title}: expected counts of shape {(size, size)}, got {counts.shape}.")
        share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        display = ConfusionMatrixDisplay(share, display_labels=list(class_names))
        display.plot(ax=panel, cmap="Blues", colorbar=False, include_values=False, im_kw={"vmin": 0, "vmax": 1})
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if share[row, column] > 0.5 else "black"
            panel.text(column, row, f"{count}", ha="center", va="center", color=colour)
        panel.set_title(title)
        panel.set_xlabel("predicted")
        panel.set_ylabel("true" if panel is panels[0] else "")
    return figure
