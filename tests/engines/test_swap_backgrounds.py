# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Which images of a batch get whose background, and what the network then sees of them."""

from __future__ import annotations

import pickle

import pytest
import torch
from monai.data import MetaTensor, list_data_collate
from monai.engines import SupervisedTrainer
from monai.transforms import Compose, CopyItemsd, NormalizeIntensity, NormalizeIntensityd, SelectItemsd

from monai_debias.attached import attached, take_apart
from monai_debias.engines import PrepareBatchAttached, SwapBackgrounds
from monai_debias.inferers import BackgroundSwapInferer
from monai_debias.losses import BackgroundConsistencyLoss
from monai_debias.transforms import FillMaskd, MixBatchd, backmix
from tests.samples import IMAGE

EXAMPLES = {
    SwapBackgrounds: [
        {},
        {"normalize": {"_target_": "NormalizeIntensity", "channel_wise": True}, "image_key": "image"},
    ],
    SwapBackgrounds.__call__: {
        "data": {"image": IMAGE, "swap_image": IMAGE, "swap_mask": torch.eye(8).expand(2, 1, 8, 8)}
    },
}
KEYS = ("swap_image", "swap_mask", "has_swap_mask")
COPIES = Compose(
    [
        CopyItemsd(["image", "mask"], names=KEYS[:2], allow_missing_keys=True),
        FillMaskd("swap_mask", "swap_image", "has_swap_mask"),
    ]
)
LAST = SelectItemsd(["image", "label", *KEYS])


def samples(n: int = 4, channels: int = 1, masked: tuple[int, ...] = (0, 1, 2, 3)) -> list[dict]:
    """Image i is 10 i + 1 to 10 i + 4, its region of interest the second pixel and, of odd ones, the third."""
    found = []
    for i in range(n):
        image = (10.0 * i + torch.arange(1.0, 5.0)).expand(channels, 4).clone()
        mask = torch.tensor([[0, 1, i % 2, 0]], dtype=torch.uint8)
        found.append({"image": image, "label": i % 2, **({"mask": mask} if i in masked else {})})
    return found


def batch(**options) -> dict:
    return list_data_collate([LAST(COPIES(sample)) for sample in samples(**options)])


def test_each_has_the_background_of_the_one_before_it():
    swapped = SwapBackgrounds()(batch())
    assert swapped["rows"].tolist() == [0, 1, 2, 3]
    # where the other image has its region of interest, there is nothing of it
    expected = [[31, 2, 0, 34], [1, 12, 13, 4], [11, 22, 0, 14], [21, 32, 33, 24]]
    assert swapped["images"].squeeze(1).tolist() == expected


def test_it_is_backmix_of_each_row():
    whole = batch(channels=3)
    swapped = SwapBackgrounds()(whole)["images"]
    images, masks = whole["swap_image"], whole["swap_mask"]
    for i in range(4):
        assert torch.equal(swapped[i], backmix(images[i], masks[i], images[i - 1], masks[i - 1]))


def test_images_without_a_mask_neither_take_nor_give():
    swapped = SwapBackgrounds()(batch(masked=(1, 3)))
    assert swapped["rows"].tolist() == [1, 3]
    assert swapped["images"].squeeze(1).tolist() == [[31, 12, 13, 34], [11, 32, 33, 14]]


@pytest.mark.parametrize("options", [{"masked": (2,)}, {"masked": ()}, {"n": 1}], ids=["one mask", "none", "one image"])
def test_one_mask_makes_no_pair(options):
    swapped = SwapBackgrounds(normalize=lambda _: 1 / 0)(batch(**options))
    assert swapped["rows"].tolist() == []
    assert swapped["images"].shape == (0, 1, 4)


@pytest.mark.parametrize("result", [None, torch.zeros(1)])
def test_a_transform_that_returns_no_such_batch_is_refused(result):
    with pytest.raises(TypeError, match=r"normalize must return a tensor of shape .*, got"):
        SwapBackgrounds(normalize=lambda _: result)(batch())


def test_the_network_sees_them_normalized():
    """As a data set's z-score would do it with the exchanged image; that of the image itself has not changed it."""
    chain = Compose([COPIES, NormalizeIntensityd("image"), LAST])
    normalized = list_data_collate([chain(sample) for sample in samples()])
    prepare = PrepareBatchAttached(swap=SwapBackgrounds(NormalizeIntensity(channel_wise=True)))
    image, label = prepare(normalized, device="cpu")
    plain, parts = take_apart(image)
    assert torch.equal(plain, normalized["image"])
    assert label is normalized["label"]
    z_score = NormalizeIntensity()
    for found, swapped in zip(parts["swapped"]["images"], SwapBackgrounds()(batch())["images"], strict=True):
        torch.testing.assert_close(found, z_score(swapped))


