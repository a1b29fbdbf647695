# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Flow-Mixup in a stock trainer: alone, distributed, and with an ISNet."""

from __future__ import annotations

import copy
import itertools
import warnings
from pathlib import Path

import mixup_ddp
import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.utils import set_determinism
from torch import nn

from monai_debias.engines.flow_mixup import PrepareBatchFlowMixup
from monai_debias.engines.isnet import PrepareBatchISNet
from monai_debias.handlers.loss_terms import LossTerms
from monai_debias.inferers.isnet import ISNetInferer
from monai_debias.losses.flow_mixup import FlowMixupLoss
from monai_debias.losses.isnet import ISNetLRPLoss
from monai_debias.relevance import LRP
from monai_debias.transforms.mixup import FlowMixupd


def make_network(norm: bool = False) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.BatchNorm2d(4) if norm else nn.Identity(),
            nn.ReLU(),
            nn.Conv2d(4, 5, 3),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(5, 3),
        )


def make_samples(n: int = 10) -> list[dict]:
    """The class is the brightness; 10 samples in batches of 4 end with one of 2."""
    generator = torch.Generator().manual_seed(1)
    return [
        {
            "image": MetaTensor(torch.rand(1, 8, 7, generator=generator) + 2 * (i % 3), meta={"id": i}),
            "label": i % 3,
            "mask": (torch.rand(1, 8, 7, generator=generator) > 0.5).float(),
            "has_mask": i % 4 != 1,
        }
        for i in range(n)
    ]


def make_mixup(
    network: nn.Module, layers=("2", "3"), flow: str = "append", select: str = "all", **options
) -> FlowMixupd:
    return FlowMixupd("image", network=network, layers=layers, flow=flow, select=select, num_classes=3, **options)


def train(
    network: nn.Module, mixup: FlowMixupd, epochs: int = 1, lr: float = 0.1, **options
) -> tuple[dict, list[dict]]:
    """Train with stock parts and return the metrics and, of each iteration, the loss and the mixtures."""
    loss, seen = FlowMixupLoss(mixup.groups), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of MONAI's and torch's amp for CUDA
        trainer = SupervisedTrainer(
            device="cpu",
            max_epochs=epochs,
            train_data_loader=DataLoader(Dataset(make_samples()), batch_size=4),
            network=network,
            optimizer=torch.optim.SGD(network.parameters(), lr=lr),
            loss_function=loss,
            prepare_batch=PrepareBatchFlowMixup(mixup),
            train_handlers=[LossTerms(loss)],
            **options,
        )
    trainer.add_event_handler(
        "ITERATION_COMPLETED",
        lambda engine: seen.append({"output": engine.state.output, "mixtures": mixup.transform.mixtures}),
    )
    trainer.run()
    return trainer.state.metrics, seen


def hooks(network: nn.Module) -> list[str]:
    own = [name for name, m in network.named_modules() if m._forward_hooks or m._forward_pre_hooks]
    return own + ["global"] * len(nn.modules.module._global_forward_pre_hooks)


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
@pytest.mark.parametrize("layers", [("2",), ("input", "2")])
def test_what_the_trainer_shows_of_an_iteration(decollate, layers):
    network = make_network()
    _, seen = train(network, make_mixup(network, layers), decollate=decollate)
    rows = 4 * (1 + len(layers))
    output = seen[0]["output"]
    if decollate:
        assert len(output) == rows
        assert [item["image"].meta["id"] for item in output[:4]] == [0, 1, 2, 3]
        assert [item["pred"].shape for item in output] == [(3,)] * rows
        assert [item["label"].argmax().item() for item in output[:4]] == [0, 1, 2, 0]
    else:
        assert len(output["pred"]) == len(output["label"]) == rows
        assert len(output["image"]) == (4 if layers == ("2",) else 8)


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
    prepare, loss = PrepareBatchFlowMixup(mixup), FlowMixupLoss(mixup.groups)
    expected = torch.zeros(())
    for part in (samples[:4], samples[4:8]):
        batch = {
            "image": torch.stack([s["image"].as_tensor() for s in part]).double(),
            "label": torch.tensor([0, 1, 2, 0]),
        }
        image, label = prepare(batch, "cpu")
        (loss(network(image), label) / 2).backward()
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
    prepare = PrepareBatchFlowMixup(mixup)
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
    assert len(network(image)) == len(label) == 30
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
    class_state = FlowMixupd.R.get_state()[1].tolist()
    prepare = PrepareBatchFlowMixup(FlowMixupd.mixup("image", num_classes=3))
    states = [torch.get_rng_state()]
    for _ in range(3):
        prepare(batch, "cpu")
        states.append(torch.get_rng_state())
    assert [torch.equal(a, b) for a, b in itertools.pairwise(states)] == [False, True, True]
    PrepareBatchFlowMixup(FlowMixupd.mixup("image", num_classes=3).set_random_state(0))(batch, "cpu")
    assert torch.equal(torch.get_rng_state(), states[-1])
    assert np.random.get_state()[1].tolist() == numpy_state  # noqa: NPY002
    assert FlowMixupd.R.get_state()[1].tolist() == class_state  # that all transforms share


