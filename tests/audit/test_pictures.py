# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from monai_debias.audit.pictures import before_and_after


def red(address: str) -> np.ndarray:
    pixels = imread(io.BytesIO(base64.b64decode(address.partition(",")[2])), format="png")
    return pixels[..., 0] - pixels[..., 1] > 0.5


@pytest.mark.parametrize("spatial", [(64, 64), (64, 64, 5)])
def test_what_has_changed_lies_within_a_red_line_if_it_is_small(spatial):
    before = torch.linspace(0, 1, 64).reshape(64, 1, *[1] * (len(spatial) - 2)).expand(1, *spatial)
    after = before.clone()
    after[:, 20:28, 40:48] = 0
    for line in map(red, before_and_after(before, after)):
        rows, columns = np.nonzero(line)
        assert (rows.min(), rows.max(), columns.min(), columns.max()) == (18, 29, 38, 49)
        assert not line[20:28, 40:48].any()
    assert not any(red(picture).any() for picture in before_and_after(before, 1 - before))
    assert not red(before_and_after(before, before)[0]).any()
