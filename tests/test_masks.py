# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What a mask may be; whatever refuses one names its file, of a batch the files of the wrong rows."""

from __future__ import annotations

import re

import pytest
import torch
from monai.data import MetaTensor, list_data_collate

from monai_debias.attached import attach, attached
from monai_debias.engines import PrepareBatchAttached
from monai_debias.losses import ISNetLRPLoss
from monai_debias.masks import as_binary_mask, require_aspect
from monai_debias.metrics import background_relevance, background_swap_consistency
from monai_debias.transforms import FillMaskd, RandBackMixd


@pytest.mark.parametrize(
    ("mask", "map_"),
    [
        ((225, 224), (7, 7)),
        ((225, 224), (8, 7)),
        ((224, 224), (224, 224)),
        ((448, 640), (14, 20)),
        ((9,), (4,)),
        ((5, 9), (1, 1)),
    ],
)
def test_sides_that_differ_by_rounding_are_of_one_aspect(mask, map_):
    require_aspect(mask, map_)
    require_aspect(mask[::-1], map_[::-1])


@pytest.mark.parametrize(
    ("mask", "map_"), [((320, 240), (240, 320)), ((320, 240), (7, 10)), ((112, 112), (48, 64)), ((8, 8, 8), (8, 8, 4))]
)
def test_other_aspects_are_refused(mask, map_):
    with pytest.raises(ValueError, match=rf"masks \(a.npy\) of {mask[0]} x .* relevance of {map_[0]} x"):
        require_aspect(mask, map_, ["a.npy"])


def mask(number: int, value: float = 1.0, shape: tuple[int, ...] = (1, 8, 6)) -> MetaTensor:
    values = torch.zeros(shape)
    values[..., 2:5, 2:5] = value
    return MetaTensor(values, meta={"filename_or_obj": f"m{number}.png"})


def batch(*masks: MetaTensor) -> dict[str, torch.Tensor]:
    images = [MetaTensor(torch.rand(1, 8, 6), meta={"filename_or_obj": f"i{n}.dcm"}) for n in range(len(masks))]
    samples = [{"image": i, "mask": m, "label": n % 2} for n, (i, m) in enumerate(zip(images, masks, strict=True))]
    return list_data_collate(samples)


@pytest.mark.parametrize("wrong", [mask(7, 0.5), mask(7, 0), mask(7, shape=(1, 8, 7))], ids=["grey", "empty", "shape"])
def test_a_mask_of_one_sample(wrong):
    with pytest.raises(ValueError, match=r"^mask \(m7\.png\) "):
        as_binary_mask(wrong, (1, 8, 6))
    sample = {"image": torch.rand(1, 8, 6), "mask": mask(1)}
    with pytest.raises(ValueError, match=r"mask \(m7\.png\)"):
        FillMaskd()({**sample, "mask": wrong})
    with pytest.raises(ValueError, match=r"mask of donor 0 \(m7\.png\)"):
        RandBackMixd("image", donors=[{**sample, "mask": wrong}])(sample)


@pytest.mark.parametrize("wrong", [mask(7, 0.5), mask(7, 0)], ids=["grey", "empty"])
def test_masks_of_a_batch(wrong):
    data = batch(mask(0), wrong, mask(2), mask(3))
    named = r"in row\(s\) \[1\] \(m7\.png\)"
    with pytest.raises(ValueError, match=named):
        background_swap_consistency(torch.nn.Flatten(), [data])
    with pytest.raises(ValueError, match=named):
        background_relevance(torch.rand(4, 1, 8, 6), data["mask"])
    _, target = PrepareBatchAttached()(data)
    pred = attach(torch.zeros(4, 2), heatmap=torch.rand(4, 1, 1, 8, 6))
    with pytest.raises(ValueError, match=named):
        ISNetLRPLoss()(pred, target)
    with pytest.raises(ValueError, match=named):  # the row of the batch, not of the masks that are used
        ISNetLRPLoss()(
            attach(pred, heatmap=torch.rand(2, 1, 1, 8, 6)),
            attach(target, has_mask=torch.tensor([False, True, False, True])),
        )


def test_masks_of_another_aspect_than_the_heatmap():
    """A mask that lies on its side is refused, although the few positions of a late stage would fit it."""
    _, target = PrepareBatchAttached()(batch(*(mask(n, shape=(1, 6, 8)) for n in range(2))))
    heatmaps = {"input": torch.rand(2, 1, 1, 8, 6), "layer4": torch.rand(2, 1, 4, 1, 1)}
    for heatmap in (heatmaps, heatmaps["input"]):
        with pytest.raises(
            ValueError, match=re.escape("masks (m0.png, m1.png) of 6 x 8 do not fit relevance of 8 x 6")
        ):
            ISNetLRPLoss()(attach(torch.zeros(2, 2), heatmap=heatmap), target)
    with pytest.raises(ValueError, match="do not fit relevance of 8 x 6"):
        background_relevance(heatmaps["input"], attached(target, "mask"))
    twice = attach(target, mask=attached(target, "mask").mT.repeat_interleave(2, 2).repeat_interleave(2, 3))
    valid = {**heatmaps, "layer1": torch.rand(2, 1, 4, 3, 1)}  # what convolutions without padding leave of 8 x 6
    assert ISNetLRPLoss()(attach(torch.zeros(2, 2), heatmap=valid), twice).isfinite()
