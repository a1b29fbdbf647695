# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The mixups of whole batches: images with their meta data, masks, flags and labels."""

from __future__ import annotations

import copy

import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor, decollate_batch, list_data_collate
from torch import nn
from torch.nn import functional as F  # noqa: N812

from monai_debias.losses import MixupLoss
from monai_debias.transforms import MixBatch
from monai_debias.transforms.mix_batch_dictionary import MixBatchd
from tests.transforms import test_mix_batch

EXAMPLES = {
    MixBatchd: [{"keys": "image", "flag_key": "use_mask", **config} for config in test_mix_batch.EXAMPLES[MixBatch]]
}


INDEX = torch.tensor([0, 1, 2, 1])
NAN = float("nan")


def meta_batch(n: int = 4) -> dict:
    samples = [{"image": MetaTensor(torch.rand(1, 6, 5), meta={"id": i}), "label": i % 3} for i in range(n)]
    return list_data_collate(samples)


@pytest.mark.parametrize("flow", ["append", "replace"])
@pytest.mark.parametrize("layers", [("input",), ("0",), ("input", "0")], ids="+".join)
def test_meta_data_are_those_of_the_unmixed_images(layers, flow):
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3))
    mixup = MixBatchd("image", network=network, layers=layers, flow=flow, num_classes=3).set_random_state(0)
    given = meta_batch()
    before = given["image"].clone()
    mixed = mixup(given)
    image = mixed["image"]
    assert isinstance(image, MetaTensor)
    assert image.meta["id"].tolist() == [0, 1, 2, 3]
    assert [item.meta["id"] for item in decollate_batch(image)[:4]] == [0, 1, 2, 3]
    assert torch.equal(given["image"].as_tensor(), before.as_tensor())
    assert given["label"].tolist() == [0, 1, 2, 0]
    logits = network(image)
    assert len(logits) == len(mixed["label"])
    plain = nn.Sequential(*network)
    assert torch.allclose(logits.as_subclass(torch.Tensor)[:4], plain(before.as_tensor()), atol=1e-6) == (
        flow == "append"
    )
    assert [item.meta["id"] for item in decollate_batch(logits)[:4]] == [0, 1, 2, 3]


def masked_batch(n: int = 4) -> dict:
    generator = torch.Generator().manual_seed(2)
    given = {key: torch.rand(n, 1, 6, 5, generator=generator) for key in ("image", "second", "mask")}
    given["mask"] = (given["mask"] > 0.5).float()
    return given | {"label": INDEX[:n], "has_mask": torch.tensor([True, False, True, True])[:n], "name": ["a"] * n}


@pytest.mark.parametrize("flow", ["append", "replace"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8, torch.bool])
def test_several_images_masks_and_flags(flow, dtype):
    given = masked_batch()
    given["mask"] = given["mask"].to(dtype)
    before = copy.deepcopy(given)
    mixup = MixBatchd(["image", "second"], flow=flow, num_classes=3, mask_key="mask").set_random_state(1)
    mixed = mixup(given)
    weight, order = mixup.transform.mixtures[0][1:]
    assert order[1] != 1  # so that some flags differ

    def joined(rows: torch.Tensor, new: list) -> torch.Tensor:
        return torch.cat([rows, torch.stack(new)]) if flow == "append" else torch.stack(new)

    for key in ("image", "second"):
        x = given[key]
        assert torch.allclose(mixed[key], joined(x, [weight * x[i] + (1 - weight) * x[j] for i, j in enumerate(order)]))
    mask, flag = given["mask"], given["has_mask"]
    union = joined(mask, [((mask[i] + mask[j]) > 0).to(dtype) for i, j in enumerate(order)])
    both = joined(flag, [torch.tensor(bool(flag[i] and flag[j])) for i, j in enumerate(order)])
    assert mixed["mask"].dtype == dtype
    assert torch.equal(mixed["mask"], union)
    assert mixed["has_mask"].dtype == torch.bool
    assert torch.equal(mixed["has_mask"], both)
    assert mixed["name"] is given["name"]
    for key, value in before.items():
        assert torch.equal(given[key], value) if isinstance(value, torch.Tensor) else given[key] == value


@pytest.mark.parametrize("flow", ["append", "replace"])
def test_masks_stay_where_only_hidden_states_are_mixed(flow):
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3))
    given = masked_batch()
    mixed = MixBatchd("image", network=network, layers=["0"], flow=flow, num_classes=3, mask_key="mask")(given)
    for key in ("image", "mask", "has_mask"):
        assert mixed[key] is given[key]
    assert len(mixed["label"]) == len(network(mixed["image"])) == (8 if flow == "append" else 4)


