# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Copies of an image are found whatever has become of them, and other images are not taken for copies."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter, zoom

from monai_debias.data.thumbnail import near_pairs, thumbnail


def picture(seed, common=0.0):
    """Smooth noise, as different as the share that is not common."""
    rng = np.random.default_rng(seed)
    shared = gaussian_filter(np.random.default_rng(0).normal(size=(96, 96)), 12)
    own = gaussian_filter(rng.normal(size=(96, 96)), 4)
    both = common * shared / shared.std() + (1 - common) * own / own.std()
    return (both - both.min())[None] / np.ptp(both)


def jpeg(image):
    file = io.BytesIO()
    Image.fromarray((image[0] * 255).astype(np.uint8)).save(file, "JPEG", quality=40)
    return np.asarray(Image.open(file))[None]


CHANGES = {
    "as it is": lambda image: image,
    "JPEG": jpeg,
    "half the size": lambda image: zoom(image, (1, 0.5, 0.5), order=1),
    "brighter": lambda image: 0.4 * image + 0.5,
    "16 bits": lambda image: (65535 * image).astype(np.uint16),
    "noise": lambda image: image + np.random.default_rng(9).normal(scale=0.05, size=image.shape),
    "in colour": lambda image: np.repeat(image, 3, axis=0),
    "inverted": lambda image: 1 - image,
}


@pytest.mark.parametrize("n", [20, 200])
def test_copies_are_found_and_others_are_not(n):
    others = [thumbnail(picture(seed, 0.6)) for seed in range(1, n)]
    copies = [thumbnail(change(picture(1000 + k, 0.6))) for k, change in enumerate(CHANGES.values())]
    originals = [thumbnail(picture(1000 + k, 0.6)) for k in range(len(CHANGES))]
    found = near_pairs(originals + others[: n // 2], others[n // 2 :] + copies)
    expected = {(k, len(others[n // 2 :]) + k) for k in range(len(CHANGES))}
    if n < 160:  # half the size is too little alike to be sure of it among few images
        expected -= {(2, len(others[n // 2 :]) + 2)}
        found = [pair for pair in found if pair.first != 2]
    assert {(pair.first, pair.second) for pair in found} == expected
    assert [pair.first for pair in found if pair.cosine < 0] == [len(CHANGES) - 1]


def test_signals_and_volumes():
    rng = np.random.default_rng(0)
    signal, volume = rng.normal(size=(12, 5000)), rng.normal(size=(1, 24, 24, 16))
    signal[0, :10] = np.nan
    assert thumbnail(signal).shape == (12 * 256,)
    assert thumbnail(volume).shape == (12 * 12 * 8,)
    sides = [[thumbnail(signal), thumbnail(volume)], [thumbnail(volume), thumbnail(3 * signal)]]
    assert [(pair.first, pair.second) for pair in near_pairs(*sides)] == [(0, 1), (1, 0)]


@pytest.mark.parametrize("image", [np.ones((1, 40, 40)), np.zeros((1, 40, 40, 2, 2)), np.zeros((1, 0))])
def test_what_has_no_thumbnail(image):
    assert thumbnail(image) is None
    assert near_pairs([None], [None, thumbnail(picture(0))]) == []
