# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The ISNet classifies and explains images with blended backgrounds."""

from __future__ import annotations

import copy

import pytest
import torch
from monai.data import MetaTensor, list_data_collate
from monai.networks.layers import Conv, Norm, Pool
from monai.transforms import NormalizeIntensity
from torch import nn

from monai_debias.attached import attached
from monai_debias.engines import PrepareBatchAttached
from monai_debias.inferers import FlowMixupInferer, ISNetInferer
from monai_debias.losses import ISNetLRPLoss
from monai_debias.transforms import MixBatchd, blend_backgrounds

N = 5


def make_network(n_dims: int = 2) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        Conv[Conv.CONV, n_dims](1, 4, 3),
        Norm[Norm.BATCH, n_dims](4),
        nn.ReLU(),
        Pool[Pool.ADAPTIVEAVG, n_dims](1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )


def make_batch(n_dims: int = 2) -> dict[str, torch.Tensor]:
    generator, size = torch.Generator().manual_seed(1), (8, 6, 7)[:n_dims]
    masks = torch.zeros(N, 1, *size)
    masks[:, :, 2:5] = 1
    return {
        "image": torch.rand(N, 1, *size, generator=generator),
        "label": torch.arange(N) % 3,
        "mask": masks,
    }


def drawn(n: int) -> torch.Tensor:
    """Amounts of n images: 1 for a half of them, the others uniform in [0, 1]."""
    share = torch.rand(n)
    return torch.where(share < 0.5, 2 * share, 1.0)


@pytest.mark.parametrize("n_dims", [1, 2, 3])
def test_logits_and_heatmap_are_of_the_blended_image(n_dims):
    batch, network = make_batch(n_dims), make_network(n_dims)
    image, label = PrepareBatchAttached()(batch, "cpu")
    torch.manual_seed(7)
    found = ISNetInferer(layers=["0"])(image, copy.deepcopy(network))
    torch.manual_seed(7)
    blended = blend_backgrounds(batch["image"], batch["mask"], drawn(N))
    expected = ISNetInferer(layers=["0"], blend=False)(blended, network)
    assert not torch.equal(blended, batch["image"])
    heatmap, wanted = attached(found, "heatmap"), attached(expected, "heatmap")
    assert torch.equal(found, expected)
    assert all(torch.equal(heatmap[layer], wanted[layer]) for layer in ("input", "0"))
    ISNetLRPLoss()(found, label).backward()
    assert torch.equal(image, batch["image"])  # what metrics and handlers see


def seen_by(network: nn.Module, inferer: ISNetInferer, image: torch.Tensor, **options) -> torch.Tensor:
    seen = []
    hook = network[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().clone()))
    inferer(image, network, **options)
    hook.remove()
    return seen[0].as_subclass(torch.Tensor)


def test_rows_without_a_mask_are_neither_blended_nor_donors():
    batch, network, rows = make_batch(), make_network(), torch.tensor([0, 3])
    has_mask = torch.zeros(N, dtype=torch.bool).index_fill(0, rows, True)
    masks = batch["mask"] * has_mask[:, None, None, None]
    image, _ = PrepareBatchAttached()({**batch, "mask": masks, "has_mask": has_mask}, "cpu")
    torch.manual_seed(7)
    seen = seen_by(network, ISNetInferer(), image)
    torch.manual_seed(7)
    pair = blend_backgrounds(batch["image"][rows], batch["mask"][rows], drawn(2))
    assert torch.equal(seen[rows], pair)
    assert torch.equal(seen[~has_mask], batch["image"][~has_mask])
    alone = has_mask & (torch.arange(N) == 3)
    image, _ = PrepareBatchAttached()({**batch, "mask": masks, "has_mask": alone}, "cpu")
    assert torch.equal(seen_by(network, ISNetInferer(), image), batch["image"])


def test_half_of_the_backgrounds_are_exchanged_and_the_others_faded_by_any_amount():
    n, network = 1000, nn.Sequential(nn.Conv1d(1, 3, 2), nn.Flatten())
    image = torch.arange(n).float().reshape(n, 1, 1).expand(n, 1, 2).clone()
    image[:, :, 0] = 0
    masks = torch.tensor([1, 0]).expand(n, 1, 2)
    seen = seen_by(network.train(), ISNetInferer(1), image, masks=masks)
    amounts = (image - seen)[1:, 0, 1].double()  # each image's background is 1 less than the next one's
    whole = (amounts - 1).abs() < 1e-3
    assert 0.45 < whole.double().mean() < 0.55
    quarters = torch.histogram(amounts[~whole], 4, range=(0, 1)).hist / (~whole).sum()
    assert ((quarters > 0.19) & (quarters < 0.31)).all()


