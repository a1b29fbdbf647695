# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The testbed with coloured corners: its images by their definition, and a short run of each network."""

from __future__ import annotations

import pytest
import torch

from benchmarks.evidence.testbeds import TESTBEDS, colour_corner
from benchmarks.evidence.testbeds.colour_corner import COLOURS, NETWORKS, QUICK, SECTIONS, SPLITS, VARIANTS, load
from monai_debias.networks import unwrapped


def test_the_colour_names_the_class_or_another_one():
    sizes = [len(load(section).label) for section in SECTIONS]
    assert sizes == [1100, 300, 397]
    data = {colours: load("test", colours) for colours in SPLITS}
    named = {c: torch.cdist(d.image[:, :, 0, 0], COLOURS.float()).argmin(1) for c, d in data.items()}
    label = data["same"].label
    assert torch.equal(named["same"], label)
    assert not (named["reversed"] == label).any()
    assert 0.05 < (named["random"] == label).double().mean() < 0.15
    inside = data["same"].mask.bool().expand_as(data["same"].image)
    assert inside.double().mean() == (16 / 24) ** 2
    assert torch.equal(data["same"].image[inside], data["reversed"].image[inside])
    assert (data["same"].image * ~inside).count_nonzero(dim=(1, 2, 3)).max() == 3 * 16


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_trains_and_is_judged(network):
    row = TESTBEDS[f"colour_corner_{network}"].run("isnet_background_consistency", 0, 1.0, QUICK)
    assert all(0 <= row[column] <= 1 for column in (*SPLITS, "swap_consistency", "validation_swap_consistency"))
    for stage in NETWORKS[network].stages:
        unwrapped(NETWORKS[network].make()).get_submodule(stage)


@pytest.mark.parametrize("method", VARIANTS)
def test_every_variant_trains(method):
    assert colour_corner.train("vit", method, 0, QUICK).validation.history
