# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What is read from the configs of foreign bundles, however they are written."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser
from monai.transforms import RandFlipd, Resized

from monai_debias.overlays import overlays
from monai_debias.overlays.guest.config_graph import ConfigGraph
from monai_debias.overlays.guest.sockets import guest_sockets
from monai_debias.overlays.guest.transform_chain import Chain

LOAD = {"_target_": "LoadImaged", "keys": "image", "ensure_channel_first": True}
CHANNELS = {"_target_": "EnsureChannelFirstd", "keys": "image"}
RESIZE = {"_target_": "Resized", "keys": "image", "spatial_size": [8, 8], "anti_aliasing": True}
ZSCORE = {"_target_": "NormalizeIntensityd", "keys": "image"}
NOISE = {"_target_": "RandGaussianNoised", "keys": "image"}
FLIP = {"_target_": "RandFlipD", "keys": ["image"], "prob": 1.0}
PAD = {"_target_": "SpatialPadd", "keys": "image", "spatial_size": [9, 9], "mode": "edge"}


def config(transforms: Any = (LOAD, FLIP), **changes: Any) -> dict[str, Any]:
    """A training of few words; ``changes`` by their ids."""
    dataset = {
        "_target_": "Dataset",
        "data": "@items",
        "transform": {"_target_": "Compose", "transforms": list(transforms)},
    }
    trainer = {"_target_": "SupervisedTrainer", "network": "@net", "loss_function": "@loss"}
    trainer["train_data_loader"] = "@train#loader"
    parser = ConfigParser(
        {
            "items": [],
            "net": {"_target_": "ResNet", "num_classes": 3},
            "loss": {"_target_": "torch.nn.CrossEntropyLoss"},
            "train": {"dataset": dataset, "loader": {"_target_": "DataLoader", "dataset": "@train#dataset"}},
        }
    )
    parser["train"]["trainer"] = trainer
    for place, value in changes.items():
        parser[place.replace("__", "#")] = value
    return parser.get()


@pytest.mark.parametrize(
    ("written", "places"),
    [
        ("$@a + @b", ["a#0", "a#1", "b#0"]),
        ("$list(@b) + [@c, @a#1]", ["b#0", "c", "a#1"]),
        ("$(@a + @b)[1:]", ["a#1", "b#0"]),
        ("$@compose.transforms[:1]", ["a#0"]),
        ("@compose", ["a#0", "a#1"]),
        ("%b", ["x#0"]),
        (["@c", "@compose"], ["c", "a#0", "a#1"]),
    ],
)
def test_the_elements_of_a_list(written, places):
    compose = {"_target_": "monai.transforms.Compose", "transforms": "@a"}
    graph = ConfigGraph({"a": [{}, {}], "b": [{}], "c": {}, "compose": compose, "x": written})
    assert graph.elements("x") == places


def test_what_python_makes_cannot_be_read():
    with pytest.raises(ValueError, match=r"elements of 'x' cannot be read from '\$make\(@a\)': expected a list"):
        ConfigGraph({"a": [], "x": "$make(@a)"}).elements("x")
    with pytest.raises(ValueError, match=r"elements of 'x' cannot be read from '\$@a \+ \[make\(\)\]'"):
        ConfigGraph({"a": [], "x": "$@a + [make()]"}).elements("x")
    with pytest.raises(ValueError, match="refers to itself"):
        ConfigGraph({"a": "@b", "b": "@a"}).follow("a")


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


def test_black_that_is_not_0_is_said():
    scale = {"_target_": "ScaleIntensityd", "keys": "image", "minv": -1.0, "maxv": 1.0}
    assert "#1 (ScaleIntensityd): it maps black to -1.0" in str(guest_sockets(config([LOAD, scale, FLIP])))
    assert "makes black" not in str(guest_sockets(config([LOAD, ZSCORE, scale, FLIP])))
    assert "makes black" not in str(guest_sockets(config([LOAD, {**scale, "minv": 0.0}, FLIP])))


def test_the_mean_of_class_weights_is_said():
    loss = {"_target_": "torch.nn.CrossEntropyLoss", "weight": "$torch.tensor([1.0, 2.0, 3.0])"}
    assert "loss#weight: the mean was over the weights" in str(guest_sockets(config(loss=loss)))


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


def test_a_cache_on_the_disk_is_not_that_of_the_plain_training():
    sockets = guest_sockets(config(train__dataset__cache_dir="$@root + '/cache'")).sockets
    for with_masks, folder in ((True, "/r/cache_masks_roi"), (False, "/r/cache_no_masks")):
        own = {"root": "/r", "with_masks": with_masks, "mask_source": "roi", "x": sockets["donors"]["cache_dir"]}
        assert ConfigParser({**own, "guest": sockets["guest"]}).get_parsed_content("x") == folder


