# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Flow-Mixup in a stock trainer, alone and distributed."""

from __future__ import annotations

import copy
import itertools
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.metrics import Accuracy
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import from_engine
from monai.transforms import Activationsd, AsDiscreted, Compose, SelectItemsd
from monai.utils import set_determinism
from torch import nn

from monai_debias.attached import attached
from monai_debias.engines.prepare_batch import PrepareBatchAttached
from monai_debias.handlers.loss_terms import LossTerms
from monai_debias.inferers import FlowMixupInferer
from monai_debias.losses.mixup import MixupLoss
from monai_debias.transforms.mix_batch_dictionary import MixBatchd
from tests.engines import mixup_ddp
from tests.engines.mixup_helpers import hooks, make_mixup, make_network, make_samples


def train(network: nn.Module, mixup: MixBatchd, epochs: int = 1, lr: float = 0.1, **options) -> tuple[dict, list[dict]]:
    """Train with stock parts and return the metrics and, of each iteration, the loss and the mixtures."""
    loss, seen = MixupLoss(mixup.groups), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of MONAI's and torch's amp for CUDA
        trainer = SupervisedTrainer(
            device="cpu",
            max_epochs=epochs,
            train_data_loader=DataLoader(Dataset(make_samples(), SelectItemsd(["image", "label"])), batch_size=4),
            network=network,
            optimizer=torch.optim.SGD(network.parameters(), lr=lr),
            loss_function=loss,
            prepare_batch=PrepareBatchAttached(mixup),
            inferer=FlowMixupInferer(),
            train_handlers=[LossTerms(loss)],
            **options,
        )
    trainer.add_event_handler(
        "ITERATION_COMPLETED",
        lambda engine: seen.append({"output": engine.state.output, "mixtures": mixup.transform.mixtures}),
    )
    trainer.run()
    return trainer.state.metrics, seen


@pytest.mark.parametrize(
    ("layers", "flow", "select", "groups"),
    [
        (("2", "3"), "append", "all", {"unmixed", "2", "3"}),
        (("input", "3"), "append", "all", {"unmixed", "input", "3"}),
        (("input", "2"), "append", "random", {"unmixed", "mixed"}),
        (("input", "2", "3"), "replace", "random", {"mixed"}),
        (("input",), "replace", "all", {"mixed"}),
    ],
)
def test_a_stock_trainer_learns_and_logs_each_group(layers, flow, select, groups):
    network = make_network(norm=True)
    mixup = make_mixup(network, layers, flow, select).set_random_state(0)
    first, _ = train(network, mixup, epochs=1)
    last, seen = train(network, mixup, epochs=12)
    assert set(last) == {f"{group}_loss" for group in groups}
    name = "unmixed_loss" if flow == "append" else "mixed_loss"
    assert last[name] < 0.75 * first[name]
    assert hooks(network) == []
    assert {m.layer for one in seen for m in one["mixtures"]} == set(layers)
    with torch.no_grad():
        images = torch.stack([s["image"].as_tensor() for s in make_samples()])
        predicted = network.eval()(images).argmax(1)
    assert (predicted == torch.arange(10) % 3).float().mean() > 0.6


@pytest.mark.parametrize("decollate", [True, False])
@pytest.mark.parametrize(
    ("layers", "flow"), [(("2",), "append"), (("input", "2"), "append"), (("input",), "replace"), (("2",), "replace")]
)
def test_a_trainer_shows_what_a_plain_one_shows(decollate, layers, flow):
    """Images, logits and labels of the samples of the batch, of the labels' own kind."""
    network = make_network()
    _, seen = train(network, make_mixup(network, layers, flow), decollate=decollate)
    output = seen[0]["output"]
    if decollate:
        assert len(output) == 4
        assert [item["image"].meta["id"] for item in output] == [0, 1, 2, 3]
        assert [item["pred"].shape for item in output] == [(3,)] * 4
        assert [item["label"] for item in output] == [0, 1, 2, 0]
    else:
        assert output["label"].tolist() == [0, 1, 2, 0]
        assert output["pred"].shape == (4, 3)
        assert output["image"].shape == (4, 1, 8, 7)