def test_a_batch_that_does_not_get_to_the_network_leaves_it_plain():
    network = make_network()
    mixup = make_mixup(network, ("input", "2"), mask_key="mask")
    batch = {"image": torch.rand(4, 1, 8, 8), "label": torch.tensor([0, 1, 2, 0]), "mask": torch.ones(4, 1, 8, 8)}

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    for prepare, error, given in (
        (PrepareBatchFlowMixup(mixup, stop), KeyboardInterrupt, batch),
        (PrepareBatchFlowMixup(mixup, PrepareBatchISNet(mask_key="other")), KeyError, batch),
        (PrepareBatchFlowMixup(mixup), KeyError, {key: batch[key] for key in ("image", "label")}),
        (PrepareBatchFlowMixup(mixup), ValueError, batch | {"label": torch.tensor([0, 1, 2, 3])}),
        (PrepareBatchFlowMixup(mixup), ValueError, batch | {"mask": torch.ones(3, 1, 8, 8)}),
    ):
        with pytest.raises(error):
            prepare(given, "cpu")
        assert hooks(network) == []
        assert network(batch["image"]).shape == (4, 3)


def test_arguments():
    with pytest.raises(TypeError, match="mixup must be a FlowMixupd, got FlowMixup"):
        PrepareBatchFlowMixup(FlowMixupd.mixup("image").transform)
    image, label = PrepareBatchFlowMixup(FlowMixupd.mixup("image"))(
        {"image": torch.rand(2, 1, 4), "label": torch.eye(2)}, "cpu", non_blocking=True, dtype=torch.double
    )
    assert image.dtype == torch.double
    assert label.shape == (2, 2)


def test_two_processes(tmp_path: Path):
    torch.multiprocessing.spawn(mixup_ddp.train, (2, str(tmp_path)), nprocs=2)
    for setting in mixup_ddp.SETTINGS:
        ranks = [torch.load(tmp_path / f"{setting}_{rank}.pt") for rank in range(2)]
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


def isnet_batch() -> dict[str, torch.Tensor]:
    samples = make_samples(4)
    return {
        "image": torch.stack([s["image"].as_tensor() for s in samples]),
        "label": torch.tensor([0, 1, 2, 0]),
        "mask": torch.stack([s["mask"] for s in samples]),
    }


def test_appended_rows_do_not_change_the_heatmap_of_an_isnet():
    network, batch = make_network(), isnet_batch()
    mixup = make_mixup(network, mask_key="mask").set_random_state(0)
    prepare = PrepareBatchFlowMixup(mixup, PrepareBatchISNet())
    for flag in (None, torch.tensor([True, False, True, False]), torch.ones(4, dtype=torch.bool)):
        given = batch | ({} if flag is None else {"has_mask": flag})
        for target in ("selective", "all", "dual", 1):
            image, found, _, options = prepare(given, "cpu")
            assert image is batch["image"] or torch.equal(image, batch["image"])
            assert found["label"].shape == (12, 3)
            assert found["mask"].shape == (4, 1, 8, 7)
            explained = list(range(4)) if flag is None else flag.nonzero().flatten().tolist()
            assert options["rows"].tolist() == explained
            prediction = ISNetInferer(target)(image, network, **options)
            plain = ISNetInferer(target)(image, make_network())
            assert prediction["logits"].shape == (12, 3)
            assert torch.allclose(prediction["logits"][:4], plain["logits"], atol=1e-6)
            assert prediction["heatmap"].abs().max() > 1e-4
            assert torch.allclose(prediction["heatmap"], plain["heatmap"][explained], atol=1e-6), target


