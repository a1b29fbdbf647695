# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from monai_debias.inferers import ClipInferer
from tests.samples import four_logits

EXAMPLES = {
    ClipInferer: [{"task": task, "frame_batch_size": 3} for task in ("softmax", "multi_label", "binary")],
    ClipInferer.__call__: {"inputs": torch.arange(2 * 64 * 5.0).reshape(2, 1, 8, 8, 5), "network": four_logits()},
}


@pytest.fixture(name="network")
def fixture_network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())


def test_probabilities_not_logits_are_averaged(network):
    clips = 20 * torch.rand(3, 1, 8, 8, 7, generator=torch.Generator().manual_seed(1))
    frames = torch.stack([network(clips[..., t]).softmax(1) for t in range(7)])
    result = ClipInferer(frame_batch_size=4)(clips, network).softmax(1)
    assert torch.allclose(result, frames.mean(0), atol=1e-6)
    logits = torch.stack([network(clips[..., t]) for t in range(7)]).mean(0).softmax(1)
    assert not torch.allclose(result, logits, atol=1e-6)


@pytest.mark.parametrize("task", ["binary", "multi_label"])
def test_of_a_sigmoid_too(network, task):
    clips = 20 * torch.rand(3, 1, 8, 8, 7, generator=torch.Generator().manual_seed(1))
    frames = torch.stack([network(clips[..., t]).sigmoid() for t in range(7)])
    assert torch.allclose(ClipInferer(task, frame_batch_size=4)(clips, network).sigmoid(), frames.mean(0), atol=1e-6)


def test_a_single_frame_is_a_clip_of_one(network):
    image = torch.rand(2, 1, 8, 8)
    assert torch.allclose(ClipInferer()(image, network).softmax(1), network(image).softmax(1), atol=1e-6)


def test_confident_frames_do_not_overflow():
    result = ClipInferer()(
        torch.full((1, 1, 4, 4, 2), 1e4), lambda x: x.mean((1, 2, 3))[:, None] * torch.tensor([[1, -1]])
    )
    assert torch.allclose(result.softmax(1), torch.tensor([[1.0, 0.0]]))


def test_bad_input_gets_a_clear_error(network):
    with pytest.raises(ValueError, match=r"got shape \(1, 8, 8\)"):
        ClipInferer()(torch.rand(1, 8, 8), network)
    with pytest.raises(ValueError, match="frame_batch_size"):
        ClipInferer(frame_batch_size=0)
