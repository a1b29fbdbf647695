# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The weights of weighted BackMix."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_debias.transforms.wbackmix import BackMixWeightd, backmix_weight

EXAMPLES = {
    BackMixWeightd: [{"mask_key": "mask", "mask_fraction": 0.25}],
    backmix_weight: {"has_mask": True, "mask_fraction": 0.25, "strength": 1.0},
}


@pytest.mark.parametrize(
    ("strength", "without", "with_mask"), [(1.0, 0.95, 1.95), (2.0, 0.90, 2.90)], ids=["paper-1", "paper-2"]
)
def test_the_weights_of_the_paper(strength, without, with_mask):
    assert backmix_weight(True, 0.05, strength) == pytest.approx(with_mask)
    assert backmix_weight(False, 0.05, strength) == pytest.approx(without)


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("n_masks", [1, 7, 100])
def test_the_mean_weight_over_a_data_set_is_one(strength, n_masks):
    fraction = n_masks / 100
    if strength * fraction > 1:
        with pytest.raises(ValueError, match="strength must lie"):
            BackMixWeightd(mask_fraction=fraction, strength=strength)
        return
    weigh = BackMixWeightd("mask", "weight", mask_fraction=fraction, strength=strength)
    items = [{"mask": torch.ones(1, 2, 2)} if i < n_masks else {"mask": None} if i % 2 else {} for i in range(100)]
    assert np.mean([weigh(item)["weight"].item() for item in items]) == pytest.approx(1, abs=1e-6)


def test_a_strength_out_of_the_papers_range_is_refused():
    with pytest.raises(ValueError, match="strength must lie"):
        backmix_weight(True, 0.5, 2.1)
