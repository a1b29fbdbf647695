# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What is read from the configs of foreign bundles, however they are written."""

from __future__ import annotations

import json

import pytest
from monai.bundle import ConfigParser

from monai_debias.overlays import overlays
from monai_debias.overlays.guest.sockets import guest_sockets
from tests.overlays.guest.guest_configs import FLIP, LOAD, ZSCORE, config


def test_black_that_is_not_0_is_said():
    scale = {"_target_": "ScaleIntensityd", "keys": "image", "minv": -1.0, "maxv": 1.0}
    assert "#1 (ScaleIntensityd): it maps black to -1.0" in str(guest_sockets(config([LOAD, scale, FLIP])))
    assert "makes black" not in str(guest_sockets(config([LOAD, ZSCORE, scale, FLIP])))
    assert "makes black" not in str(guest_sockets(config([LOAD, {**scale, "minv": 0.0}, FLIP])))


def test_the_mean_of_class_weights_is_said():
    loss = {"_target_": "torch.nn.CrossEntropyLoss", "weight": "$torch.tensor([1.0, 2.0, 3.0])"}
    assert "loss#weight: the mean was over the weights" in str(guest_sockets(config(loss=loss)))


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
    assert (guest.sockets["listed_items"], guest.sockets["train_items"]) == ("@items", "@listed_items")
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
