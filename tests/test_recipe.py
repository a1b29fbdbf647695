# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The same use of a network gives the same recipe, and another use another one."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from monai.networks.nets import DenseNet, ResNet
from monai.transforms import (
    CenterSpatialCropd,
    Compose,
    LoadImaged,
    NormalizeIntensityd,
    Resize,
    Resized,
    ScaleIntensityRanged,
    Spacingd,
    Transform,
)

from monai_debias.recipe import architecture, differences, preprocessing_steps

SCALE = ScaleIntensityRanged("image", 0, 255, 0, 1, clip=True)


def recorded(*transforms: Transform) -> dict:
    """The steps, as they are after they have been stored."""
    return json.loads(json.dumps(preprocessing_steps(transforms)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([Resized(["image", "mask"], (8, 8), mode=["area", "nearest"])], [Resized("image", (8, 8), mode="area")]),
        ([Resized(["mask", "image"], (8, 8), mode=["nearest", "area"])], [Resized("image", (8, 8, -1), mode="area")]),
        ([Compose([Compose([SCALE])]), Resized("mask", 4)], [SCALE]),
        ([Spacingd("image", (1.0, 2.0))], [Spacingd(["image", "mask"], (1.0, 2.0), allow_missing_keys=True)]),
        ([CenterSpatialCropd(["image", "mask"], (8, 4))], [CenterSpatialCropd("image", np.array([8, 4]))]),
    ],
    ids=["with a mask", "of a clip", "composed", "spacing", "array"],
)
def test_the_same_preprocessing_of_the_image_in_other_words(one, other):
    assert recorded(*one) == recorded(*other) != {}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (
            [Resized("image", (8, 8))],
            [Resized("image", (8, 9))],
            [("1 Resized.resizer.spatial_size", [8, 8], [8, 9])],
        ),
        (
            [Resized("image", 8, mode="area")],
            [Resized("image", 8, mode="nearest")],
            [("1 Resized.mode", "area", "nearest")],
        ),
        (
            [SCALE],
            [ScaleIntensityRanged("image", 0, 255, -1, 1)],
            [("1 ScaleIntensityRanged.scaler.b_min", 0, -1), ("1 ScaleIntensityRanged.scaler.clip", True, None)],
        ),
        (
            [NormalizeIntensityd("image")],
            [NormalizeIntensityd("image", subtrahend=torch.tensor([0.5]), divisor=[0.25])],
            [
                ("1 NormalizeIntensityd.normalizer.subtrahend", None, [0.5]),
                ("1 NormalizeIntensityd.normalizer.divisor", None, [0.25]),
            ],
        ),
    ],
    ids=["size", "mode", "range", "mean"],
)  # fmt: skip
def test_what_differs_between_two_preprocessings(one, other, expected):
    assert list(differences(recorded(*one), recorded(*other))) == expected


def test_the_order_and_the_number_of_steps_count():
    scale, size = SCALE, Resized("image", 8)
    assert {name for name, _, _ in differences(recorded(scale, size), recorded(size, scale))} == {
        "1 ScaleIntensityRanged", "2 Resized", "1 Resized", "2 ScaleIntensityRanged",
    }  # fmt: skip
    assert [name for name, _, _ in differences(recorded(scale), recorded(scale, size))] == ["2 Resized"]


def test_array_transforms_count_and_anything_else_is_refused():
    assert list(recorded(Resize(8))) == ["1 Resize"]
    assert list(recorded(LoadImaged("image"))) == ["1 LoadImaged"]
    with pytest.raises(TypeError, match="expected transforms, got a str among them"):
        preprocessing_steps([SCALE, "Resized"])


def test_settings_that_weights_do_not_have_are_in_the_architecture():
    def resnet(**options):
        network = ResNet(
            "basic", [1, 1, 1, 1], [2, 2, 4, 4], spatial_dims=2, n_input_channels=1, num_classes=2, **options
        )
        return json.loads(json.dumps(architecture(network)))

    assert resnet() == resnet()
    assert list(differences(resnet(), resnet(conv1_t_stride=2))) == [("conv1.stride", [1, 1], [2, 2])]
    # a flag of the forward pass
    assert list(differences(resnet(), resnet(no_max_pool=True))) == [("no_max_pool", None, True)]


def test_architecture_of_a_wrapped_network():
    network = DenseNet(2, 1, 2, init_features=4, growth_rate=2, block_config=(1,))
    assert architecture(torch.nn.DataParallel(network)) == architecture(network)
