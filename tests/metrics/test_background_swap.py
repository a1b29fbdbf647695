# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Which images a network is shown when backgrounds are exchanged."""

from __future__ import annotations

import math

import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import NormalizeIntensity
from torch import nn

from monai_debias.metrics.background_swap import background_swap_consistency
from monai_debias.transforms import backmix
from tests.metrics.swap_batches import batches, cohort
from tests.samples import FEATURES, four_logits

EXAMPLES = {
    background_swap_consistency: {
        "network": four_logits(),
        "loader": [{"image": FEATURES.float(), "mask": torch.eye(8).expand(60, 1, 8, 8)}],
    }
}


class Decimal(nn.Module):
    """Makes logits of integers."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.float()


class Recorder(nn.Module):
    """Keeps what it sees, and makes logits of it."""

    def __init__(self, head: nn.Module | None = None) -> None:
        super().__init__()
        self.head, self.seen, self.states = head or nn.Flatten(), [], []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(x.clone())
        self.states.append((type(x), torch.is_grad_enabled(), self.training))
        return self.head(x)

    def swapped(self, n: int, size: int, n_swaps: int = 1) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """All original images that it saw, and for each swap the changed ones."""
        rounds = [self.seen[i : i + 1 + n_swaps] for i in range(0, len(self.seen), 1 + n_swaps)]
        assert len(rounds) == math.ceil(n / size)
        parts = [torch.cat([r[k] for r in rounds]) for k in range(1 + n_swaps)]
        return parts[0], parts[1:]


def donors_of(images: torch.Tensor, masks: torch.Tensor, swapped: torch.Tensor) -> list[list[int]]:
    """Which images of the cohort each changed one may have its background from, worked out one by one."""
    n = len(images)
    return [
        [d for d in range(n) if d != i and torch.allclose(exchanged(images, masks, i, d), swapped[i])] for i in range(n)
    ]


def exchanged(images: torch.Tensor, masks: torch.Tensor, i: int, donor: int) -> torch.Tensor:
    """Image i by backmix, and holes filled pixel by pixel with the mean of the other images' backgrounds."""
    region = masks.expand(images.shape) > 0
    made = torch.as_tensor(backmix(images[i], masks[i], images[donor], masks[donor])).clone()
    for pixel in (region[donor] & ~region[i]).nonzero().tolist():
        there = [float(images[j][tuple(pixel)]) for j in range(len(images)) if j != i and not region[j][tuple(pixel)]]
        made[tuple(pixel)] = sum(there) / len(there) if there else 0
    return made


@pytest.mark.parametrize("spatial", [(40,), (6, 7), (4, 3, 5)])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_image_gets_the_backgrounds_of_others_and_gives_its_own(spatial, channels):
    images, masks = cohort(*spatial, channels=channels)
    network = Recorder()
    background_swap_consistency(network, batches(images, masks), n_swaps=3)
    original, rounds = network.swapped(12, 5, n_swaps=3)
    assert torch.equal(original, images)
    donors = [donors_of(images, masks, swapped) for swapped in rounds]
    assert all(len(found) == 1 for swap in donors for found in swap)
    table = torch.tensor(donors)[..., 0]  # swaps, images
    for swap in table:
        assert sorted(swap.tolist()) == list(range(12))  # each donates once
        assert (swap != torch.arange(12)).all()
    assert all(len(set(table[:, i].tolist())) == 3 for i in range(12))


def test_where_no_other_image_has_background_the_new_one_is_black():
    images = torch.tensor([[[1.0, 2.0, 3.0]], [[4.0, 5.0, 6.0]], [[7.0, 8.0, 9.0]]])
    masks = torch.tensor([[[1, 0, 0]], [[0, 1, 0]], [[0, 1, 0]]])
    network = Recorder()
    background_swap_consistency(network, batches(images, masks), n_swaps=2)
    _, rounds = network.swapped(3, 3, n_swaps=2)
    assert sorted(row[0].tolist() for row in torch.stack([swap[0] for swap in rounds])) == [[1, 0, 6], [1, 0, 9]]
    # the second image gets the first's background, whose region is filled by the third's; and the third's
    assert sorted(row[0].tolist() for row in torch.stack([swap[1] for swap in rounds])) == [[7, 5, 3], [7, 5, 9]]


def test_integers_stay_integers():
    images, masks = cohort(6, 7)
    network = Recorder(nn.Sequential(nn.Flatten(), Decimal()))
    background_swap_consistency(network, batches((100 * images).to(torch.uint8), masks))
    assert all(seen.dtype == torch.uint8 for seen in network.seen)


def test_all_others_can_be_donors():
    images, masks = cohort(6, 7, n=4)
    network = Recorder()
    background_swap_consistency(network, batches(images, masks), n_swaps=3)
    table = torch.tensor([donors_of(images, masks, swapped) for swapped in network.swapped(4, 5, 3)[1]])[..., 0]
    assert [sorted(table[:, i].tolist()) for i in range(4)] == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]
    met = set()
    for seed in range(20):
        network = Recorder()
        background_swap_consistency(network, batches(images, masks), seed=seed)
        met |= {found[0] for found in donors_of(images, masks, network.swapped(4, 5)[1][0])[:1]}
    assert met == {1, 2, 3}


def test_masks_may_differ_between_channels():
    images, _ = cohort(6, 7, channels=2)
    masks = (torch.rand(12, 2, 6, 7, generator=torch.Generator().manual_seed(3)) > 0.5).float()
    masks[0, 1] = 0  # a region in one channel only is a region
    network = Recorder()
    background_swap_consistency(network, batches(images, masks))
    assert all(len(found) == 1 for found in donors_of(images, masks, network.swapped(12, 5)[1][0]))


def test_backgrounds_are_exchanged_before_normalization():
    images, masks = cohort(6, 7)
    plain, scaled, scored = Recorder(), Recorder(), Recorder()
    background_swap_consistency(plain, batches(images, masks))
    background_swap_consistency(scaled, batches(images, masks), normalize=lambda x: x.mul_(2).sub_(1))  # in place
    background_swap_consistency(scored, batches(images, masks), normalize=NormalizeIntensity(channel_wise=True))
    assert not any((image == 0).any() for image in plain.seen)  # where the donor's region was there is no hole
    z_score = NormalizeIntensity()
    for before, after, z in zip(plain.seen, scaled.seen, scored.seen, strict=True):
        torch.testing.assert_close(after, 2 * before - 1)
        torch.testing.assert_close(z, torch.stack([z_score(image) for image in before]))


def test_the_network_sees_plain_tensors_in_evaluation_mode_and_may_spoil_them():
    class Spoiler(Recorder):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits = super().forward(x) + 0  # the head only looks at x in another shape
            x.fill_(-5)
            return logits

    images, masks = cohort(6, 7)
    network, careful = Spoiler().train(), Recorder()
    loader = [{"image": MetaTensor(b["image"]), "mask": MetaTensor(b["mask"])} for b in batches(images, masks)]
    assert background_swap_consistency(network, loader, n_swaps=2) == background_swap_consistency(
        careful, batches(images, masks), n_swaps=2
    )
    assert set(network.states) == {(torch.Tensor, False, False)}
    assert all(torch.equal(a, b) for a, b in zip(network.seen, careful.seen, strict=True))
