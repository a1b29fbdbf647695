# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Where pictures recur, in images whose stamps are known, and what is no stamp."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from monai_debias.audit.stamps import shows_stamps, stamped_boxes


def subject_of(images: np.ndarray, patients: np.ndarray | None = None) -> SimpleNamespace:
    return SimpleNamespace(
        size=images.shape[1:],
        patients=np.arange(len(images)) if patients is None else patients,
        images=lambda rows: torch.from_numpy(images[rows]),
        in_batches=lambda rows, judge: [judge(rows)],
    )


def found_in(images: np.ndarray) -> list:
    return stamped_boxes(subject_of(images), np.arange(len(images)))[0]


@pytest.mark.parametrize(
    ("size", "place"),
    [((64,), ((60, 62),)), ((32, 32), ((30, 32), (0, 2))), ((16, 16, 16), ((0, 2), (14, 16), (0, 2)))],
)
def test_a_mark_of_some_images_is_found_in_noise_and_the_rest_is_not(size, place):
    rng = np.random.default_rng(0)
    images = rng.random((60, 1, *size))
    where = (slice(None), slice(None), *(slice(*side) for side in place))
    images[where] = 0
    images[:20][where] = 1
    assert found_in(images) == [place]
    images[where] += rng.normal(0, 0.02, images[where].shape)  # the noise of a detector
    assert found_in(images) == [place]


def test_large_images_are_cut_where_the_mark_is():
    images = np.random.default_rng(0).random((40, 1, 80, 80))
    images[:, :, :10, :10] = 0
    images[::2, :, :10, 5:10] = 1
    assert found_in(images) == [((0, 5), (5, 10)), ((5, 10), (5, 10))]


def test_the_number_of_places_that_change():
    images = np.zeros((40, 1, 32, 32))
    images[::2, :, :2, :2] = 1
    images[:, :, 16:18, 16:20] = np.linspace(0, 2, 40)[:, None, None, None]
    assert stamped_boxes(subject_of(images), np.arange(40)) == ([((0, 2), (0, 2))], 3)


@pytest.mark.parametrize(
    "content",
    [
        np.zeros((60, 4)),  # never changes
        np.linspace(0, 2, 60)[:, None] * np.ones(4),  # all brightnesses
        np.repeat(np.arange(60.0), 1)[:, None] * np.ones(4),  # every image another picture
        np.r_[np.zeros((50, 4)), 1 + np.arange(10)[:, None] * np.ones(4)],  # black, or anatomy
        np.r_[np.linspace(0, 2, 50)[:, None] * np.ones(4), np.full((10, 4), 5.0)],  # anatomy, or saturated
    ],
)
def test_what_is_no_stamp(content):
    assert not shows_stamps(content, np.arange(60), 1.0)


def test_images_of_one_patient_do_not_make_a_stamp():
    content = np.r_[np.zeros((30, 4)), np.ones((30, 4))]
    assert shows_stamps(content, np.arange(60), 0.5)
    assert not shows_stamps(content, np.r_[np.arange(30), np.full(30, 99)], 0.5)