def test_a_network_that_is_written_in_the_trainer_tells_its_classes():
    written = config(train__trainer__network={"_target_": "ResNet", "num_classes": 3})
    written["loss"] = {"_target_": "torch.nn.BCEWithLogitsLoss"}
    parser = ConfigParser(written)
    for place in ("class_names", "task", "network", "train#trainer#network"):
        parser[place] = guest_sockets(written).sockets[place]
    assert parser.get_parsed_content("class_names") == ["0", "1", "2"]
    assert parser.get_parsed_content("task") == "multi_label"


def test_names_lead_from_the_trainer_to_everything():
    guest = guest_sockets(config())
    assert guest.sockets["network"] == "@net"
    assert guest.sockets["class_names"] == "$[str(i) for i in range(max(2, @net#num_classes))]"
    assert guest.sockets["classification_loss"] == {"_target_": "torch.nn.CrossEntropyLoss", "reduction": "none"}
    assert guest.sockets["donors"]["_target_"] == "Dataset"
    assert guest.sockets["train_items"] == "@items"
    assert [text for text in guest.to_do if "select_by_swap" in text]
    own = guest_sockets(config(class_names=["a", "b", "c"], max_epochs=3, network={"_target_": "other"}))
    assert "class_names" not in own.sockets
    assert "max_epochs" not in own.sockets
    assert [text for text in own.to_do if '"network" is not what' in text]


@pytest.mark.parametrize(
    ("loss", "count", "task"),
    [
        ({"_target_": "torch.nn.CrossEntropyLoss"}, 2, "softmax"),
        ({"_target_": "FocalLoss", "use_softmax": True}, 3, "softmax"),
        ({"_target_": "torch.nn.BCEWithLogitsLoss"}, 1, "binary"),
        ({"_target_": "FocalLoss"}, 4, "multi_label"),
    ],
)
def test_the_task_follows_from_the_loss(loss, count, task):
    written = config(loss=loss, net__num_classes=count)
    parser = ConfigParser(written)
    for place in ("class_names", "task"):
        parser[place] = guest_sockets(written).sockets[place]
    assert parser.get_parsed_content("task") == task
    assert len(parser.get_parsed_content("class_names")) == max(count, 2)


def test_what_is_not_known_is_left_to_a_human():
    guest = guest_sockets(config([LOAD, {"_target_": "scripts.Warp", "keys": "image"}, "$make()"], loss="$make_loss()"))
    assert guest.sockets["task"] is None
    text = str(guest)
    for told in ('"task":', '"classification_loss":', "(scripts.Warp): if it moves pixels", "train#dataset#"):
        assert told in text


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"train__trainer": "$make()"}, "expected a component with a _target_ and network .* at 'train#trainer'"),
        (
            {"train__dataset": {"_target_": "MedNISTDataset"}},
            "_target_ and data and transform at 'train#loader#dataset'",
        ),
        ({"train__dataset__transform": "$make()"}, r"cannot be read from '\$make\(\)'"),
    ],
)
def test_what_is_missing_is_named(change, told):
    with pytest.raises(ValueError, match=told):
        guest_sockets(config(**change))


def test_what_refers_into_the_data_set_still_finds_it():
    """The training's data set becomes another one; its list of transforms is what the validation takes a part of."""
    sockets = guest_sockets(config(validate={"transforms": "$@train#dataset#transform.transforms[:1]"})).sockets
    assert sockets["validate#transforms"] == "$@guest#train_dataset#transform.transforms[:1]"
    assert sockets["guest"]["load"] == ["@guest#train_dataset#transform#transforms#0"]
    assert sockets["guest"]["train_dataset"]["transform"]["transforms"] == [LOAD, FLIP]


def test_masks_are_read_as_images_are():
    loader = {**LOAD, "reader": "PILReader", "reverse_indexing": False}
    (region,) = guest_sockets(config([loader])).sockets["region_transforms"]
    place = "@guest#train_dataset#transform#transforms#0"
    assert {name: region[name] for name in ("reader", "reverse_indexing")} == {
        "reader": f"{place}#reader",
        "reverse_indexing": f"{place}#reverse_indexing",
    }


def test_the_file_is_kept_once_it_is_there(tmp_path, capsys):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "train.json").write_text(json.dumps(config()))
    written = tmp_path / "configs" / "sockets.json"
    assert overlays(tmp_path, "isnet") == [str(written), str(tmp_path / "configs" / "isnet.json")]
    assert "left to you:" in capsys.readouterr().out
    written.write_text("{}")
    overlays(tmp_path, "mixup")
    assert written.read_text() == "{}"
    assert "exists and is kept" in capsys.readouterr().out