def test_random_selection_mixes_masks_only_with_the_images():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3))
    mixup = MixBatchd(
        "image", network=network, layers=["input", "0"], select="random", num_classes=3, mask_key="mask"
    ).set_random_state(0)
    seen = set()
    for _ in range(10):
        given = masked_batch()
        del given["has_mask"]
        mixed = mixup(given)
        layer = mixup.transform.mixtures[0].layer
        rows = 8 if layer == "input" else 4
        assert len(mixed["image"]) == len(mixed["mask"]) == rows
        assert len(mixed["label"]) == len(network(mixed["image"])) == 8
        assert "has_mask" not in mixed
        seen.add(layer)
    assert seen == {"input", "0"}


def test_batches_that_lack_something():
    given, mixup = masked_batch(), MixBatchd("image", num_classes=3, mask_key="mask")
    for key in ("image", "label"):
        with pytest.raises(KeyError, match=key):
            mixup({k: v for k, v in given.items() if k != key})
    assert len(mixup({k: v for k, v in given.items() if k != "mask"})["has_mask"]) == 8
    lenient = MixBatchd(["absent", "image"], num_classes=3, allow_missing_keys=True)
    assert len(lenient(given)["image"]) == 8
    nothing = MixBatchd("absent", num_classes=3, allow_missing_keys=True)(given)
    assert nothing == given
    assert nothing is not given


@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("key", ["second", "mask", "has_mask"])
def test_an_entry_of_another_length_is_refused_and_nothing_is_armed(n, key):
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3))
    given = masked_batch(n)
    given[key] = torch.cat([given[key]] * 3)
    mixup = MixBatchd(
        ["image", "second"], network=network, layers=["input", "0"], num_classes=3, mask_key="mask"
    ).set_random_state(0)
    with pytest.raises(ValueError, match=rf"entry of {3 * n} rows is to be mixed, but mixtures were drawn for {n}"):
        mixup(given)
    assert network(given["image"]).shape == (n, 3)


def test_draws_are_reproducible():
    batch = masked_batch()
    one, two = (MixBatchd.mixup("image", num_classes=3).set_random_state(5) for _ in range(2))
    first, second = one(batch), two(batch)
    assert torch.equal(first["image"], second["image"])
    assert torch.equal(first["label"], second["label"])
    assert not torch.equal(one(batch)["image"], first["image"])


def test_settings_of_one_class():
    network = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    options = {"network": network, "layers": ["input", "0"], "alpha": 0.4, "num_classes": 3}
    for made, setting in (
        (MixBatchd.mixup("image", alpha=0.4, num_classes=3), (("input",), "replace", "all")),
        (MixBatchd.manifold_mixup("image", **options), (("input", "0"), "replace", "random")),
        (MixBatchd.flow_mixup("image", **options), (("input", "0"), "append", "all")),
    ):
        mixup = made.transform
        assert (mixup.layers, mixup.flow, mixup.select) == setting
        assert (mixup.alpha, mixup.num_classes) == (0.4, 3)


def test_config():
    config = {
        "network": {"_target_": "torch.nn.Linear", "in_features": 4, "out_features": 3},
        "mixup": {
            "_target_": "monai_debias.transforms.MixBatchd",
            "keys": "image",
            "network": "@network",
            "layers": ["input"],
            "num_classes": 3,
        },
    }
    parser = ConfigParser(config)
    mixup = parser.get_parsed_content("mixup")
    assert mixup.transform.network is parser.get_parsed_content("network")
    assert mixup({"image": torch.rand(4, 4), "label": INDEX})["image"].shape == (8, 4)


def test_missing_labels_from_the_batch_to_the_loss():
    network = nn.Sequential(nn.Flatten(), nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    mixup = MixBatchd.flow_mixup("image", network=network, layers=["input", "2"], ignore_value=[-1, NAN])
    loss = MixupLoss(mixup.groups, "bce", ignore_value=mixup.transform.ignore_value)
    batch = {"image": torch.rand(4, 1, 6), "label": torch.tensor([[0, NAN], [1, -1], [NAN, NAN], [0, 0]])}
    mixed = mixup.set_random_state(0)(batch)
    logits, label = network(mixed["image"]), mixed["label"]
    assert label.shape == (12, 2)
    known, single = label >= 0, F.binary_cross_entropy_with_logits(logits, label.clamp(min=0), reduction="none")
    means = [s[k].mean() for s, k in zip(single.chunk(3), known.chunk(3), strict=True)]
    torch.testing.assert_close(loss(logits, label), sum(means) / 3)
