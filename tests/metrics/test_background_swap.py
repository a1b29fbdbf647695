# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.networks.nets import DenseNet
from monai.transforms import NormalizeIntensity
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.overrides import TorchFunctionMode

from monai_debias.metrics.background_swap import background_swap_consistency
from monai_debias.transforms import backmix
from tests.samples import FEATURES, four_logits

EXAMPLES = {
    background_swap_consistency: {
        "network": four_logits(),
        "loader": [{"image": FEATURES.float(), "mask": torch.eye(8).expand(60, 1, 8, 8)}],
    }
}


def cohort(*spatial: int, n: int = 12, channels: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(n, channels, *spatial, generator=generator) + 0.1  # nothing is black by itself
    masks = (torch.rand(n, 1, *spatial, generator=generator) > 0.6).float()
    masks.flatten(1)[:, 0] = 1
    return images, masks


def batches(images: torch.Tensor, masks: torch.Tensor, size: int = 5) -> list[dict[str, torch.Tensor]]:
    return [{"image": i, "mask": m} for i, m in zip(images.split(size), masks.split(size), strict=True)]


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


# ---------------------------------------------------------------- what is shown


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


# ---------------------------------------------------------------- what is measured


def pair(background: float, other: float) -> list[dict[str, torch.Tensor]]:
    """Two images of a region, 0.5, and one background pixel."""
    images = torch.tensor([[[0.5, background]], [[0.5, other]]])
    return [{"image": images, "mask": torch.tensor([[[1, 0]], [[1, 0]]])}]


class Logits(nn.Module):
    """Logits as a function of the background pixel b."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack(self.function(x[:, 0, 1]), 1)


def test_softmax_worked_by_hand():
    # three classes with the probabilities (1, 2, 1 + 2) / 6 and (1, 6, 1 + 2) / 10 for backgrounds 2 and 6
    network = Logits(lambda b: [b * 0, b.log(), b * 0 + math.log(3)])
    result = background_swap_consistency(network, pair(2.0, 6.0))
    assert result.consistency == 0
    assert result.probability_change == pytest.approx(((3 / 6 - 3 / 10) + (6 / 10 - 2 / 6)) / 2)
    result = background_swap_consistency(network, pair(1.0, 2.0))  # class 2 in both
    assert result.consistency == 1
    assert result.probability_change == pytest.approx(3 / 5 - 3 / 6)


def test_labels_worked_by_hand():
    network = Logits(lambda b: [b, -2 * b, b * 0 + 1, b + 3])
    p = torch.sigmoid(torch.tensor([[1.0, -2.0, 1.0, 4.0], [-1.0, 2.0, 1.0, 2.0]]))
    result = background_swap_consistency(network, pair(1.0, -1.0), task="multi_label")
    assert result.consistency == 0.5  # two of four labels
    assert result.probability_change == pytest.approx((p[0] - p[1]).abs().mean().item())
    assert background_swap_consistency(network, pair(1.0, -1.0)).consistency == 0.0  # as classes: 3, then 1 … and back


def test_one_logit_is_a_label():
    network = Logits(lambda b: [b])
    change = (torch.sigmoid(torch.tensor(1.0)) - torch.sigmoid(torch.tensor(-3.0))).item()
    for task in ("binary", "multi_label"):
        result = background_swap_consistency(network, pair(1.0, -3.0), task=task)
        assert result == (0.0, pytest.approx(change))
        for stays in ((1.0, 3.0), (-1.0, -3.0), (0.0, 1.0)):  # 0.5 is a yes
            assert background_swap_consistency(network, pair(*stays), task=task).consistency == 1
        assert background_swap_consistency(network, pair(0.0, -1e-3), task=task).consistency == 0
    with pytest.raises(ValueError, match="there are 1 outputs, but the task 'softmax' has 2 or more"):
        background_swap_consistency(network, pair(1.0, 2.0))


def test_thresholds_decide_what_a_change_is():
    network = Logits(lambda b: [b, b])  # sigmoid(1) = 0.73, sigmoid(2) = 0.88
    for thresholds, consistency in ((0.5, 1.0), (0.8, 0.0), ([0.5, 0.8], 0.5)):
        found = background_swap_consistency(network, pair(1.0, 2.0), task="multi_label", thresholds=thresholds)
        assert found.consistency == consistency


def test_decisions_are_those_of_the_logits_where_probabilities_round_to_a_tie():
    network = Logits(lambda b: [b * 0, b])
    assert background_swap_consistency(network, pair(1e-9, -1e-9)).consistency == 0


def test_probabilities_of_half_precision_are_single():
    network = Logits(lambda b: [b.bfloat16()])
    change = (torch.sigmoid(torch.tensor(1.0)) - torch.sigmoid(torch.tensor(-3.0))).item()
    result = background_swap_consistency(network, pair(1.0, -3.0), task="binary")
    assert result == (0.0, pytest.approx(change, abs=1e-6))


def test_a_share_of_images():
    images = torch.tensor([0.0, 0.0, 0.0, 1.0]).reshape(4, 1, 1).repeat(1, 1, 2)
    loader = [{"image": images, "mask": torch.tensor([1, 0]).expand(4, 1, 2)}]
    network = Logits(lambda b: [b - 0.5])
    change = (torch.sigmoid(torch.tensor(0.5)) - torch.sigmoid(torch.tensor(-0.5))).item()
    # the one with a background gets none, and one gets its
    for n_swaps, size in ((1, 4), (2, 4), (3, 4), (3, 3), (3, 1)):
        parts = batches(loader[0]["image"], loader[0]["mask"], size)
        result = background_swap_consistency(network, parts, n_swaps=n_swaps, task="binary")
        assert result.consistency == 0.5
        assert result.probability_change == pytest.approx(0.5 * change)


def test_who_looks_at_the_region_only_is_consistent_and_who_looks_at_the_background_is_not():
    generator = torch.Generator().manual_seed(0)
    images, masks = torch.rand(60, 1, 8, 8, generator=generator), torch.zeros(60, 1, 8, 8)
    masks[..., 2:6, 2:6] = 1

    def network(region: torch.Tensor) -> nn.Module:
        weight = torch.randn(3, 64, generator=torch.Generator().manual_seed(1)) * region.flatten()
        linear = nn.Linear(64, 3, bias=False)
        linear.weight.data = weight
        return nn.Sequential(nn.Flatten(), linear)

    loader = batches(images, masks, 16)
    assert background_swap_consistency(network(masks[0]), loader, n_swaps=4) == (1.0, 0.0)
    background = background_swap_consistency(network(1 - masks[0]), loader, n_swaps=4)
    assert background.consistency < 0.8
    assert background.probability_change > 0.1


def test_the_seed_decides_and_batches_do_not():
    images, masks = cohort(8, 8, n=30)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    results = [background_swap_consistency(network, batches(images, masks), seed=seed) for seed in (0, 0, 1, 2)]
    assert results[0] == results[1]
    assert len(set(results)) == 3
    whole = background_swap_consistency(network, batches(images, masks, 30))
    assert whole == pytest.approx(results[0], abs=1e-6)
    other = [{"scan": b["image"].numpy(), "roi": b["mask"].numpy().astype(bool)} for b in batches(images, masks)]
    assert background_swap_consistency(network, other, image_key="scan", mask_key="roi") == results[0]


# ---------------------------------------------------------------- what is left behind


def densenet() -> nn.Module:
    torch.manual_seed(0)
    return DenseNet(2, 1, 3, init_features=4, growth_rate=2, block_config=(1, 1), dropout_prob=0.5)


@pytest.mark.parametrize("fails", [False, True])
def test_the_network_and_the_data_are_left_as_they_were(fails):
    images, masks = cohort(32, 32)
    network, loader = densenet().train(), batches(images, masks)
    network.features.norm0.eval()  # frozen
    modes = [module.training for module in network.modules()]
    state, before = copy.deepcopy(network.state_dict()), copy.deepcopy(loader)
    single = DataLoader(Dataset([{"image": images[i], "mask": masks[i]} for i in range(12)]))
    random = torch.get_rng_state()
    if fails:
        wrong = [{"image": images.repeat(1, 2, 1, 1), "mask": masks}]
        with pytest.raises(RuntimeError, match="channels"):
            background_swap_consistency(network, wrong)
    else:
        first = background_swap_consistency(network, loader)
        assert background_swap_consistency(network, loader) == first  # no dropout
        assert background_swap_consistency(network, single) == pytest.approx(first, abs=1e-6)
    assert len(set(modes)) == 2
    assert [module.training for module in network.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())
    assert all(torch.equal(a[key], b[key]) for a, b in zip(loader, before, strict=True) for key in a)


def test_distributed_networks_run_without_the_wrapper(tmp_path, monkeypatch):
    network, loader = densenet(), batches(*cohort(32, 32))
    expected = background_swap_consistency(network, loader)
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        wrapped = DistributedDataParallel(network)
        monkeypatch.setattr(DistributedDataParallel, "forward", None)  # it may wait for other processes
        assert background_swap_consistency(wrapped, loader) == expected
        assert all(module.training for module in wrapped.modules())
    finally:
        torch.distributed.destroy_process_group()


class Operations(TorchFunctionMode):
    """Counts the operations of torch."""

    count = 0

    def __torch_function__(self, function: Callable, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        self.count += 1
        return function(*args, **(kwargs or {}))


def test_many_images_are_swapped_batch_by_batch():
    """As many operations for a batch of any size: an image at a time would make a large cohort slow."""
    counts = []
    for n, batch_size in ((24, 8), (192, 64), (48, 8)):
        loader = batches(*cohort(8, 8, n=n), batch_size)
        with Operations() as operations:
            background_swap_consistency(nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten()), loader)
        counts.append(operations.count)
    assert counts[0] == counts[1]
    assert counts[2] <= 2 * counts[0]


# ---------------------------------------------------------------- what is refused


def test_bad_data_gets_a_clear_error():
    images, masks = cohort(6, 7, n=4)
    spoilt = images.clone()
    spoilt[2, 0, 3, 3] = float("nan")
    none = masks.index_fill(0, torch.tensor([1, 3]), 0)
    good = {"image": images, "mask": masks}
    for loader, error, message in (
        ([], ValueError, "the loader is empty"),
        ([images], TypeError, "mappings with 'image', got Tensor"),
        ([{"scan": images, "mask": masks}], KeyError, r"no 'image', it has \['mask', 'scan'\]: set image_key"),
        ([{"image": images}], KeyError, r"no 'mask', it has \['image'\]"),
        ([{"image": ["a.png"], "mask": masks}], ValueError, r"expected a batch .* as 'image', got list"),
        (
            [{"image": images[:, 0, 0], "mask": masks}],
            ValueError,
            r"images of batch 0 are \(4, 7\), expected \(B, C, sp",
        ),
        ([{"image": images[:0], "mask": masks[:0]}], ValueError, r"images of batch 0 are \(0, 1, 6, 7\)"),
        ([good, {"image": images[..., :5], "mask": masks[..., :5]}], ValueError, r"batch 1 .* expected \(B, 1, 6, 7\)"),
        ([good, {"image": spoilt, "mask": masks}], ValueError, "images of batch 1 have NaN or infinite"),
        (
            [{"image": images, "mask": masks[:3]}],
            ValueError,
            r"masks of batch 0 are \(3, 1, 6, 7\) for images .* expec",
        ),
        ([{"image": images, "mask": torch.ones(4)}], ValueError, r"masks of batch 0 are \(4,\) for images"),
        ([{"image": images, "mask": masks[:, 0]}], ValueError, r"masks of batch 0 are \(4, 6, 7\)"),
        ([{"image": images, "mask": masks.repeat(1, 2, 1, 1)}], ValueError, r"masks of batch 0 are \(4, 2, 6, 7\)"),
        ([{"image": images, "mask": masks[..., :5]}], ValueError, r"masks of batch 0 are \(4, 1, 6, 5\)"),
        ([good, {"image": images, "mask": masks / 2}], ValueError, "mask of batch 1 has values other than 0 and 1"),
        ([{"image": images, "mask": none}], ValueError, r"mask of batch 0 is 0 everywhere in row\(s\) \[1, 3\]"),
        ([{"image": images, "mask": 0 * masks}], ValueError, "mask of batch 0 is 0 everywhere"),
        ([{"image": images[:1], "mask": masks[:1]}], ValueError, "only one image with a mask, .* at least 2"),
    ):
        with pytest.raises(error, match=message):
            background_swap_consistency(nn.Flatten(), loader)
    with pytest.raises(ValueError, match=r"n_swaps is 4, expected 1 to .*, which is 3"):
        background_swap_consistency(nn.Flatten(), [good], n_swaps=4)


def test_bad_networks_get_a_clear_error():
    loader = batches(*cohort(6, 7))
    for network, message in (
        (nn.Identity(), r"logits of shape \(5, K\), got \(5, 1, 6, 7\)"),
        (nn.Flatten(0), r"logits of shape \(5, K\), got \(210,\)"),
        (nn.Flatten(0, 2), r"logits of shape \(5, K\), got \(30, 7\)"),
        (Pair(), "got tuple"),
        (Nothing(), r"got \(5, 0\)"),
        (nn.Sequential(nn.Flatten(), nn.Threshold(9, float("nan"))), "NaN or infinite logits"),
    ):
        with pytest.raises(ValueError, match=message):
            background_swap_consistency(network, loader)
    with pytest.raises(ValueError, match=r"normalize made \(6, 7\) of a batch \(5, 1, 6, 7\)"):
        background_swap_consistency(nn.Flatten(), loader, normalize=lambda x: x[0, 0])


class Pair(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x.flatten(1), x


class Nothing(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)[:, :0]
