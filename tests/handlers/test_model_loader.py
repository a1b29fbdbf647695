# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A model is loaded as it was written, or not at all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine

from monai_debias.handlers import ModelLoader
from monai_debias.handlers.checkpoint_files import write_checkpoint
from monai_debias.recipe import package_versions, plain_values
from tests.samples import NETWORK, make_network


def saved_network(folder: str) -> str:
    """A file with other weights of the network, outside of a folder that may be emptied."""
    path = f"{folder}-weights.pt"
    torch.save({name: value / 2 for name, value in make_network().state_dict().items()}, path)
    return path


_PATH = {"_target_": "tests.handlers.test_model_loader.saved_network", "folder": "$folder"}
EXAMPLES = {
    ModelLoader: [
        {"path": _PATH, "network": NETWORK},
        {"path": _PATH, "network": NETWORK, "record": {"class_names": ["A2C", "A4C"]}, "made_by": "make"},
    ]
}
RECORD = {
    "class_names": ["A2C", "A4C"],
    "image_size": (64, 64),
    "preprocessing": {"1 Resized": {"size": [64, 64]}, "2 ScaleIntensityd": {"maxv": 1.0}},
    "method": "isnet",
    "versions": package_versions(),
    "best": {"metric": "accuracy", "score": 0.875, "epoch": 3},
}


def load(path: Path, network: torch.nn.Module, **options: Any) -> None:
    engine = Engine(lambda engine, batch: None)
    ModelLoader(path, network, **options).attach(engine)
    engine.run([0])


@pytest.fixture(name="recorded")
def fixture_recorded(tmp_path: Path) -> Path:
    """A model with a record of its training."""
    write_checkpoint(torch.nn.Linear(3, 2).state_dict(), tmp_path / "model.pt", plain_values(RECORD))
    return tmp_path / "model.pt"


def test_the_weights_are_those_of_the_file(tmp_path):
    written, network = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    torch.save(written.state_dict(), tmp_path / "model.pt")
    load(tmp_path / "model.pt", network)
    assert torch.equal(network.weight, written.weight)
    assert torch.equal(network.bias, written.bias)


def spoil(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content, weight: spoil(content, weight), "not a checkpoint, or is damaged: the checksum"),
        (lambda content, weight: content[:-20], "not a checkpoint, or is damaged"),
        (lambda content, weight: b"", "not a checkpoint, or is damaged"),
    ],
    ids=["flipped", "cut", "empty"],
)
def test_a_damaged_file_is_named(change, message, tmp_path):
    network = torch.nn.Linear(3, 2)
    path = tmp_path / "model.pt"
    torch.save(network.state_dict(), path)
    content = path.read_bytes()
    path.write_bytes(change(content, content.index(network.weight.detach().numpy().tobytes())))
    with pytest.raises(ValueError, match=rf"{re.escape(str(path))} is {message}"):
        load(path, network)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (torch.nn.Linear(3, 4).state_dict(), "is not a model of this network: .*\n.*size mismatch"),
        ({"network": torch.nn.Linear(3, 2).state_dict()}, "is not a model of this network: .*\n.*Missing key"),
        ({"weight": torch.full((2, 3), torch.nan), "bias": torch.zeros(2)}, "has NaN in 1 of its tensors"),
        (torch.zeros(2), "holds a Tensor"),
        ({"network": {}, "trainer": {}}, r"is the state of a training, .* and not a model: give .*model\.pt"),
    ],
    ids=["more classes", "nested", "nan", "tensor", "state"],
)
def test_a_file_of_something_else_is_named(state, message, tmp_path):
    torch.save(state, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=rf"model\.pt .*{message}"):
        load(tmp_path / "model.pt", torch.nn.Linear(3, 2))


def test_a_missing_file_is_named_and_how_it_is_made(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"model\.pt does not exist: train the model, or give"):
        load(tmp_path / "model.pt", torch.nn.Linear(3, 2))
    with pytest.raises(FileNotFoundError, match=r"train the model by\n    make model\nor give"):
        load(tmp_path / "model.pt", torch.nn.Linear(3, 2), made_by="make model")


