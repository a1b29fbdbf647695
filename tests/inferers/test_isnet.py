# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
import gc
import pickle
import weakref
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import CheckpointSaver

from monai_debias.attached import attached
from monai_debias.engines.prepare_batch import PrepareBatchAttached
from monai_debias.inferers.isnet import ISNetInferer
from monai_debias.losses.isnet import ISNetLRPLoss
from monai_debias.transforms.fill_mask import FillMaskd
from tests.samples import IMAGE, four_logits

EXAMPLES = {
    ISNetInferer: [
        {},
        {"target": "all", "epsilon": 0.0, "layers": ["0"], "interval": 2},
        {"target": "label"},
        {"target": 1, "epsilon": 0.0, "layers": ["0"], "interval": 2},
    ],
    ISNetInferer.__call__: {
        "inputs": IMAGE,
        "network": four_logits(),
        "rows": torch.tensor([1]),
        "labels": torch.tensor([0, 1]),
        "masks": torch.eye(8).expand(2, 1, 8, 8),
    },
}


def make_network(norm: bool = True) -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3),
        torch.nn.BatchNorm2d(4) if norm else torch.nn.Identity(),
        torch.nn.ReLU(),
        torch.nn.Conv2d(4, 6, 3),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(6, 3),
    )


def heatmap_of(inferer: ISNetInferer, *args: Any, **kwargs: Any) -> Any:
    return attached(inferer(*args, **kwargs), "heatmap")


@pytest.fixture(name="network")
def fixture_network() -> torch.nn.Sequential:
    return make_network()


@pytest.fixture(name="image")
def fixture_image() -> torch.Tensor:
    return torch.rand(5, 1, 12, 10, generator=torch.Generator().manual_seed(1))


def test_training_gives_logits_and_a_heatmap_that_trains_the_network(network, image):
    twin = copy.deepcopy(network)
    logits = ISNetInferer(blend=False)(image, network)
    heatmap = attached(logits, "heatmap")
    assert heatmap.shape == (5, 1, 1, 12, 10)
    assert torch.equal(logits, twin(image))
    heatmap.abs().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in (network[0].weight, network[3].weight, network[7].weight))


def test_evaluation_is_the_plain_network(network, image):
    calls = []
    network.register_forward_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    inferer = ISNetInferer()
    with torch.no_grad():
        in_training = inferer(image, network.train())
        logits = inferer(image, network.eval())
    assert calls == [False, False]
    assert in_training.shape == logits.shape == (5, 3)
    assert torch.equal(logits, network(image))
    meta = inferer(MetaTensor(image, meta={"filename_or_obj": "a"}), network)
    assert torch.equal(meta, logits)


def test_a_training_in_evaluation_mode_is_told_that_it_has_no_heatmap(network, image, recwarn):
    inferer, masks = ISNetInferer(), torch.ones(len(image), 1, *image.shape[2:])
    with torch.no_grad():
        inferer(image, network.eval(), masks=masks)
    inferer(image, network)
    assert not recwarn.list
    with pytest.warns(UserWarning, match=r"no heatmap .* evaluation mode.*network.train\(\)"):
        assert attached(inferer(image, network, masks=masks), "heatmap") is None


def test_only_the_rows_with_a_mask_are_explained(network, image):
    everything = heatmap_of(ISNetInferer(epsilon=0.1, blend=False), image, copy.deepcopy(network))
    some = ISNetInferer(epsilon=0.1, blend=False)(image, network, rows=torch.tensor([4, 1]))
    assert some.shape == (5, 3)
    assert torch.allclose(attached(some, "heatmap"), everything[[4, 1]], atol=1e-6)
    assert heatmap_of(ISNetInferer(blend=False), image, network, rows=torch.tensor([], dtype=torch.long)) is None


def test_every_nth_iteration_has_a_heatmap_beginning_with_the_first(network, image):
    def turns(n: int) -> list[bool]:
        return [heatmap_of(inferer, image, network.train()) is not None for _ in range(n)]

    inferer = ISNetInferer(interval=3, blend=False)
    assert turns(7) == [True, False, False, True, False, False, True]
    inferer = ISNetInferer(interval=2, blend=False)
    inferer.active = False
    assert turns(1) == [False]
    inferer.active = True
    network.eval()(image)
    assert turns(3) == [True, False, True]


def test_targets_that_are_labels(network, image):
    labels = torch.tensor([0, 2, 1, 1, 0])

    def logit_of_label(logits: torch.Tensor) -> torch.Tensor:
        return logits.gather(1, labels[:, None])

    by_label = heatmap_of(ISNetInferer("label", blend=False), image, network, labels=labels)
    expected = heatmap_of(ISNetInferer(logit_of_label, blend=False), image, network)
    assert torch.allclose(by_label, expected, atol=1e-7)
    for target in ("label", "selective_label", "selective"):  # a column is what some data sets have
        column, row = (
            heatmap_of(ISNetInferer(target, blend=False), image, network, labels=t) for t in (labels[:, None], labels)
        )
        assert torch.equal(column, row)
    assert not torch.allclose(heatmap_of(ISNetInferer(0, blend=False), image, network), expected, atol=1e-4)
    lowest = network(image).argmin(1)
    by_lowest = heatmap_of(ISNetInferer("selective_label", blend=False), image, network, labels=lowest)
    assert torch.allclose(by_lowest, heatmap_of(ISNetInferer("selective", blend=False), image, network), atol=1e-7)
    assert heatmap_of(ISNetInferer("all", blend=False), image, network, labels=labels).shape[1] == 3


