# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.networks.nets import DenseNet
from sklearn.cluster import KMeans
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from monai_debias.metrics.clusters import cluster_r2, cluster_separation
from tests.samples import FEATURES, four_logits

EXAMPLES = {
    cluster_r2: {"features": FEATURES, "n_clusters": 8},
    cluster_separation: {
        "network": four_logits(),
        "loader": [{"image": FEATURES[:20]}, {"image": FEATURES[20:]}],
        "layers": ["input", "0"],
        "n_clusters": 8,
    },
}


def blobs(n_samples: int = 90, n_dims: int = 5, distance: float = 3.0) -> torch.Tensor:
    """Three clusters, in turn."""
    generator = torch.Generator().manual_seed(0)
    centers = distance * torch.randn(3, n_dims, generator=generator)
    return centers.repeat(n_samples // 3, 1) + torch.randn(n_samples, n_dims, generator=generator)


def batches(*spatial: int, n_batches: int = 3, batch_size: int = 8) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [{"image": torch.rand(batch_size - b, 1, *spatial, generator=generator)} for b in range(n_batches)]


def densenet(spatial_dims: int) -> nn.Module:
    torch.manual_seed(0)
    return DenseNet(spatial_dims, 1, 3, init_features=4, growth_rate=2, block_config=(1, 1))


class Both(nn.Module):
    """States of all kinds that cannot be measured, and one that is changed in place after it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.relu, self.unused = nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Linear(4, 4)
        self.two, self.mean, self.arg = Two(), Mean(), Arg()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.linear(x.mul_(2)))
        self.mean(x)
        self.arg(x)
        return self.relu(self.two(x)[0])


class Two(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x + 1, x


class Mean(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(0, keepdim=True)


class Arg(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.argmax(1, keepdim=True)


# ---------------------------------------------------------------- cluster_r2


def test_worked_by_hand():
    line = torch.tensor([[0.0], [1.0], [10.0], [11.0]])
    assert cluster_r2(line, 2) == pytest.approx(100 / 101)  # SST 101 around 5.5, SSW 4 · 0.5²
    assert cluster_r2(line, 3) == pytest.approx(1 - 0.5 / 101)  # one of the pairs is split
    assert cluster_r2(line, 4) == 1
    plane = torch.tensor([[0.0, 0.0], [0.0, 2.0], [6.0, 0.0], [6.0, 2.0]])
    assert cluster_r2(plane, 2) == pytest.approx(36 / 40)


@pytest.mark.parametrize("n_dims", [1, 5, 400])
@pytest.mark.parametrize("n_clusters", [2, 3])
def test_between_over_total_by_another_formula(n_clusters, n_dims):
    x = blobs(n_dims=n_dims, distance=2.0).double().numpy()
    labels = KMeans(n_clusters, n_init=10, random_state=3).fit_predict(x)
    between = sum((labels == k).sum() * np.sum((x[labels == k].mean(0) - x.mean(0)) ** 2) for k in range(n_clusters))
    assert cluster_r2(x, n_clusters, seed=3) == pytest.approx(between / (len(x) * x.var(0).sum()), rel=1e-9)


def test_neither_offset_nor_scale_matters():
    x = blobs().double()
    expected = cluster_r2(x, 3)
    assert 0.5 < expected < 0.99
    for scale, offset in ((1e-150, 0.0), (1e150, 0.0), (-2.0, 1e6), (1.0, torch.arange(5.0) * 100)):
        assert cluster_r2(scale * x + offset, 3) == pytest.approx(expected, rel=1e-6)


def test_the_sharper_the_clusters_the_nearer_to_one():
    values = [cluster_r2(blobs(distance=distance), 3) for distance in (0.0, 1.0, 3.0, 10.0, 1e4)]
    assert values == sorted(values)
    assert values[0] < 0.4
    assert 1 - 1e-6 < values[-1] <= 1
    points = torch.eye(3).repeat(20, 1)
    assert cluster_r2(points, 3) == pytest.approx(1, abs=1e-12)


def test_types_shapes_and_seed():
    x = blobs(n_dims=12)
    expected = cluster_r2(x, 3)
    assert type(expected) is float
    for same in (x.numpy(), x.double(), MetaTensor(x), x.reshape(-1, 2, 3, 2), x.clone().requires_grad_()):
        assert cluster_r2(same, 3) == pytest.approx(expected, rel=1e-6)
    assert cluster_r2(x.bfloat16(), 3) == pytest.approx(expected, abs=0.01)
    noise = torch.randn(60, 20, generator=torch.Generator().manual_seed(0))  # of no clusters: the start matters
    values = [cluster_r2(noise, 8, seed) for seed in (0, 0, 1, 2)]
    assert values[0] == values[1]
    assert len(set(values)) == 3
    assert np.ptp(values) < 0.05  # but not much


def test_the_luck_of_a_start_does_not_show():
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(8, 2, generator=generator).repeat(10, 1) + 0.003 * torch.randn(80, 2, generator=generator)
    total = (x - x.mean(0)).square().sum().item()
    single = [1 - KMeans(8, n_init=1, random_state=seed).fit(x).inertia_ / total for seed in range(8)]
    values = [cluster_r2(x, 8, seed) for seed in range(8)]
    assert np.ptp(values) < 1e-9 < 1e-4 < np.ptp(single)


def test_bad_features_get_a_clear_error():
    x = blobs()
    with pytest.raises(ValueError, match=r"n_clusters is 91, expected 2 to .* which is 90"):
        cluster_r2(x, 91)
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="NaN or infinite"):
            cluster_r2(x.index_fill(0, torch.tensor([4]), bad), 3)
    for value in (0.0, 0.1, 1e30):
        with pytest.raises(ValueError, match="same for all samples, so that SST is 0"):
            cluster_r2(torch.full((7, 3), value), 2)
    for shape in ((7,), (), (7, 0), (0, 7)):
        with pytest.raises(ValueError, match=r"expected features of shape \(N, ...\)"):
            cluster_r2(torch.zeros(shape), 2)
    with pytest.raises(TypeError, match=r"floating-point type, got torch\.int64"):
        cluster_r2(torch.arange(12).reshape(6, 2), 2)


# ---------------------------------------------------------------- cluster_separation


@pytest.mark.parametrize("spatial", [(64,), (32, 32), (16, 16, 16)])
def test_every_state_is_that_of_an_evaluation_pass(spatial):
    network, loader = densenet(len(spatial)).train(), batches(*spatial)
    layers = ["class_layers.out", "input", "features.denseblock1", "features"]
    result = cluster_separation(network, loader, layers, 3)
    assert list(result) == layers
    plain = copy.deepcopy(network).eval()
    images = torch.cat([batch["image"] for batch in loader])
    with torch.no_grad():
        features, logits = plain.features(images), plain(images)
    expected = {"input": images, "features": features, "class_layers.out": logits}
    for name, state in expected.items():
        assert result[name] == pytest.approx(cluster_r2(state, 3), rel=1e-4)
    assert len(set(result.values())) == 4
    with_meta = [{"image": MetaTensor(batch["image"])} for batch in loader]
    assert cluster_separation(network, with_meta, layers, 3) == result
    arrays = [{"scan": batch["image"].numpy()} for batch in loader]
    assert cluster_separation(network, arrays, layers, 3, image_key="scan") == result


def test_states_are_taken_before_others_change_them():
    torch.manual_seed(0)
    network, x = Both(), torch.randn(12, 4)
    result = cluster_separation(network, [{"image": x.clone()}], ["input", "linear"], 2)
    assert result["input"] == cluster_r2(x, 2)
    assert result["linear"] == pytest.approx(cluster_r2(network.linear(2 * x), 2))
    assert result["linear"] != pytest.approx(cluster_r2(network.linear(2 * x).relu(), 2), abs=1e-3)


def test_the_network_sees_plain_tensors_without_gradients():
    seen = []

    class Spy(nn.Flatten):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append((type(x), torch.is_grad_enabled(), self.training))
            return super().forward(x)

    cluster_separation(Spy(), [{"image": MetaTensor(torch.rand(6, 1, 4))}], ["input"], 2)
    assert seen == [(torch.Tensor, False, False)]


@pytest.mark.parametrize("fails", [False, True])
def test_the_network_is_left_as_it_was(fails):
    network, loader = densenet(2).train(), batches(32, 32)
    network.features.norm0.eval()  # frozen
    network.class_layers.eval()
    modes = [module.training for module in network.modules()]
    state = copy.deepcopy(network.state_dict())
    if fails:
        with pytest.raises(RuntimeError, match="channels"):
            cluster_separation(network, [*loader, {"image": torch.zeros(2, 5, 32, 32)}], ["features"], 2)
        with pytest.raises(ValueError, match="no layers"):
            cluster_separation(network, loader, ["head"], 2)
    else:
        cluster_separation(network, loader, ["features"], 2)
    assert len(set(modes)) == 2
    assert [module.training for module in network.modules()] == modes
    assert not any(module._forward_hooks for module in network.modules())
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())


def test_training_goes_on_as_without_a_measurement():
    samples = [{"image": image} for batch in batches(32, 32) for image in batch["image"]]

    def train(measures: bool) -> list[float]:
        network, loader = densenet(2), DataLoader(Dataset(samples), batch_size=7, shuffle=True)
        measured = DataLoader(Dataset(samples), batch_size=5)  # to make one draws random numbers, too
        optimizer, losses = torch.optim.SGD(network.parameters(), 0.1), []
        torch.manual_seed(5)
        for _ in range(2):
            for batch in loader:
                optimizer.zero_grad()
                loss = network(batch["image"]).square().mean()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
                if measures:
                    cluster_separation(network, measured, ["features"], 2)
        return losses

    assert train(True) == train(False)


def test_the_size_of_batches_does_not_matter_and_the_seed_decides():
    network, images = densenet(2), torch.rand(30, 1, 32, 32, generator=torch.Generator().manual_seed(2))
    one, many = ([{"image": part} for part in images.split(size)] for size in (30, 7))
    first = cluster_separation(network, one, ["input", "features"], 4)
    assert cluster_separation(network, one, ["input", "features"], 4) == first
    assert cluster_separation(network, many, ["input", "features"], 4) == pytest.approx(first, rel=1e-4)
    assert any(cluster_separation(network, one, ["input", "features"], 4, seed=s) != first for s in (1, 2, 3))


def test_distributed_networks_have_the_names_of_their_modules(tmp_path):
    network, loader = densenet(2), batches(32, 32)
    expected = cluster_separation(network, loader, ["input", "features"], 2)
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        wrapped = DistributedDataParallel(network)
        assert cluster_separation(wrapped, loader, ["input", "features"], 2) == expected
        assert all(module.training for module in wrapped.modules())
    finally:
        torch.distributed.destroy_process_group()


def test_half_precision_is_measured_in_single():
    network, loader = densenet(2), batches(32, 32)
    expected = cluster_separation(network, loader, ["features"], 2)
    half = [{"image": batch["image"].bfloat16()} for batch in loader]
    assert cluster_separation(network.bfloat16(), half, ["features"], 2) == pytest.approx(expected, abs=0.05)


def test_bad_states_get_a_clear_error():
    network, loader = Both(), [{"image": torch.rand(6, 4)}]
    for layers, error, message in (
        (
            ["layer7", "module.linear"],
            ValueError,
            r"no layers \['layer7', 'module.linear'\]; it has linear, relu",
        ),
        (["two"], ValueError, "'two' must return one tensor, once"),
        (["relu"], ValueError, "'relu' must return one tensor, once"),
        (["unused"], ValueError, "'unused' took no part"),
        (["mean"], ValueError, r"'mean' returned \(1, 4\) of torch.float32 for a batch of 6"),
        (["arg"], ValueError, r"'arg' returned \(6, 1\) of torch.int64"),
    ):
        with pytest.raises(error, match=message):
            cluster_separation(network, loader, layers, 2)


def test_bad_loaders_get_a_clear_error():
    network, x = nn.Identity(), torch.rand(6, 1, 4)
    for loader, error, message in (
        ([], ValueError, "'input' has no R²: the loader is empty"),
        ([x], TypeError, "mappings with 'image', got Tensor"),
        ([{"scan": x}], KeyError, r"no 'image', it has \['scan'\]: set image_key"),
        ([{"image": x[:, 0, 0]}], ValueError, r"expected a batch .* got \(6,\)"),
        ([{"image": ["a.png"]}], ValueError, r"expected a batch .* got list"),
        ([{"image": x}, {"image": x[..., :3]}], ValueError, r"differ in shape: \[\(1, 3\), \(1, 4\)\]"),
        ([{"image": x * float("nan")}], ValueError, "'input': features are NaN or infinite"),
        ([{"image": x[:1]}], ValueError, "'input': n_clusters is 2, .* number of samples, which is 1"),
    ):
        with pytest.raises(error, match=message):
            cluster_separation(network, loader, ["input"], 2)
