# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Every transform has its picture, which its own code draws, and its place in the gallery."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from monai.transforms import Transform

from benchmarks.figures.gallery.__main__ import FOLDER, PICTURES
from monai_debias import transforms
from monai_debias.apps import ecg, radiography, ultrasound
from tests.docs.guides import read_guide

FUNCTIONS = {"backmix", "replace_background"}


def names_of_transforms() -> set[str]:
    """Public transforms, of a transform and its dictionary versions the first."""
    found = {}
    for room in (transforms, ecg, radiography, ultrasound):
        for name in room.__all__:
            if inspect.isclass(getattr(room, name)) and issubclass(getattr(room, name), Transform):
                found[name] = getattr(room, name)
    canonical = {name for name, kind in found.items() if kind.__name__ == name}
    return {name for name in canonical if name.removesuffix("d") == name or name.removesuffix("d") not in canonical}


def test_every_transform_has_a_picture():
    assert PICTURES.keys() == names_of_transforms() | FUNCTIONS
    assert {path.stem for path in FOLDER.iterdir()} == PICTURES.keys()


def test_every_picture_has_its_place():
    page = read_guide("gallery")
    assert re.findall(r"^### (\w+)$", page, re.MULTILINE) == re.findall(r"gallery/(\w+)\.png", page)
    assert set(re.findall(r"^### (\w+)$", page, re.MULTILINE)) == PICTURES.keys()


@pytest.mark.parametrize("name", ["RandMainsHum", "BackMixWeightd"])
def test_a_picture_is_the_same_each_time(name):
    def pixels() -> np.ndarray:
        canvas = FigureCanvasAgg(PICTURES[name]())
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())

    assert np.array_equal(pixels(), pixels())