def test_deep_supervision_of_layers_up_to_the_first_mixed_state():
    network, batch, layers = make_network(), isnet_batch(), ("0", "2")
    mixup = make_mixup(network, ["2"], mask_key="mask").set_random_state(0)
    prepare = PrepareBatchFlowMixup(mixup, PrepareBatchISNet())
    image, _, _, options = prepare(batch, "cpu")
    found = ISNetInferer(layers=layers)(image, network, **options)["heatmap"]
    plain = ISNetInferer(layers=layers)(image, make_network())["heatmap"]
    for layer in ("input", *layers):
        assert found[layer].abs().max() > 1e-4
        assert torch.allclose(found[layer], plain[layer], atol=1e-6)
    image, _, _, options = prepare(batch, "cpu")
    with pytest.raises(ValueError, match=r"layer '3' .*with Flow-Mixup name a layer in front of"):
        ISNetInferer(layers=["3"])(image, network, **options)


@pytest.mark.parametrize("select", ["all", "random"])
@pytest.mark.parametrize("reduction", ["mean", "none", "sum"])
def test_the_loss_of_an_isnet_with_appended_rows(reduction, select):
    network, batch = make_network(), isnet_batch()
    mixup = make_mixup(network, select=select, mask_key="mask").set_random_state(0)
    flag = torch.tensor([True, False, True, True])
    image, target, _, options = PrepareBatchFlowMixup(mixup, PrepareBatchISNet())(batch | {"has_mask": flag}, "cpu")
    inner = FlowMixupLoss(mixup.groups, reduction="mean" if reduction == "mean" else "none")
    loss = ISNetLRPLoss(classification_loss=inner, relevance_weight=0.3, reduction=reduction)
    prediction = ISNetInferer()(image, network, **options)
    value = loss(prediction, target)
    n = len(target["label"])
    value = value / n if reduction == "sum" else value
    if reduction == "none":
        assert value.shape == (n,)
    classes = FlowMixupLoss(mixup.groups)(prediction["logits"], target["label"])
    masked = {"label": torch.zeros(3).long(), "mask": batch["mask"][flag]}
    heat = ISNetLRPLoss(relevance_weight=0.5)
    both = heat({"logits": prediction["logits"][:3], "heatmap": prediction["heatmap"]}, masked)
    expected = 0.7 * classes + 0.3 * (2 * both - heat.terms["classification"])
    assert value.mean().item() == pytest.approx(expected.item(), rel=1e-5)
    assert inner.terms.keys() == set(mixup.groups)
    value.mean().backward()
    assert all(p.grad.abs().sum() > 0 for p in network.parameters())


def test_a_replaced_state_is_explained_through_the_mixture():
    """R of sample i is x_i times the derivative of the sum of all explained scalars, as ε = 0 is Gradient × Input."""
    network, batch = make_network().double(), isnet_batch()
    batch["image"] = batch["image"].double()
    mixup = make_mixup(network, ["2"], "replace", mask_key="mask").set_random_state(1)
    prepare = PrepareBatchFlowMixup(mixup, PrepareBatchISNet())
    for flag in (None, torch.tensor([True, False, True, False])):
        image, target, _, options = prepare(batch | ({} if flag is None else {"has_mask": flag}), "cpu")
        found = ISNetInferer(1, epsilon=0)(image, network, **options)
        weight, order = mixup.transform.mixtures[0][1:]
        assert sum(order != np.arange(4)) > 1
        x = batch["image"].clone().requires_grad_()
        hidden = network[:3](x)
        logits = network[3:](weight * hidden + (1 - weight) * hidden[order])
        rows = list(range(4)) if flag is None else flag.nonzero().flatten().tolist()
        expected = (x * torch.autograd.grad(logits[rows, 1].sum(), x)[0])[rows]
        assert torch.allclose(found["logits"], logits, atol=1e-12)
        assert torch.allclose(found["heatmap"][:, 0], expected, atol=1e-12)
        assert target["label"].shape == (4, 3)
        assert target["mask"] is batch["mask"] or torch.equal(target["mask"], batch["mask"])