@pytest.mark.parametrize(("layers", "flow"), [(("input", "2"), "append"), (("input",), "replace")])
def test_train_metrics_and_postprocessing_are_those_of_a_plain_training(layers, flow):
    network = make_network()
    post = Compose(
        [Activationsd("pred", softmax=True), AsDiscreted(["pred", "label"], argmax=[True, False], to_onehot=3)]
    )
    accuracy = {"accuracy": Accuracy(from_engine(["pred", "label"]))}
    metrics, seen = train(network, make_mixup(network, layers, flow), postprocessing=post, key_train_metric=accuracy)
    assert 0 <= metrics["accuracy"] <= 1
    assert all(item["label"].shape == (3,) for item in seen[0]["output"])


@pytest.mark.parametrize("options", [{"amp": True}, {"accumulation_steps": 2}, {"optim_set_to_none": True}], ids=str)
def test_options_of_the_trainer(options):
    network, plain = make_network(), make_network()
    metrics, _ = train(network, make_mixup(network), **options)
    assert all(np.isfinite(value) for value in metrics.values())
    assert not torch.equal(network[0].weight, plain[0].weight)


def test_accumulated_gradients_are_the_mean_of_those_of_the_batches():
    network, twin = make_network().double(), make_network().double()
    mixup = make_mixup(network).set_random_state(0)
    samples = make_samples()
    prepare, loss = PrepareBatchAttached(mixup), MixupLoss(mixup.groups)
    expected = torch.zeros(())
    for part in (samples[:4], samples[4:8]):
        batch = {
            "image": torch.stack([s["image"].as_tensor() for s in part]).double(),
            "label": torch.tensor([0, 1, 2, 0]),
        }
        image, label = prepare(batch, "cpu")
        (loss(FlowMixupInferer()(image, network), label) / 2).backward()
        state, y = image, nn.functional.one_hot(batch["label"], 3).double()
        labels = [y]
        for index, module in enumerate(twin):
            state = module(state)
            for mixture in mixup.transform.mixtures:
                if mixture.layer == str(index):
                    w, order = mixture.weight, mixture.order
                    state = torch.cat([state, w * state[:4] + (1 - w) * state[:4][order]])
                    labels.append(w * y + (1 - w) * y[order])
        rows = -(torch.cat(labels) * state.log_softmax(1)).sum(1)
        expected = expected + rows.mean() / 2
    wanted = torch.autograd.grad(expected, list(twin.parameters()))
    for p, g in zip(network.parameters(), wanted, strict=True):
        assert torch.allclose(p.grad, g, atol=1e-6)


def test_an_evaluator_in_between_is_not_affected():
    network = make_network(norm=True)
    mixup = make_mixup(network).set_random_state(0)
    prepare = PrepareBatchAttached(mixup)
    images = torch.stack([s["image"].as_tensor() for s in make_samples()])
    outputs: list = []

    def evaluate() -> torch.Tensor:
        outputs.clear()
        evaluator = SupervisedEvaluator(
            device="cpu",
            val_data_loader=DataLoader(Dataset(make_samples()), batch_size=10),
            network=network,
            decollate=False,
        )
        evaluator.add_event_handler("ITERATION_COMPLETED", lambda e: outputs.append(e.state.output["pred"]))
        evaluator.run()
        return outputs[0].as_subclass(torch.Tensor)

    with torch.no_grad():
        plain = copy.deepcopy(network).eval()(images)
    image, label = prepare({"image": images, "label": torch.arange(10) % 3}, "cpu")
    assert torch.equal(evaluate(), plain)
    network.train()
    assert len(network(attached(image, "rows"))) == len(attached(label, "rows")) == 30
    train(network, mixup)
    with torch.no_grad():
        assert torch.equal(evaluate(), copy.deepcopy(network).eval()(images))


def run_of_draws(user_seed: int | None = None) -> list:
    network = make_network()
    mixup = make_mixup(network)
    if user_seed is not None:
        mixup.set_random_state(user_seed)
    _, seen = train(network, mixup, epochs=2)
    return [(m.layer, m.weight, m.order.tolist()) for one in seen for m in one["mixtures"]]


def test_set_determinism_and_the_users_seed():
    try:
        set_determinism(5)
        first = run_of_draws()
        set_determinism(5)
        assert run_of_draws() == first
        set_determinism(6)
        assert run_of_draws() != first
        seeded = run_of_draws(user_seed=3)
        set_determinism(7)
        assert run_of_draws(user_seed=3) == seeded
    finally:
        set_determinism(None)


