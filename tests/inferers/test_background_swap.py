# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from monai_debias.attached import attach, attached, take_apart
from monai_debias.inferers import BackgroundSwapInferer, ISNetInferer
from tests.samples import IMAGE, four_logits

EXAMPLES = {
    BackgroundSwapInferer: [{}, {"inferer": {"_target_": "monai.inferers.SimpleInferer"}}],
    BackgroundSwapInferer.__call__: {
        "inputs": attach(IMAGE, swapped={"rows": torch.tensor([1]), "images": 1 - IMAGE[:1]}),
        "network": four_logits(),
    },
}
ROWS = torch.tensor([0, 2])


@pytest.fixture(name="network")
def fixture_network() -> torch.nn.Module:
    torch.manual_seed(0)
    first = torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU()
    return torch.nn.Sequential(*first, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 3))


def images(**more) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Three images, two of them with other backgrounds, and these attached."""
    generator = torch.Generator().manual_seed(1)
    plain, swapped = torch.rand(3, 1, 8, 8, generator=generator), torch.rand(2, 1, 8, 8, generator=generator)
    return plain, swapped, attach(plain, swapped={"rows": ROWS, "images": swapped}, **more)


def test_both_go_through_the_network_as_one_batch(network):
    plain, swapped, given = images()
    together = network(torch.cat([plain, swapped]))  # batch norm sees five images
    logits, parts = take_apart(BackgroundSwapInferer()(given, network))
    assert torch.equal(logits, together[:3])
    assert torch.equal(parts["swapped"]["logits"], together[3:])
    assert parts["swapped"]["rows"] is ROWS
    assert not torch.allclose(logits, network(plain))


def test_without_swapped_images_it_is_the_inferer_inside(network):
    plain, _, _ = images()
    assert torch.equal(BackgroundSwapInferer()(plain, network), network(plain))
    assert torch.equal(BackgroundSwapInferer()(plain, network.eval()), network(plain))
    none = attach(plain, swapped={"rows": ROWS[:0], "images": plain[:0]})
    logits, parts = take_apart(BackgroundSwapInferer()(none, network.train()))
    assert torch.equal(logits, network(plain))
    assert parts["swapped"]["logits"].shape == (0, 3)


@pytest.mark.parametrize("target", ["selective", "selective_label", "label"])
@pytest.mark.parametrize("rows", [None, torch.tensor([1, 2])], ids=["all", "some"])
def test_an_isnet_explains_the_images_of_the_batch(network, target, rows):
    labels, masks = torch.tensor([2, 0, 1]), torch.ones(3, 1, 8, 8).tril()
    plain, swapped, given = images(explain={"rows": rows, "labels": labels, "masks": masks})
    inferer = ISNetInferer(target)
    torch.manual_seed(0)
    logits, parts = take_apart(BackgroundSwapInferer(inferer)(given, network))
    both = torch.cat([plain, swapped])
    explained = torch.arange(3) if rows is None else rows
    torch.manual_seed(0)  # backgrounds are blended by amounts that are drawn
    alone = inferer(both, network, explained, *(torch.cat([part, part[ROWS]]) for part in (labels, masks)))
    torch.testing.assert_close(parts["heatmap"], attached(alone, "heatmap"))
    torch.testing.assert_close(logits, alone.detach()[:3])
    assert len(parts["heatmap"]) == len(explained)


def test_a_forgotten_loss_or_inferer_is_an_error(network):
    _, _, given = images()
    with pytest.raises(RuntimeError, match=r"'swapped' was taken: .* BackgroundSwapInferer"):
        network(given)
    logits = BackgroundSwapInferer()(given, network)
    with pytest.raises(RuntimeError, match="'swapped' was taken: the training lacks BackgroundConsistencyLoss"):
        torch.nn.CrossEntropyLoss()(logits, torch.tensor([0, 1, 2]))
    _, _, given = images(explain={"rows": None, "labels": torch.tensor([2, 0, 1]), "masks": torch.ones(3, 1, 8, 8)})
    with pytest.raises(RuntimeError, match="'explain' was taken: the training lacks ISNetInferer"):
        BackgroundSwapInferer()(given, network)


def test_images_with_meta_data_give_plain_logits(network):
    plain, swapped, _ = images()
    given = attach(MetaTensor(plain), swapped={"rows": ROWS, "images": swapped})
    assert type(take_apart(BackgroundSwapInferer()(given, network))[0]) is torch.Tensor


def test_swapped_images_of_another_size_are_refused(network):
    plain, _, _ = images()
    given = attach(plain, swapped={"rows": ROWS, "images": torch.rand(2, 1, 9, 8)})
    with pytest.raises(ValueError, match=r"\(2, 1, 9, 8\), those of the batch \(3, 1, 8, 8\): copy them after"):
        BackgroundSwapInferer()(given, network)