def test_a_seed_repeats_the_blend_and_no_seed_is_drawn_elsewhere():
    batch, network, inferer = make_batch(), make_network(), ISNetInferer(interval=2)
    masks = batch["mask"]
    torch.manual_seed(3)
    first = seen_by(network, inferer, batch["image"], masks=masks)
    state = torch.get_rng_state()
    plain = seen_by(network, inferer, batch["image"], masks=masks)  # not the turn of a heatmap
    assert torch.equal(plain, batch["image"])
    assert torch.equal(seen_by(network.eval(), inferer, batch["image"], masks=masks), batch["image"])
    assert torch.equal(torch.get_rng_state(), state)
    second = seen_by(network.train(), inferer, batch["image"], masks=masks)
    torch.manual_seed(3)
    again = seen_by(network, ISNetInferer(), batch["image"], masks=masks)
    assert torch.equal(again, first)
    assert not torch.equal(second, first)


def test_autocast():
    batch, network = make_batch(), make_network()
    image, label = PrepareBatchAttached()(batch, "cpu")
    with torch.autocast("cpu", torch.bfloat16):
        loss = ISNetLRPLoss()(ISNetInferer()(image, network), label)
    loss.backward()
    assert all(bool(p.grad.isfinite().all()) for p in network.parameters())


@pytest.mark.parametrize("layers", [["input"], ["2"]])
def test_mixed_images_and_states(layers):
    batch, network = make_batch(), make_network()
    mixup = MixBatchd.flow_mixup("image", network, layers, num_classes=3).set_random_state(0)
    image, _ = PrepareBatchAttached(mixup)(batch, "cpu")
    prediction = FlowMixupInferer(ISNetInferer())(image, network)
    heatmap = attached(prediction, "heatmap")
    assert len(attached(prediction, "rows")) == 2 * N
    assert len(heatmap) == (2 * N if layers == ["input"] else N)


def test_without_masks_there_is_an_error_that_says_what_to_do():
    batch, network = make_batch(), make_network()
    with pytest.raises(ValueError, match=r"got None: in a trainer take .*PrepareBatchAttached.* or take blend=False"):
        ISNetInferer()(batch["image"], network)
    with pytest.raises(ValueError, match=r"there are 5 images, but masks of shape \(2, 1, 8, 6\)"):
        ISNetInferer()(batch["image"], network, masks=batch["mask"][:2])


def test_an_empty_mask_names_its_file():
    batch, network = make_batch(), make_network()
    masks = [MetaTensor(mask, meta={"filename_or_obj": f"{n}.npy"}) for n, mask in enumerate(batch["mask"])]
    masks[3][:] = 0
    with pytest.raises(ValueError, match=r"3\.npy"):
        ISNetInferer()(batch["image"], network, rows=torch.tensor([0, 3]), masks=list_data_collate(masks))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([0, 1], "int64 of shape .*got list"),
        (torch.ones(N, dtype=torch.bool), r"int64 of shape .*got torch.bool, \(5,\)"),
        (torch.tensor([0, 1], dtype=torch.int32), "got torch.int32"),
        (torch.tensor([-1, 0]), r"distinct indices from 0 to 4, got \[-1, 0\]"),
        (torch.tensor([0, 9]), r"got \[0, 9\]"),
        (torch.tensor([0, 0]), r"got \[0, 0\]"),
    ],
)
def test_rows_are_distinct_indices(rows, message):
    batch, network = make_batch(), make_network()
    with pytest.raises(ValueError, match=message):
        ISNetInferer()(batch["image"], network, rows=rows, masks=batch["mask"])


@pytest.mark.parametrize("channel_wise", [False, True])
def test_a_warning_tells_once_that_z_scores_carry_the_background_into_the_region(channel_wise, recwarn):
    z_score = NormalizeIntensity(channel_wise=channel_wise)
    images = torch.rand(N, 2, 30, 40, generator=torch.Generator().manual_seed(1)) ** 2
    images[:, 1] *= 5
    masks = make_batch()["mask"].new_zeros(N, 1, 30, 40)
    masks[..., 10:20] = 1
    network = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(8, 3)).train()
    inferer = ISNetInferer()
    z_scored = torch.stack([z_score(image.clone()) for image in images])  # channel by channel it works in place
    for _ in range(2):
        inferer(z_scored, network, masks=masks)
    assert sum("standard deviation 1" in str(warning.message) for warning in recwarn) == 1
    # a fixed window, and the z-score of all images together, leave the region what it is
    recwarn.clear()
    for fixed in (images, (images - images.mean()) / images.std()):
        ISNetInferer()(fixed, network, masks=masks)
    assert not any("standard deviation 1" in str(warning.message) for warning in recwarn)