def test_a_use_that_the_model_was_trained_for(recorded, caplog):
    caplog.set_level("INFO")
    load(recorded, torch.nn.Linear(3, 2), record={name: RECORD[name] for name in ("image_size", "preprocessing")})
    assert f"loaded the model from {recorded} (isnet, epoch 3, accuracy 0.875)" in caplog.text
    assert "WARNING" not in caplog.text


def test_a_note_in_the_record_is_a_warning(tmp_path, caplog):
    write_checkpoint(torch.nn.Linear(3, 2).state_dict(), tmp_path / "model.pt", {"note": "not for clinical use"})
    load(tmp_path / "model.pt", torch.nn.Linear(3, 2))
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning == f"{tmp_path / 'model.pt'}: not for clinical use"


@pytest.mark.parametrize(
    ("changes", "lines", "options"),
    [
        (
            {"class_names": ["A4C", "A2C"]},
            ["class_names: ['A2C', 'A4C'] in the training, ['A4C', 'A2C'] here"],
            "with, in a bundle --class_names \"['A2C', 'A4C']\", or",
        ),
        (
            {"image_size": (48, 64), "preprocessing": {"1 Resized": {"size": [48, 64]}}},
            [
                "image_size: [64, 64] in the training, [48, 64] here",
                "preprocessing.1 Resized.size: [64, 64] in the training, [48, 64] here",
                "preprocessing.2 ScaleIntensityd: present in the training, absent here",
            ],
            'with, in a bundle --image_size "[64, 64]", or',
        ),
        (
            {"preprocessing": {**RECORD["preprocessing"], **{str(i): 0 for i in range(5)}}},
            [
                "preprocessing.0: absent in the training, 0 here",
                "preprocessing.1: absent in the training, 0 here",
                "preprocessing.2: absent in the training, 0 here",
                "and 2 further differences of it",
            ],
            "with, or train",
        ),
    ],
    ids=["classes", "size", "many"],
)
def test_another_use_is_refused_with_a_line_for_each_difference(changes, lines, options, recorded):
    network = torch.nn.Linear(3, 2)
    before = network.weight.clone()
    with pytest.raises(ValueError, match="was trained otherwise than it is used here") as caught:
        load(recorded, network, record={**RECORD, **changes})
    message = str(caught.value)
    assert message.startswith(str(recorded))
    assert [line[2:] for line in message.splitlines() if line.startswith("- ")] == lines
    assert options in message
    assert torch.equal(network.weight, before)


def test_a_model_of_another_program_is_loaded_with_a_warning(tmp_path, recorded, caplog):
    network = torch.nn.Linear(3, 2)
    torch.save(network.state_dict(), tmp_path / "foreign.pt")
    load(tmp_path / "foreign.pt", torch.nn.Linear(3, 2), record={"class_names": ["A2C", "A4C"], "image_size": [64, 64]})
    assert "foreign.pt does not say what it was trained with, so that class_names, image_size cannot be" in caplog.text
    caplog.clear()
    load(recorded, network, record={"class_names": ["A2C", "A4C"], "modality": "US"})
    assert "so that modality cannot be checked" in caplog.text
    caplog.clear()
    load(tmp_path / "foreign.pt", network)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_a_setting_that_only_another_version_has_does_not_count(tmp_path):
    """But another value of a setting does, and so does a step that one of them lacks."""
    path = tmp_path / "model.pt"
    record = {**RECORD, "versions": {**package_versions(), "torch": "1.0"}}
    write_checkpoint(torch.nn.Linear(3, 2).state_dict(), path, plain_values(record))
    size, scale = ({"size": [64, 64], "antialias": True}, RECORD["preprocessing"]["2 ScaleIntensityd"])
    steps = {"1 Resized": size, "2 ScaleIntensityd": scale}
    load(path, torch.nn.Linear(3, 2), record={"preprocessing": steps})
    for wrong, told in (
        ({**steps, "2 ScaleIntensityd": {"maxv": 2.0}}, "2 ScaleIntensityd.maxv: 1.0 in the training, 2.0 here"),
        ({"1 Resized": size}, "2 ScaleIntensityd: present in the training, absent here"),
    ):
        with pytest.raises(ValueError, match=told):
            load(path, torch.nn.Linear(3, 2), record={"preprocessing": wrong})


def test_a_record_has_plain_values():
    with pytest.raises(TypeError, match="not JSON serializable"):
        ModelLoader("model.pt", torch.nn.Linear(3, 2), record={"folder": Path()})
