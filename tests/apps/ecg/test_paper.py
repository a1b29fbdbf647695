# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What is drawn on the paper of an ECG, and in which colours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from monai.data import MetaTensor

from monai_debias.apps.ecg import draw_ecg_heatmap

IMAGE, HEAT = torch.zeros(1, 2, 300), torch.zeros(1, 1, 2, 300)
HEAT[0, 0, 0, 100:150], HEAT[0, 0, 1, 200:250] = 1, -1
EXAMPLES = {draw_ecg_heatmap: {"image": IMAGE, "relevance": HEAT, "sampling_rate": 100, "titles": ["normal"]}}


def test_each_lead_has_its_relevance_at_its_time():
    image = MetaTensor(IMAGE.clone(), meta={"sampling_rate": 100.0, "leads": "II,aVR"})
    image[0, 0, 50] = 1.25
    figure = draw_ecg_heatmap(image, HEAT, titles=["atrial fibrillation, p = 0.91"])
    axes = figure.axes[0]
    assert axes.get_title() == "atrial fibrillation, p = 0.91"
    assert [text.get_text() for text in axes.texts] == ["II", "aVR"]
    first, second = (artist for artist in axes.collections if isinstance(artist, LineCollection))
    for line, strongest, times in ((first, 1, (1.0, 1.5)), (second, -1, (2.0, 2.5))):
        values = np.asarray(line.get_array())
        segments = np.array(line.get_segments())
        assert values[np.abs(values).argmax()] * strongest > 0
        strong = segments[np.abs(values) > 0.9 * np.abs(values).max()][:, :, 0]
        assert times[0] - 0.05 <= strong.min() < strong.max() <= times[1] + 0.05
    assert np.array(first.get_segments())[:, :, 1].max() == 1.25  # mV, the first lead at 0
    assert axes.get_xlim() == (0, 3)


def test_what_is_not_the_heart_is_shaded():
    mask = torch.ones(1, 1, 300)
    mask[..., :60] = 0
    (grey,) = (
        artist
        for artist in draw_ecg_heatmap(IMAGE, HEAT, mask, sampling_rate=100).axes[0].collections
        if not isinstance(artist, LineCollection)
    )
    box = grey.get_paths()[0].get_extents()
    assert (box.x0, box.x1) == (0, 0.6)
    per_lead = torch.ones(1, 2, 300)
    per_lead[:, 1, 200:] = 0
    (grey,) = (
        artist
        for artist in draw_ecg_heatmap(IMAGE, HEAT, per_lead, sampling_rate=100).axes[0].collections
        if not isinstance(artist, LineCollection)
    )
    box = grey.get_paths()[0].get_extents()
    assert (box.x0, box.x1, box.y0, box.y1) == (2, 3, -2.25, -0.75)


def test_what_does_not_fit():
    with pytest.raises(ValueError, match="does not belong to an ECG of shape"):
        draw_ecg_heatmap(IMAGE, HEAT[..., :200], sampling_rate=100)
    with pytest.raises(ValueError, match=r"image has shape \(2, 2, 300\), expected one sample"):
        draw_ecg_heatmap(IMAGE.repeat(2, 1, 1), HEAT, sampling_rate=100)
    with pytest.raises(ValueError, match="the relevance is 0 everywhere"):
        draw_ecg_heatmap(IMAGE, 0 * HEAT, sampling_rate=100)
    with pytest.raises(ValueError, match="has the sampling rate None"):
        draw_ecg_heatmap(IMAGE, HEAT)
