# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy

import pytest
import torch
from monai.data import CacheDataset, DataLoader

from monai_debias.data.mnist import load_mnist
from monai_debias.demo import load_biased_mnist
from monai_debias.transforms import RandBackMixd

EXAMPLES = {load_biased_mnist: {"section": "test", "bias": 0.5}}


CUES = ("same", "none", "deceiving")


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def tests():
    return {cue: load_biased_mnist("test", cue=cue) for cue in CUES}


@pytest.mark.parametrize(("section", "every"), [("training", 10), ("validation", 2), ("test", 2)])
def test_mark_and_mask_are_apart(section, every):
    digits, labels = (part[::every] for part in load_mnist(section))
    image, label, mask = (part[::every] for part in load_biased_mnist(section)[:3])
    assert torch.equal(label, labels)
    assert image.shape == mask.shape == (len(labels), 1, 32, 32)
    assert image.dtype == torch.float32
    assert mask.dtype == torch.uint8
    assert mask.amax() == 1
    # the digit as MNIST has it, all of it in the mask, and nothing else there
    assert torch.equal(image[..., 2:-2, 2:-2], digits)
    assert torch.equal((image * mask)[..., 2:-2, 2:-2], digits)
    # no place that any mark may have is in the mask
    ring = torch.ones(32, 32, dtype=torch.bool)
    ring[2:-2, 2:-2] = False
    assert not mask[..., ring].any()
    # all that remains outside the mask is a mark of four white pixels
    outside = image * (1 - mask)
    assert torch.equal(outside.sum((1, 2, 3)), torch.full((len(labels),), 4.0))
    assert bool(((outside == 0) | (outside == 1)).all())
    # a little wider than the stroke, and far from the whole image
    stroke, area = (image > 0).float().mean() - 4 / 32**2, mask.float().mean()
    assert 1.5 * stroke < area < 0.35


def test_mark_tells_the_class(tests):
    """Same class, same place; ten places with a gap between them."""
    image, label, mask, cue = tests["same"]
    assert torch.equal(cue, label)
    marks = (image * (1 - mask))[:, 0]
    of_class = torch.stack([marks[label == c][0] for c in range(10)])
    assert torch.equal(of_class[label], marks)
    assert of_class.sum(0).amax() == 1
    centres = torch.stack([mark.nonzero().float().mean(0) for mark in of_class])
    assert torch.pdist(centres).amin() > 5
    assert sorted(map(tuple, centres.tolist()))[0] == (0.5, 0.5)  # 2 x 2, in the corner
    deceiving = tests["deceiving"]
    assert torch.equal(deceiving.cue, (label + 1) % 10)
    assert torch.equal((deceiving.image * (1 - mask))[:, 0], of_class[(label + 1) % 10])


def test_test_sets_are_paired(tests):
    same, none, deceiving = (tests[cue] for cue in CUES)
    for other in (none, deceiving):
        assert torch.equal(other.label, same.label)
        assert torch.equal(other.mask, same.mask)
        assert torch.equal(other.image * other.mask, same.image * same.mask)
    assert not (none.image * (1 - none.mask)).any()
    assert (none.cue == -1).all()


@pytest.mark.parametrize("bias", [0.98, 0.9, 0.1])
def test_share_of_own_marks(bias, tests):
    image, label, mask, cue = load_biased_mnist("test", bias=bias)
    own = torch.stack([(cue[label == c] == c).float().mean() for c in range(10)])
    assert torch.allclose(own, torch.full((10,), bias), atol=1e-3)
    for c in range(10):  # the others in equal parts
        counts = cue[(label == c) & (cue != c)].bincount(minlength=10)
        counts = torch.cat([counts[:c], counts[c + 1 :]])
        assert counts.amax() - counts.amin() <= 1
    reference = tests["deceiving"]
    marks = torch.stack([reference.image[reference.cue == c][0] * 1 for c in range(10)])
    ring = torch.ones(32, 32, dtype=torch.bool)
    ring[2:-2, 2:-2] = False
    assert torch.equal(image[:, 0, ring], marks[cue][:, 0, ring])  # the mark is the one that cue tells
    assert torch.equal(mask, reference.mask)
    # which digits have another mark is not their order
    assert 0.4 < (cue != label).nonzero().float().mean() / len(label) < 0.6


def test_reproducible():
    first = load_biased_mnist("test", bias=0.9, seed=3)
    torch.manual_seed(1)
    first_state = torch.get_rng_state()
    assert equal(load_biased_mnist("test", bias=0.9, seed=3), first)
    assert torch.equal(torch.get_rng_state(), first_state)
    other = load_biased_mnist("test", bias=0.9, seed=4)
    assert not torch.equal(other.cue, first.cue)
    assert torch.equal(other.mask, first.mask)
    expected = first.image.clone()
    other.image.zero_()
    assert torch.equal(load_biased_mnist("test", bias=0.9, seed=3).image, expected)


def test_items_are_a_monai_datalist(tests):
    items = tests["same"].items()
    assert len(items) == 10_000
    item = items[7]
    assert item.keys() == {"image", "label", "mask"}
    assert torch.equal(item["image"], tests["same"].image[7])
    assert item["image"].untyped_storage().nbytes() == 4 * 32 * 32  # a copy of an item is not a copy of all images
    item["image"].zero_()
    assert tests["same"].image[7].any()

    donors = CacheDataset(copy.deepcopy(items[8:72]), transform=[], progress=False)
    mix = RandBackMixd(keys="image", mask_key="mask", donors=donors, prob=1.0).set_random_state(0)
    batch = next(iter(DataLoader(CacheDataset(items[8:72], transform=mix, progress=False), batch_size=64)))
    assert batch["image"].shape == (64, 1, 32, 32)
    assert torch.equal(batch["label"], tests["same"].label[8:72])
    mask = batch["mask"]
    assert torch.equal(batch["image"] * mask, tests["same"].image[8:72] * mask)
    marks = batch["image"] * (1 - mask)
    assert torch.equal(marks.sum((1, 2, 3)), torch.full((64,), 4.0))  # a whole mark from the donor, no digit of it
    assert not torch.equal(marks, tests["same"].image[8:72] * (1 - mask))
