# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch
from monai.bundle import ConfigParser
from monai.transforms import RandFlipd, Resized

from monai_debias.overlays.guest.config_graph import ConfigGraph
from monai_debias.overlays.guest.sockets import guest_sockets
from monai_debias.overlays.guest.transform_chain import Chain
from tests.overlays.guest.guest_configs import CHANNELS, FLIP, LOAD, NOISE, PAD, RESIZE, ZSCORE, config


def test_transforms_are_sorted_and_the_mask_goes_along():
    graph = ConfigGraph({"x": [LOAD, RESIZE, ZSCORE, NOISE, FLIP, PAD, NOISE]})
    chain = Chain.of(graph, "x")
    kinds = [[step.place for step in part] for part in (chain.load, chain.prepare, chain.move, chain.finish)]
    assert kinds == [["x#0"], ["x#1"], ["x#4", "x#5"], ["x#2", "x#3", "x#6"]]
    assert chain.prepare[0].with_mask == {
        "_target_": "Resized",
        "keys": ["image", "mask"],
        "spatial_size": "@x#1#spatial_size",
        "mode": ["area", "nearest"],
        "anti_aliasing": [True, False],
        "allow_missing_keys": True,
    }
    assert chain.move[1].with_mask["mode"] == "@x#5#mode"  # type: ignore[index]
    assert [step.with_mask for step in chain.finish] == ["@x#2", "@x#3", "@x#6"]


def test_intensities_after_a_z_score_stay_after_it():
    scale = {"_target_": "ScaleIntensityd", "keys": "image"}
    chain = Chain.of(ConfigGraph({"x": [LOAD, scale, ZSCORE, scale, RESIZE, FLIP]}), "x")
    assert [step.place for step in chain.prepare] == ["x#1", "x#4"]
    assert [step.place for step in chain.finish] == ["x#2", "x#3"]


def test_what_may_move_pixels_is_said():
    transpose = {"_target_": "Transposed", "keys": "image", "indices": [0, 2, 1]}
    smooth = {"_target_": "RandSmoothDeformd", "keys": "image", "spatial_size": [8, 8], "rand_size": [2, 2]}
    chain = Chain.of(ConfigGraph({"x": [LOAD, transpose, smooth]}), "x")
    assert [step.with_mask["keys"] for step in chain.prepare + chain.move] == [["image", "mask"]] * 2  # type: ignore[index]
    early = guest_sockets(config([{"_target_": "LoadImaged", "keys": "image"}, transpose, CHANNELS, FLIP]))
    assert "#1 (Transposed): the mask is loaded after it" in str(early)
    function = {"_target_": "Lambdad", "keys": "image", "func": "$lambda x: x[:, ::-1]"}
    label = {"_target_": "Lambdad", "keys": "label", "func": "$lambda x: int(x)"}
    (line,) = [text for text in guest_sockets(config([LOAD, function, label])).to_do if "if it moves pixels" in text]
    assert "#1 (Lambdad)" in line


def test_transforms_with_a_mask_do_what_they_did():
    parser = ConfigParser({"x": [RESIZE, FLIP]})
    parser["y"] = [step.with_mask for step in Chain.of(ConfigGraph(parser.get()), "x").steps]
    image = torch.rand(1, 16, 12)
    sample = {"image": image, "mask": (image > 0.5).float()}
    for plain, masked in zip(parser.get_parsed_content("x"), parser.get_parsed_content("y"), strict=True):
        assert torch.equal(plain(sample)["image"], masked(sample)["image"])
        assert set(masked(sample)["mask"].unique().tolist()) == {0, 1}
        assert masked({"image": image})["image"].shape == plain({"image": image})["image"].shape
        assert isinstance(masked, Resized | RandFlipd)


def test_keys_and_modes_may_be_references():
    flip, resize = {**FLIP, "keys": ["@key"]}, {**RESIZE, "keys": "@key", "mode": "@mode"}
    chain = Chain.of(ConfigGraph({"key": "image", "mode": "bilinear", "x": [LOAD, resize, flip]}), "x")
    assert [step.with_mask["keys"] for step in chain.prepare + chain.move] == [["image", "mask"]] * 2  # type: ignore[index]
    assert chain.prepare[0].with_mask["mode"] == ["bilinear", "nearest"]  # type: ignore[index]
    assert "No transform has the key" in str(guest_sockets(config([{**LOAD, "keys": "img"}])))
    assert "(RandFlipd): if it moves pixels" in str(guest_sockets(config([LOAD, {**FLIP, "keys": "$make()"}])))