def test_only_the_first_batch_takes_a_number_from_torch_and_none_if_it_is_seeded():
    batch = {"image": torch.rand(4, 1, 8, 8), "label": torch.tensor([0, 1, 2, 0])}
    numpy_state = np.random.get_state()[1].tolist()  # noqa: NPY002
    class_state = MixBatchd.R.get_state()[1].tolist()
    prepare = PrepareBatchAttached(MixBatchd.mixup("image", num_classes=3))
    states = [torch.get_rng_state()]
    for _ in range(3):
        prepare(batch, "cpu")
        states.append(torch.get_rng_state())
    assert [torch.equal(a, b) for a, b in itertools.pairwise(states)] == [False, True, True]
    PrepareBatchAttached(MixBatchd.mixup("image", num_classes=3).set_random_state(0))(batch, "cpu")
    assert torch.equal(torch.get_rng_state(), states[-1])
    assert np.random.get_state()[1].tolist() == numpy_state  # noqa: NPY002
    assert MixBatchd.R.get_state()[1].tolist() == class_state  # that all transforms share


def test_a_batch_that_does_not_get_to_the_network_leaves_it_plain():
    network = make_network()
    mixup = make_mixup(network, ("input", "2"))
    batch = {"image": torch.rand(4, 1, 8, 8), "label": torch.tensor([0, 1, 2, 0]), "mask": torch.ones(4, 1, 8, 8)}
    prepare = PrepareBatchAttached(mixup)
    for error, given in (
        (KeyError, {"image": batch["image"]}),
        (ValueError, batch | {"label": torch.tensor([0, 1, 2, 3])}),
        (ValueError, batch | {"mask": torch.ones(3, 1, 8, 8)}),
        (TypeError, batch | {"has_mask": torch.ones(4)}),
    ):
        with pytest.raises(error):
            prepare(given, "cpu")
        assert hooks(network) == []
        assert network(batch["image"]).shape == (4, 3)


def test_a_forgotten_inferer_or_loss_is_an_error():
    network = make_network()
    batch = {"image": torch.rand(4, 1, 8, 8), "label": torch.tensor([0, 1, 2, 0])}
    image, label = PrepareBatchAttached(make_mixup(network))(batch, "cpu")
    with pytest.raises(RuntimeError, match=r"attached 'rows' was taken: .*for images FlowMixupInferer"):
        network(image)
    pred = FlowMixupInferer()(image, network)
    with pytest.raises(RuntimeError, match=r"attached 'rows' was taken: the training lacks MixupLoss"):
        nn.CrossEntropyLoss()(pred, label)


def test_options_of_to():
    image, label = PrepareBatchAttached(MixBatchd.mixup("image"))(
        {"image": torch.rand(2, 1, 4), "label": torch.eye(2)}, "cpu", non_blocking=True, dtype=torch.double
    )
    assert image.dtype == attached(label, "rows").dtype == torch.double
    assert attached(label, "rows").shape == (2, 2)


def test_two_processes(of_two_processes: Path):
    for setting in mixup_ddp.SETTINGS:
        ranks = [torch.load(of_two_processes / f"{setting}_{rank}.pt", weights_only=True) for rank in range(2)]
        drawn = [[one["mixtures"] for one in steps] for steps in ranks]
        assert len({weight for steps in drawn for step in steps for _, weight, _ in step}) > mixup_ddp.STEPS
        for step in range(mixup_ddp.STEPS):
            network = mixup_ddp.network()
            total = torch.zeros(())
            for rank in range(2):
                batch = mixup_ddp.part(rank)
                y = nn.functional.one_hot(batch["label"], 3).double()
                labels, state = y, batch["image"]
                for name, module in (("input", nn.Identity()), *network.named_children()):
                    state = module(state)
                    for layer, weight, order in drawn[rank][step]:
                        if layer == name:
                            mixed = weight * state[:3] + (1 - weight) * state[:3][order]
                            mixed_y = weight * y + (1 - weight) * y[order]
                            append = setting == "flow_mixup"
                            state = torch.cat([state, mixed]) if append else mixed
                            labels = torch.cat([labels, mixed_y]) if append else mixed_y
                total = total - (labels * state.log_softmax(1)).sum(1).mean() / 2
            wanted = torch.autograd.grad(total, list(network.parameters()))
            for rank in range(2):
                for found, g in zip(ranks[rank][step]["gradients"], wanted, strict=True):
                    assert torch.allclose(found, g, atol=1e-6), (setting, step, rank)
