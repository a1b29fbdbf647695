# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest
import torch

from monai_debias.audit.models import load_model
from tests.audit.subjects import (
    CLASSES,
    TRANSFORMS,
    LooksAt,
    make_items,
    write_bundle,
    write_data,
    write_published_bundle,
)

IMAGES = torch.stack([item["image"] for item in make_items(3)])


def test_a_bundle_of_others_with_its_masks(tmp_path):
    data = write_data(tmp_path / "data", 4)
    model = load_model(write_bundle(tmp_path / "bundle", LooksAt(middle=3.0)))
    loaded = model.transform({"image": str(data / "images" / "1.npy"), "mask": str(data / "masks" / "1.npy")})
    assert loaded["image"].shape == loaded["mask"].shape == (1, 16, 16)
    assert loaded["image"].max() <= 1
    assert (model.task, model.class_names, model.normalize) == ("softmax", CLASSES, None)
    assert torch.allclose(model.network(IMAGES), LooksAt(middle=3.0)(IMAGES))


def test_a_bundle_that_is_published_without_its_training(tmp_path):
    data = write_data(tmp_path / "data", 4)
    model = load_model(write_published_bundle(tmp_path / "bundle", LooksAt(middle=3.0)))
    loaded = model.transform({"image": str(data / "images" / "1.npy"), "mask": str(data / "masks" / "1.npy")})
    assert loaded["mask"].shape == (1, 16, 16)
    assert loaded["image"].min() >= 0  # 0 is black until what comes after exchanges
    assert torch.allclose(model.normalize(IMAGES), IMAGES - 0.5)
    assert (model.task, model.class_names) == (None, None)
    assert torch.allclose(model.network(IMAGES), LooksAt(middle=3.0)(IMAGES))


def test_demo_weights_count_until_there_are_others(tmp_path):
    bundle = write_bundle(tmp_path / "bundle", LooksAt(middle=3.0))
    demo = bundle / "models" / "demo" / "model.pt"
    demo.parent.mkdir()
    torch.save(LooksAt(middle=1.0).state_dict(), demo)
    assert torch.allclose(load_model(bundle).network(IMAGES), LooksAt(middle=3.0)(IMAGES))
    (bundle / "models" / "model.pt").unlink()
    assert torch.allclose(load_model(bundle).network(IMAGES), LooksAt(middle=1.0)(IMAGES))


def test_an_option_that_is_mistyped_does_not_pass(tmp_path):
    bundle = write_bundle(tmp_path / "bundle", LooksAt(middle=1.0))
    assert load_model(bundle, options={"class_names": ["a", "b"]}).class_names == ["a", "b"]
    assert load_model(bundle, options={"mask_source": "region"}).class_names == CLASSES  # an entry of the sockets
    with pytest.raises(ValueError, match=r"no option 'atributes': it is neither one of the audit, .* class_names"):
        load_model(bundle, options={"atributes": "scanner"})
    torch.jit.save(torch.jit.script(LooksAt()), tmp_path / "a.ts")
    (tmp_path / "p.json").write_text(json.dumps({"transforms": TRANSFORMS, "task": "binary"}))
    assert load_model(tmp_path / "a.ts", None, tmp_path / "p.json", {"task": "softmax"}).task == "softmax"
    with pytest.raises(ValueError, match="there is no option 'tsk'"):
        load_model(tmp_path / "a.ts", None, tmp_path / "p.json", {"tsk": "softmax"})


def test_weights_of_two_dimensions_lie_as_a_cpu_is_fast_with(tmp_path):
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    bundle, images = write_published_bundle(tmp_path / "bundle", network), torch.rand(2, 3, 8, 8)
    config = json.loads((bundle / "configs" / "inference.json").read_text())
    layers = [{"_target_": "torch.nn.Conv2d", "in_channels": 3, "out_channels": 4, "kernel_size": 3}]
    layers += [{"_target_": "torch.nn.AdaptiveAvgPool2d", "output_size": 1}, {"_target_": "torch.nn.Flatten"}]
    config |= {f"layer{k}": layer for k, layer in enumerate(layers)}
    config["network_def"] = "$torch.nn.Sequential(@layer0, @layer1, @layer2)"
    (bundle / "configs" / "inference.json").write_text(json.dumps(config))
    loaded = load_model(bundle).network
    assert loaded[0].weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(loaded(images), network(images))


def test_what_cannot_be_loaded(tmp_path):
    with pytest.raises(FileNotFoundError, match="give the folder of a bundle"):
        load_model(tmp_path / "gone")
    with pytest.raises(ValueError, match=r"no configs/train\.json, nor configs/inference\.json"):
        load_model(tmp_path)
    (tmp_path / "a.pt").write_bytes(b"no network")
    with pytest.raises(ValueError, match="has no preprocessing"):
        load_model(tmp_path / "a.pt")
    for text, message in {'{"transforms": [': "Expecting value", "{}": 'it has no "transforms"'}.items():
        torch.jit.save(torch.jit.script(LooksAt()), tmp_path / "b.ts")
        (tmp_path / "p.json").write_text(text)
        with pytest.raises(ValueError, match=f"p.json cannot be used as preprocessing: {message}"):
            load_model(tmp_path / "b.ts", preprocessing=tmp_path / "p.json")
    with pytest.raises(FileNotFoundError, match="give the JSON file"):
        load_model(tmp_path / "b.ts", preprocessing=tmp_path / "gone.json")
    (tmp_path / "p.json").write_text(json.dumps({"transforms": TRANSFORMS}))
    with pytest.raises(ValueError, match="is no exported network"):
        load_model(tmp_path / "a.pt", preprocessing=tmp_path / "p.json")
    bundle = write_bundle(tmp_path / "bundle", torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match="is not a model of this network"):
        load_model(bundle)
    (bundle / "models" / "model.pt").unlink()
    with pytest.raises(ValueError, match="has no weights: train the bundle, or say which with --checkpoint"):
        load_model(bundle)
