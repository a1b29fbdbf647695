# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from monai_debias.transforms import blend_backgrounds
from tests.samples import IMAGE

EXAMPLES = {
    blend_backgrounds: {"images": IMAGE, "masks": torch.eye(8).expand(2, 1, 8, 8), "amounts": torch.tensor([0.25, 0.5])}
}


def test_three_signals_by_hand():
    """Image 0 takes half of image 2, image 1 a quarter of image 0, and image 2 all of image 1."""
    images = torch.tensor([[[0.0, 10.0, 20.0, 30.0]], [[4.0, 6.0, 8.0, 10.0]], [[-2.0, -4.0, -6.0, -8.0]]])
    masks = torch.tensor([[[1, 0, 0, 0]], [[0, 1, 0, 0]], [[0, 0, 1, 0]]])
    expected = torch.tensor([[[0.0, 3.0, 20.0, 11.0]], [[4.0, 6.0, 11.0, 15.0]], [[4.0, -4.0, -6.0, 10.0]]])
    assert torch.equal(blend_backgrounds(images, masks, torch.tensor([0.5, 0.25, 1.0])), expected)


@pytest.mark.parametrize("size", [(9,), (5, 4), (3, 4, 2)])
def test_only_what_is_background_in_both_changes(size):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(4, 2, *size, generator=generator)
    masks = (torch.rand(4, 1, *size, generator=generator) > 0.6).float()
    masks[(slice(None), 0, *[0] * len(size))] = 1  # none is empty
    before = images.clone()
    both = ((masks == 0) & (masks.roll(1, 0) == 0)).expand_as(images)
    blended = blend_backgrounds(images, masks, torch.ones(4))
    assert torch.equal(blended[~both], images[~both])
    assert torch.allclose(blended[both], images.roll(1, 0)[both])
    assert torch.equal(blend_backgrounds(images, masks, torch.zeros(4)), images)
    assert torch.equal(images, before)


def test_a_single_image_stays_what_it_is():
    image, mask = torch.rand(1, 3, 4, 4), torch.eye(4).expand(1, 1, 4, 4)
    assert torch.equal(blend_backgrounds(image, mask, torch.ones(1)), image)


def test_masks_of_another_size_cover_what_they_touch():
    images = torch.stack([torch.zeros(1, 4), torch.ones(1, 4)])
    blended = blend_backgrounds(images, torch.tensor([[[1, 0]], [[1, 0]]]), torch.ones(2))
    assert blended.tolist() == [[[0, 0, 1, 1]], [[1, 1, 0, 0]]]


def test_a_nan_stays_out_of_the_other_regions():
    images = torch.tensor([[[1.0, torch.nan]], [[2.0, 3.0]]])
    blended = blend_backgrounds(images, torch.tensor([[[1, 0]], [[1, 1]]]), torch.ones(2))
    assert torch.equal(blended[1], images[1])
    huge = torch.tensor([[[6e4, 0.0]], [[-6e4, 1.0]]], dtype=torch.float16)  # whose difference is infinite
    blended = blend_backgrounds(huge, torch.tensor([[[1, 0]]] * 2), torch.ones(2))
    assert blended.tolist() == [[[6e4, 1.0]], [[-6e4, 0.0]]]


def test_half_precision_stays():
    images, masks = torch.rand(2, 1, 4, 4, dtype=torch.bfloat16), torch.eye(4).expand(2, 1, 4, 4)
    assert blend_backgrounds(images, masks, torch.rand(2)).dtype == torch.bfloat16


def test_what_does_not_fit_is_an_error():
    images, masks = torch.rand(2, 1, 4, 4), torch.eye(4).expand(2, 1, 4, 4)
    with pytest.raises(ValueError, match=r"each of 2 images, got masks of shape \(2, 1, 4, 4\) and amounts of shape"):
        blend_backgrounds(images, masks, torch.ones(3))
    with pytest.raises(ValueError, match=r"each of 2 images, got masks of shape \(1, 1, 4, 4\)"):
        blend_backgrounds(images, masks[:1], torch.ones(2))
    with pytest.raises(ValueError, match=r"got images of torch.uint8 and shape \(2, 1, 4, 4\)"):
        blend_backgrounds(images.byte(), masks, torch.ones(2))
    with pytest.raises(ValueError, match=r"amounts must lie in \[0, 1\], got \[0.0, 1.5\]"):
        blend_backgrounds(images, masks, torch.tensor([0, 1.5]))
    with pytest.raises(ValueError, match="sides are in another proportion"):
        blend_backgrounds(images, torch.ones(2, 1, 8, 4), torch.ones(2))
    empty = torch.stack([torch.eye(4)[None], torch.zeros(1, 4, 4)])
    with pytest.raises(ValueError, match=r"mask is 0 everywhere in row\(s\) \[1\]"):
        blend_backgrounds(images, MetaTensor(empty), torch.ones(2))
