# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest
import torch

from benchmarks import demo_weights
from monai_debias.handlers.checkpoint_files import read_checkpoint, read_record, write_checkpoint


def test_a_compressed_checkpoint_is_read_as_before_with_its_record(tmp_path):
    file = tmp_path / "model.pt"
    write_checkpoint({"weight": torch.zeros(1000), "count": torch.tensor(3)}, file, {"note": "demo"})
    demo_weights.deflate(file)
    assert file.stat().st_size < 2000
    assert torch.equal(torch.load(file, weights_only=True)["weight"], torch.zeros(1000))
    assert read_checkpoint(file)["count"] == 3
    assert read_record(file) == {"note": "demo"}


def test_weights_are_stored_in_half_a_quarter_or_as_they_are():
    state = {"large": torch.randn(400, 600) / 20, "small": torch.randn(9), "count": torch.tensor(3)}
    stored = demo_weights.small(state)
    assert [value.dtype for value in stored.values()] == [torch.float8_e4m3fn, torch.float16, torch.int64]
    for name, value in state.items():
        assert torch.allclose(stored[name].to(value.dtype), value, atol=2**-10, rtol=2**-4), name
    layer = torch.nn.Linear(600, 400, bias=False)
    layer.load_state_dict({"weight": stored["large"]})
    assert layer.weight.dtype == torch.float32


def test_the_comparison_by_hand(tmp_path):
    for name, accuracy, predicted in (("before", 0.75, "abab"), ("after", 0.5, "abbb")):
        (tmp_path / name).mkdir()
        result = {"test_same": {"metrics": {"accuracy": [accuracy, 0, 1]}}}
        (tmp_path / name / "metrics.json").write_text(json.dumps(result))
        lines = [f"test_same,{i}.png,{label}" for i, label in enumerate(predicted)]
        (tmp_path / name / "predictions.csv").write_text("\n".join(["split,file,predicted", *lines]))
    (line,) = demo_weights.compare(tmp_path / "before", tmp_path / "after", "accuracy")
    assert (line["trained"], line["stored"], line["same_decisions"]) == (75, 50, 0.75)
    assert (line["section"], line["n"], line["score"]) == ("test_same", 4, "accuracy")


def test_the_hash_is_that_of_the_file(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"abc")
    demo_weights.write_hash(tmp_path, tmp_path / "model.pt")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of "abc", from FIPS 180-2
    assert known in (tmp_path / "large_files.yml").read_text()


def test_an_unknown_bundle(tmp_path):
    with pytest.raises(FileNotFoundError, match="no_bundle"):
        demo_weights.main("no_bundle", str(tmp_path))
