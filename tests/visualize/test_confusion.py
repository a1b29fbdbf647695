# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from monai_debias.visualize import confusion_matrices
from tests.samples import VIEWS

EXAMPLES = {confusion_matrices: {"matrices": {"test": [[8, 2], [1, 9]]}, "class_names": VIEWS}}


def test_nothing_of_three_confusion_matrices_is_cut_off():
    counts = np.ones((4, 4), int)
    figure = confusion_matrices(dict.fromkeys(("same", "random", "reversed"), counts), ["PLAX", "PSAX", "A2C", "A4C"])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    left, bottom, right, top = figure.get_tightbbox(canvas.get_renderer()).extents
    assert min(left, bottom) > 0
    assert right < figure.get_figwidth()
    assert top < figure.get_figheight()


def test_confusion_matrices_show_the_counts():
    figure = confusion_matrices({"same": [[8, 2], [1, 9]], "reversed": [[0, 10], [10, 0]]}, ["A2C", "A4C"])
    assert [axes.get_title() for axes in figure.axes] == ["same", "reversed"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["8", "2", "1", "9"]
