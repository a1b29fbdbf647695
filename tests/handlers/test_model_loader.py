# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A model is loaded as it was written, or not at all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine

from monai_debias.handlers import ModelLoader
from tests.samples import NETWORK, make_network


def saved_network(folder: str) -> str:
    """A file with other weights of the network, outside of a folder that may be emptied."""
    path = f"{folder}-weights.pt"
    torch.save({name: value / 2 for name, value in make_network().state_dict().items()}, path)
    return path


_PATH = {"_target_": "tests.handlers.test_model_loader.saved_network", "folder": "$folder"}
EXAMPLES = {ModelLoader: [{"path": _PATH, "network": NETWORK}]}


def load(path: Path, network: torch.nn.Module) -> None:
    engine = Engine(lambda engine, batch: None)
    ModelLoader(path, network).attach(engine)
    engine.run([0])


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
    ],
    ids=["more classes", "nested", "nan", "tensor"],
)
def test_a_file_of_something_else_is_named(state, message, tmp_path):
    torch.save(state, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=rf"model\.pt .*{message}"):
        load(tmp_path / "model.pt", torch.nn.Linear(3, 2))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"model\.pt"):
        load(tmp_path / "model.pt", torch.nn.Linear(3, 2))
