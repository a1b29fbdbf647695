# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.networks.nets import ResNet

from monai_debias.audit import attention, decisions, robustness
from monai_debias.metrics import background_relevance, pointing_game
from monai_debias.relevance import LRP
from tests.samples import FEATURES, IMAGE, four_logits

EXAMPLES = {
    attention: {"network": four_logits(), "loader": [{"image": IMAGE, "mask": torch.eye(8).expand(2, 1, 8, 8)}]},
    decisions: {"network": four_logits(), "loader": [{"image": FEATURES[:20]}, {"image": FEATURES[20:]}]},
    robustness: {
        "network": four_logits(),
        "splits": {name: [{"image": IMAGE, "label": torch.tensor([0, 1])}] for name in ("same", "reversed")},
    },
}


class Brightness(torch.nn.Module):
    """Decides for the second class where the first value of an image is above a half; keeps what it has seen."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen = x
        first = x.flatten(1)[:, 0]
        return torch.stack([0.5 - first, first - 0.5], 1)


def batches(values: list[float], labels: list[int], size: int = 3) -> list[dict[str, torch.Tensor]]:
    image, label = torch.tensor(values).reshape(-1, 1, 1, 1), torch.tensor(labels)
    return [{"image": x, "label": y} for x, y in zip(image.split(size), label.split(size), strict=True)]


def test_groups_and_gap_by_hand():
    labels = [0, 0, 1, 1]
    splits = {"same": [0.0, 0.0, 1.0, 1.0], "none": [0.0, 1.0, 0.0, 0.0], "deceiving": [1.0, 0.0, 1.0, 1.0]}
    found = robustness(Brightness(), {name: batches(values, labels) for name, values in splits.items()})
    assert found.accuracy == {"same": 1.0, "none": 0.25, "deceiving": 0.75}
    assert found.worst_group == 0.0  # of the second class without a mark
    assert found.gap == 0.25


def test_attention_of_a_linear_network_by_hand():
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2, bias=False))
    network[1].weight.data = torch.tensor([[3.0, 0.0, -1.0, 0.0], [0.0, 2.0, 0.0, 2.0]])
    # relevance 3, 0, -1, 0 of class 0 for the first, 0, 2, 0, 4 of class 1 for the second, and none for the third
    image = torch.tensor([[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 2.0], [0.0, 0.0, 0.0, 0.0]]).reshape(3, 1, 2, 2)
    mask = torch.tensor([1, 1, 0, 0]).reshape(1, 1, 2, 2).expand(3, -1, -1, -1)
    loader = [{"image": image[:1], "mask": mask[:1]}, {"image": image[1:], "mask": mask[1:]}]
    found = attention(network, loader)
    assert found.background_relevance == pytest.approx((1 / 4 + 4 / 6) / 2)
    assert found.pointing_game == 0.5
    with pytest.raises(ValueError, match="no image with a heatmap"):
        attention(network, [{"image": image[2:], "mask": mask[2:]}])


def test_a_volume_and_a_loader_of_monai():
    torch.manual_seed(0)
    network = ResNet("basic", [1, 1, 1, 1], [4, 4, 8, 8], spatial_dims=3, n_input_channels=1, num_classes=3).train()
    image = torch.rand(5, 1, 16, 16, 16)
    mask = torch.zeros(5, 1, 16, 16, 16)
    mask[..., 4:12] = 1
    items = [{"image": x, "label": n % 3, "mask": m} for n, (x, m) in enumerate(zip(image, mask, strict=True))]
    loader = DataLoader(Dataset(items), batch_size=2)
    statistics = network.bn1.running_mean.clone()
    decided, found = decisions(network, loader), attention(network, loader)
    assert network.training
    assert torch.equal(network.bn1.running_mean, statistics)
    network.eval()
    logits, relevance = LRP(network)(image, target=decided)
    assert torch.equal(decided, logits.argmax(1))
    assert found.background_relevance == pytest.approx(
        background_relevance(relevance[:, 0], mask).mean().item(), rel=1e-3
    )
    assert found.pointing_game == pytest.approx(pointing_game(relevance[:, 0], mask).float().mean().item())


def test_images_are_normalised_and_stay_as_they_are():
    network, loader = Brightness(), batches([0.2, 0.8], [0, 1])
    assert decisions(network, loader, normalize=lambda x: x.mul_(10)).tolist() == [1, 1]
    assert network.seen.flatten().tolist() == pytest.approx([2.0, 8.0])
    assert loader[0]["image"].flatten().tolist() == pytest.approx([0.2, 0.8])


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        (torch.zeros(2, 1, 1, 1), TypeError, "must give mappings with 'image', got Tensor"),
        ({"scan": torch.zeros(2, 1, 1, 1)}, KeyError, "has no 'image', it has"),
        ({"image": torch.full((2, 1, 1, 1), torch.nan)}, ValueError, "NaN or infinite logits"),
    ],
)
def test_unusable_batches(batch, error, message):
    with pytest.raises(error, match=message):
        decisions(Brightness(), [batch])


def test_unusable_splits():
    good = batches([0.0, 1.0], [0, 1])
    with pytest.raises(ValueError, match="expected a dictionary of 2 or more"):
        robustness(Brightness(), {"same": good})
    with pytest.raises(ValueError, match="the loader is empty"):
        robustness(Brightness(), {"same": good, "none": []})
    with pytest.raises(ValueError, match="expected indices of classes"):
        robustness(Brightness(), {"same": good, "none": [{**good[0], "label": torch.eye(2)}]})
    with pytest.raises(ValueError, match="'none' has 1 labels for 2 images"):
        robustness(Brightness(), {"same": good, "none": [{**good[0], "label": torch.tensor([0])}]})
    with pytest.raises(ValueError, match=r"logits of shape \(2, K\) with K of at least 2, got \(2, 1\)"):
        decisions(torch.nn.Flatten(), good)