def test_without_flags_every_image_has_a_mask():
    whole = batch()
    del whole["has_swap_mask"]
    assert SwapBackgrounds()(whole)["rows"].tolist() == [0, 1, 2, 3]


def test_own_keys_and_copies_of_the_object():
    whole = batch()
    own = {"x": whole["swap_image"], "m": whole["swap_mask"], "f": whole["has_swap_mask"]}
    swap = pickle.loads(pickle.dumps(SwapBackgrounds(None, "x", "m", "f")))  # noqa: S301
    assert torch.equal(swap(own)["images"], SwapBackgrounds()(whole)["images"])


def test_the_batch_stays_as_it_is():
    whole = batch()
    before = whole["swap_image"].clone()
    SwapBackgrounds(normalize=lambda x: x.mul_(2))(whole)
    assert torch.equal(whole["swap_image"], before)


def test_beside_the_masks_of_an_isnet():
    whole = batch(masked=(0, 2))
    whole |= {"mask": whole["swap_mask"], "has_mask": whole["has_swap_mask"]}
    image, label = PrepareBatchAttached(swap=SwapBackgrounds())(whole, device="cpu")
    assert attached(image, "explain")["rows"].tolist() == attached(image, "swapped")["rows"].tolist() == [0, 2]
    assert attached(label, "mask").equal(whole["mask"])


def test_not_beside_a_mixup():
    with pytest.raises(ValueError, match=r"a mixup and swapped backgrounds cannot be combined: .* mixtures"):
        PrepareBatchAttached(MixBatchd.mixup("image", num_classes=2), swap=SwapBackgrounds())


def test_bad_batches_get_a_clear_error():
    whole = batch()
    with pytest.raises(KeyError, match=r"no \['swap_mask'\] to swap backgrounds with, it has .*CopyItemsd"):
        SwapBackgrounds()({"swap_image": whole["swap_image"]})
    with pytest.raises(ValueError, match=r"masks 'swap_mask' are \(4, 1, 3\) for images \(4, 1, 4\)"):
        SwapBackgrounds()({**whole, "swap_mask": whole["swap_mask"][..., :3]})
    with pytest.raises(TypeError, match="must be bool, as from FillMaskd"):
        SwapBackgrounds()({**whole, "has_swap_mask": torch.ones(4)})
    with pytest.raises(ValueError, match="NaN or infinite"):
        SwapBackgrounds()({**whole, "swap_image": whole["swap_image"] * torch.nan})
    one_less = whole["swap_mask"] * torch.tensor([1, 0, 1, 1], dtype=torch.uint8)[:, None, None]
    files = [{"filename_or_obj": f"{name}.png"} for name in "abcd"]
    masks = list_data_collate([MetaTensor(mask, meta=meta) for mask, meta in zip(one_less, files, strict=True)])
    with pytest.raises(ValueError, match=r"swap_mask is 0 everywhere in row\(s\) \[1\].*b\.png"):
        SwapBackgrounds()({**whole, "swap_mask": masks})


def test_a_network_that_read_the_background_unlearns_it():
    """A mark tells the label and so does the region, less clearly: without the penalty the mark decides."""
    reads = {}
    for weight in (0.0, 5.0):
        generator = torch.Generator().manual_seed(0)
        label = torch.randint(2, (64,), generator=generator)
        signs = 2.0 * label - 1
        image = torch.stack([1 + 0.2 * signs, 1 + signs], 1)[:, None]  # region of interest, background
        masks = torch.tensor([[[1, 0]]]).expand(64, 1, 2)
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2, 1))
        network.load_state_dict({"1.weight": torch.zeros(1, 2), "1.bias": torch.zeros(1)})
        trainer = SupervisedTrainer(
            device="cpu",
            max_epochs=200,
            train_data_loader=[{"image": image, "label": label, "swap_image": image, "swap_mask": masks}],
            network=network,
            optimizer=torch.optim.SGD(network.parameters(), 0.5),
            loss_function=BackgroundConsistencyLoss(consistency_weight=weight),
            prepare_batch=PrepareBatchAttached(swap=SwapBackgrounds()),
            inferer=BackgroundSwapInferer(),
        )
        trainer.run()
        region, background = network[1].weight.detach()[0].tolist()
        reads[weight] = background / (abs(region) + abs(background))
    assert reads[0.0] > 0.6
    assert abs(reads[5.0]) < 0.2