def test_hidden_layers(network, image):
    heatmaps = heatmap_of(ISNetInferer(layers=["0", "3"], blend=False), image, network, rows=torch.tensor([2]))
    assert {layer: tuple(r.shape) for layer, r in heatmaps.items()} == {
        "input": (1, 1, 1, 12, 10),
        "0": (1, 1, 4, 10, 8),
        "3": (1, 1, 6, 8, 6),
    }


def test_the_network_stays_plain_and_mortal(network, image):
    inferer = ISNetInferer(layers=["0"], blend=False)
    before = list(network.state_dict())
    heatmap_of(inferer, image, network)["0"].sum().backward()
    assert list(network.state_dict()) == before
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in network.modules())
    alive = weakref.ref(network[0])
    copied = pickle.loads(pickle.dumps(inferer))  # noqa: S301
    assert vars(copied) == vars(inferer)
    del network[0]
    gc.collect()
    assert alive() is None


def test_config():
    config = {"_target_": "monai_debias.inferers.isnet.ISNetInferer", "target": "label", "layers": ["0"], "interval": 2}
    inferer = ConfigParser({"i": config}).get_parsed_content("i")
    assert (inferer.target, inferer.layers, inferer.interval, inferer.active) == ("label", ("0",), 2, True)


def make_samples(n: int, n_masks: int) -> list[dict]:
    generator = torch.Generator().manual_seed(2)
    samples = []
    for i in range(n):
        sample = {"image": MetaTensor(torch.rand(1, 12, 10, generator=generator)), "label": i % 3}
        if i < n_masks:
            sample["mask"] = MetaTensor((torch.rand(1, 12, 10, generator=generator) > 0.5).float())
        samples.append(sample)
    return samples


def train(network: torch.nn.Module, batch_size: int, n_masks: int = 8, epochs: int = 1, **kwargs) -> list[dict]:
    """Train on eight samples with stock parts and return what the loss saw in each iteration."""
    seen = []

    class Loss(ISNetLRPLoss):
        def forward(self, pred, target):
            flags = attached(target, "has_mask")
            seen.append({"heatmap": len(attached(pred, "heatmap", [])), "has_mask": flags})
            return super().forward(pred, target)

    loader = DataLoader(Dataset(make_samples(8, n_masks), FillMaskd()), batch_size=batch_size)
    SupervisedTrainer(
        device="cpu",
        max_epochs=epochs,
        train_data_loader=loader,
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        loss_function=Loss(),
        prepare_batch=PrepareBatchAttached(),
        inferer=ISNetInferer(blend=False),
        **kwargs,
    ).run()
    return seen


def test_a_stock_trainer_with_masks_on_some_rows(network, tmp_path):
    before = copy.deepcopy(network.state_dict())
    saver = CheckpointSaver(str(tmp_path), {"model": network}, save_final=True, final_filename="model.pt")
    seen = train(network, batch_size=4, n_masks=3, train_handlers=[saver])
    assert [s["heatmap"] for s in seen] == [3, 0]
    assert seen[0]["has_mask"].tolist() == [True, True, True, False]
    assert not torch.equal(network.state_dict()["0.weight"], before["0.weight"])
    plain = make_network()
    plain.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    outputs = []
    SupervisedEvaluator(
        device="cpu",
        val_data_loader=DataLoader(Dataset(make_samples(8, 0)), batch_size=8),
        network=plain,
        inferer=ISNetInferer(),
        postprocessing=lambda output: outputs.append(output["pred"]) or output,
    ).run()
    images = torch.stack([sample["image"].as_tensor() for sample in make_samples(8, 0)])
    assert torch.allclose(torch.stack(outputs).as_subclass(torch.Tensor), network.eval()(images), atol=1e-6)


def test_accumulated_gradients_are_those_of_the_whole_batch():
    whole, accumulated, plain = make_network(norm=False), make_network(norm=False), make_network(norm=False)
    train(whole, batch_size=8)
    train(accumulated, batch_size=2, accumulation_steps=4)
    for one, other, start in zip(whole.parameters(), accumulated.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)
        assert not torch.equal(one, start)


def test_bad_input_gets_a_clear_error(network, image):
    with pytest.raises(ValueError, match="input_range must be"):
        ISNetInferer(input_rule="zb", input_range=[1, 0])
    for labels in (None, [0, 1, 2, 0, 1]):
        with pytest.raises(ValueError, match=r"labels \(B,\), got .*prepare_batch=PrepareBatchAttached"):
            ISNetInferer("label", blend=False)(image, network, labels=labels)
    with pytest.raises(ValueError, match="labels must"):
        ISNetInferer("selective_label", blend=False)(image, network, labels=torch.tensor([0, 1, 2]))
    with pytest.raises(ValueError, match=r"got \(5, 3\)"):
        ISNetInferer()(torch.rand(5, 3), network)
    with pytest.raises(TypeError, match="got function"):
        ISNetInferer()(image, lambda x: x)


def test_selective_refuses_a_sigmoid_task(network, image):
    several, one_hot = torch.ones(5, 3), torch.eye(3)[[0, 1, 2, 0, 1]]
    for target in ("selective", "selective_label"):
        with pytest.raises(ValueError, match='target="all" or "stochastic"'):
            ISNetInferer(target)(image, network, labels=several)
    assert heatmap_of(ISNetInferer("selective", blend=False), image, network, labels=one_hot).shape == (5, 1, 1, 12, 10)
    assert heatmap_of(ISNetInferer("all", blend=False), image, network, labels=several).shape == (5, 3, 1, 12, 10)
