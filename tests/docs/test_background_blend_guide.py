# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The examples of docs/background_blend.md, run as they stand there, and its table."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from monai.networks.nets import ResNet
from monai.transforms import Identityd

from monai_debias.transforms import BlendBackgroundsd
from tests.docs.guides import NETWORK, block, make_samples, read_guide, run_code

GUIDE = read_guide("background_blend")


def parts(samples: list[dict[str, Any]]) -> dict[str, Any]:
    network, transforms = ResNet(**NETWORK), Identityd("image")
    return {"samples": samples, "transforms": transforms, "network": network, "epochs": 1, "device": "cpu"}


def test_a_loader_blends_its_batches():
    samples = make_samples()
    found = parts(samples)
    run_code(block(GUIDE, "python", "collate_fn"), found)
    (batch,) = found["loader"]
    assert batch["image"].shape == (4, 1, 32, 32)
    sources = torch.stack([sample["image"] for sample in samples])
    inside = batch["image"][..., 8:24, 8:24]
    places = [(sources[..., 8:24, 8:24] == one).flatten(1).all(1).nonzero().item() for one in inside]
    assert sorted(places) == [0, 1, 2, 3]
    assert (batch["image"][..., 0] != sources[places][..., 0]).flatten(1).any(1).all()


def test_a_trainer_blends_its_batches():
    found = parts(make_samples())
    run_code(block(GUIDE, "python", "PrepareBatchAttached"), found)
    assert found["trainer"].prepare_batch.blend.n_blended == 4
    assert found["trainer"].state.output[0]["pred"].shape == (3,)


def test_without_two_masks_the_training_ends():
    samples = [{**sample, "has_mask": n == 1} for n, sample in enumerate(make_samples())]
    with pytest.raises(ValueError, match="no batch of epoch 1 has two images with masks"):
        run_code(block(GUIDE, "python", "PrepareBatchAttached"), parts(samples))


def test_the_table_names_the_options_and_their_defaults():
    section = GUIDE.split("## Options")[1].split("##")[0]
    rows = [[cell.strip(" |`") for cell in line.split(" |")] for line in section.splitlines() if line.startswith("|")]
    parameters = dict(inspect.signature(BlendBackgroundsd).parameters)
    parameters.pop("allow_missing_keys")  # of every transform of MONAI
    assert [row[0] for row in rows[2:]] == list(parameters)
    for option, default, *_ in rows[2:]:
        assert default == ("" if option == "keys" else parameters[option].default)
