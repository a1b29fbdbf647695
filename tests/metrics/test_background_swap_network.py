# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks and data of an exchange: left as they were, wrapped, many, and those that are refused."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.networks.nets import DenseNet
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.overrides import TorchFunctionMode

from monai_debias.metrics.background_swap import background_swap_consistency
from tests.metrics.swap_batches import batches, cohort


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