@pytest.mark.parametrize("flow", ["append", "replace"])
def test_mixed_images_are_explained_by_masks_of_their_own(flow):
    network, batch = make_network(), isnet_batch()
    mixup = make_mixup(network, ("input", "3"), flow, mask_key="mask").set_random_state(1)
    flag = torch.tensor([True, False, True, True])
    image, target, _, options = PrepareBatchFlowMixup(mixup, PrepareBatchISNet())(batch | {"has_mask": flag}, "cpu")
    order = mixup.transform.mixtures[0].order
    assert order[1] != 1  # so that some flags differ
    union, both = torch.maximum(batch["mask"], batch["mask"][order]), flag & flag[order]
    if flow == "append":
        union, both = torch.cat([batch["mask"], union]), torch.cat([flag, both])
    assert torch.equal(target["mask"], union)
    assert torch.equal(target["has_mask"], both)
    assert options["rows"].tolist() == both.nonzero().flatten().tolist()
    prediction = ISNetInferer()(image, network, **options)
    assert len(prediction["heatmap"]) == both.sum()
    assert len(prediction["logits"]) == len(target["label"]) == (12 if flow == "append" else 4)
    value = ISNetLRPLoss(classification_loss=FlowMixupLoss(mixup.groups))(prediction, target)
    value.backward()
    assert value.isfinite()


@pytest.mark.parametrize("flow", ["append", "replace"])
def test_an_isnet_in_a_stock_trainer(flow):
    network = make_network(norm=True)
    mixup = make_mixup(network, ("2", "3"), flow, "all" if flow == "append" else "random", mask_key="mask")
    inner = FlowMixupLoss(mixup.groups)
    loss = ISNetLRPLoss(classification_loss=inner)
    trainer = SupervisedTrainer(
        device="cpu",
        max_epochs=2,
        train_data_loader=DataLoader(Dataset(make_samples()), batch_size=4),
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.01),
        loss_function=loss,
        prepare_batch=PrepareBatchFlowMixup(mixup.set_random_state(0), PrepareBatchISNet()),
        inferer=ISNetInferer(interval=2),
        train_handlers=[LossTerms(loss), LossTerms(inner)],
        decollate=False,
    )
    trainer.run()
    expected = {f"{group}_loss" for group in mixup.groups}
    expected |= {"classification_loss", "background_loss", "foreground_loss", "relevance_weight"}
    assert set(trainer.state.metrics) == expected
    assert hooks(network) == []


def test_relevance_of_all_rows_is_refused_where_rows_are_appended():
    network, batch = make_network(), isnet_batch()
    mixup = make_mixup(network)
    image = mixup(batch)["image"]
    with pytest.raises(
        ValueError, match=r"returned shape \(12, 3\), expected logits \(4, K\).*name the rows to explain"
    ):
        LRP(network)(image)
    assert hooks(network) == []
    mixup(batch)
    _, relevance = LRP(network)(image, rows=torch.tensor([3, 1]))
    assert torch.allclose(relevance, LRP(make_network())(image)[1][[3, 1]], atol=1e-6)
    mixup(batch)
    with pytest.raises(ValueError, match="distinct indices from 0 to 3"):
        LRP(network)(image, rows=torch.tensor([4]))
    mixup.disarm()


@pytest.mark.parametrize("target", ["label", "selective_label"])
def test_an_isnet_cannot_explain_labels_that_are_mixed(target):
    network, batch = make_network(), isnet_batch()
    image, _, _, options = PrepareBatchFlowMixup(make_mixup(network), PrepareBatchISNet())(batch, "cpu")
    with pytest.raises(ValueError, match="labels"):
        ISNetInferer(target)(image, network, **options)


def test_an_isnet_refuses_masks_and_flags_of_another_batch():
    logits, heatmap = torch.zeros(8, 3), torch.rand(4, 1, 1, 6, 6)
    target = {"label": torch.zeros(8, dtype=torch.long), "mask": torch.ones(9, 1, 6, 6)}
    loss = ISNetLRPLoss()
    with pytest.raises(ValueError, match="8 rows of logits, but masks of shape"):
        loss({"logits": logits, "heatmap": heatmap}, target)
    target["mask"] = torch.ones(4, 1, 6, 6)
    for flag in (torch.ones(8, dtype=torch.bool), torch.ones(3, dtype=torch.bool), torch.ones(4)):
        with pytest.raises(ValueError, match=r"has_mask must be boolean of shape \(4,\)"):
            loss({"logits": logits, "heatmap": heatmap}, target | {"has_mask": flag})
    with pytest.raises(ValueError, match="heatmap"):  # of more rows than have a mask
        loss({"logits": logits, "heatmap": torch.rand(8, 1, 1, 6, 6)}, target)


def test_images_of_an_isnet_are_not_mixed_without_their_masks():
    with pytest.raises(ValueError, match="give the FlowMixupd their mask_key"):
        PrepareBatchFlowMixup(FlowMixupd.mixup("image", num_classes=3), PrepareBatchISNet())
