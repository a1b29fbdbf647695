# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest
import torch

from monai_debias.audit.answers import Answers
from monai_debias.audit.exported import exported_network
from monai_debias.audit.models import load_model
from tests.audit.subjects import CLASSES, TRANSFORMS, LooksAt, make_items

IMAGES = torch.stack([item["image"] for item in make_items(3)])


@pytest.mark.parametrize("kind", ["ts", "pt2", "fixed.pt2", "onnx"])
def test_an_exported_network_answers_as_before(kind, tmp_path):
    network, file = LooksAt().eval(), tmp_path / f"network.{kind}"
    batch = None if kind == "fixed.pt2" else {0: torch.export.Dim("batch")}  # with a batch of three only
    if kind == "ts":
        torch.jit.save(torch.jit.trace(network, IMAGES), file)
    elif kind.endswith("pt2"):
        torch.export.save(torch.export.export(network, (IMAGES,), dynamic_shapes=(batch,)), file)
    else:
        pytest.importorskip("onnxscript")
        torch.onnx.export(network, (IMAGES,), str(file), dynamo=True, verbose=False)  # with a batch of three only
    (tmp_path / "preprocessing.json").write_text(json.dumps({"transforms": TRANSFORMS, "class_names": CLASSES}))
    model = load_model(file, preprocessing=tmp_path / "preprocessing.json")
    answers = Answers(model.network, None, "softmax")
    for images in (IMAGES, IMAGES[:2], torch.cat([IMAGES, IMAGES.flip(0)[:2]])):
        assert torch.allclose(answers(images), network(images), atol=1e-5)
    assert (model.class_names, model.task, model.normalize) == (CLASSES, None, None)


def test_a_program_whose_input_has_a_name(tmp_path):
    network = LooksAt().eval()
    torch.export.save(torch.export.export(network, (), {"x": IMAGES}), tmp_path / "a.pt2")
    assert torch.allclose(exported_network(tmp_path / "a.pt2")(IMAGES[:2]), network(IMAGES[:2]), atol=1e-5)


def write_onnx(file, number_type):
    """A network that takes another type of numbers, 255 for white."""
    onnx = pytest.importorskip("onnx")
    make, types = onnx.helper, onnx.TensorProto
    dense = LooksAt().dense
    nodes = [
        make.make_node("Cast", ["x"], ["numbers"], to=types.FLOAT),
        make.make_node("Flatten", ["numbers"], ["flat"]),
        make.make_node("Gemm", ["flat", "weight", "bias"], ["y"], transB=1),
    ]
    constants = [("weight", dense.weight / 255), ("bias", dense.bias)]
    graph = make.make_graph(
        nodes,
        "network",
        [make.make_tensor_value_info("x", getattr(types, number_type), ["batch", 1, 16, 16])],
        [make.make_tensor_value_info("y", types.FLOAT, ["batch", 2])],
        [onnx.numpy_helper.from_array(value.detach().numpy(), name) for name, value in constants],
    )
    opset = [make.make_opsetid("", 13)]
    onnx.save(make.make_model(graph, opset_imports=opset, ir_version=8), str(file))
    return file


@pytest.mark.parametrize("number_type", ["UINT8", "INT64"])
def test_whole_numbers(number_type, tmp_path):
    network = exported_network(write_onnx(tmp_path / "a.onnx", number_type))
    images = (IMAGES.clamp(0, 1) * 255).round()
    assert torch.allclose(network(images), LooksAt()(images / 255), atol=1e-4)
    assert torch.equal(network(images + 0.3), network(images))  # as checks change images
    with pytest.raises(ValueError, match=r"takes whole numbers, .* and the images lie between 0.* and 0.*: leave them"):
        network(images / 256)


@pytest.mark.parametrize(("name", "content"), [("a.onnx", b""), ("a.onnx", b"x" * 99), ("a.ts", b"x"), ("a.pt2", b"")])
def test_damaged_files_are_named(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} is no exported network \(\w+\): expected TorchScript"):
        exported_network(tmp_path / name)


def test_another_type_of_numbers_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"a\.onnx takes tensor\(bfloat16\), expected one of tensor\(float\)"):
        exported_network(write_onnx(tmp_path / "a.onnx", "BFLOAT16"))
