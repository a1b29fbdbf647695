# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.engines import SupervisedTrainer

from monai_debias.handlers import ResumableTraining
from monai_debias.handlers.relevance_cuts import RelevanceCutTuning
from monai_debias.handlers.relevance_schedule import RelevanceWeightSchedule
from monai_debias.inferers.isnet import ISNetInferer
from monai_debias.losses.isnet import ISNetLRPLoss
from tests.handlers.isnet_training import WEIGHT, Probe, make_batches, make_images, make_network, make_trainer

EXAMPLES = {
    RelevanceCutTuning: [
        {
            "inferer": {"_target_": "monai_debias.inferers.ISNetInferer"},
            "loss": {"_target_": "monai_debias.losses.ISNetLRPLoss"},
            "epochs": 1,
        }
    ]
}


def expected_cuts(totals: np.ndarray) -> list[float]:
    mean, std = totals.mean(), totals.std(ddof=1)
    low = max(mean / 5, mean - 3 * std)
    return [low, min(25 * low, mean + 3 * std)]


def totals_of(network: torch.nn.Module, images: torch.Tensor, logit: int) -> np.ndarray:
    """Total absolute relevance of a logit by plain autograd, which a linear network's relevance is."""
    x = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network(x)[:, logit].sum(), x)
    return (x * gradient).abs().sum((1, 2, 3)).detach().double().numpy()


def flat_cuts(loss: ISNetLRPLoss) -> list[float]:
    return torch.as_tensor(loss.cuts).flatten().tolist()


@pytest.mark.parametrize(("spread", "low_branch"), [(0.02, "3 sigma"), (0.6, "a fifth")])
def test_cuts_are_those_of_the_formula(spread, low_branch):
    images = make_images(22, spread)
    inferer, loss = ISNetInferer(0, blend=False), ISNetLRPLoss(relevance_weight=WEIGHT)
    probe, tuning = Probe(loss, inferer), RelevanceCutTuning(inferer, loss, epochs=2)
    trainer = make_trainer(make_batches(images), inferer, loss, [tuning, probe], epochs=3)
    trainer.run()
    totals = totals_of(trainer.network, images, 0)
    assert (totals.mean() / 5 > totals.mean() - 3 * totals.std(ddof=1)) == (low_branch == "a fifth")
    assert flat_cuts(loss) == pytest.approx(expected_cuts(totals), rel=1e-5)
    assert set(probe.seen) == {(1, 0.0, False, False), (2, 0.0, True, False), (3, WEIGHT, True, True)}
    assert len(probe.seen) == 18
    assert tuning.state_dict() == {"tuned": True}


def test_only_rows_with_a_mask_count_and_each_map_has_its_cuts():
    images, has_mask = make_images(12), [i % 3 != 0 for i in range(12)]
    inferer, loss = ISNetInferer("all", blend=False), ISNetLRPLoss()
    trainer = make_trainer(
        make_batches(images, has_mask), inferer, loss, [RelevanceCutTuning(inferer, loss, epochs=1)], epochs=1
    )
    trainer.run()
    chosen = images[torch.tensor(has_mask)]
    expected = [expected_cuts(totals_of(trainer.network, chosen, logit)) for logit in (0, 1)]
    assert loss.cuts.tolist() == [pytest.approx(pair, rel=1e-5) for pair in expected]


def test_each_layer_has_its_cuts_and_the_checkpoint_has_them():
    images = make_images(12)
    inferer, loss = ISNetInferer(1, layers=["0"], blend=False), ISNetLRPLoss()
    trainer = make_trainer(make_batches(images), inferer, loss, [RelevanceCutTuning(inferer, loss, epochs=1)], epochs=2)
    trainer.run()
    with torch.no_grad():
        hidden = trainer.network[0](images)
    cuts = {
        "input": expected_cuts(totals_of(trainer.network, images, 1)),
        "0": expected_cuts(totals_of(trainer.network[1:], hidden, 1)),
    }
    assert {layer: pairs.flatten().tolist() for layer, pairs in loss.cuts.items()} == {
        layer: pytest.approx(pair, rel=1e-5) for layer, pair in cuts.items()
    }
    other = ISNetLRPLoss()
    other.load_state_dict(loss.state_dict())
    assert torch.equal(other.cuts["0"], loss.cuts["0"])


def test_the_plain_epochs_train_like_plain_cross_entropy():
    batches = make_batches(make_images(8))
    inferer, loss = ISNetInferer(blend=False), ISNetLRPLoss()
    tuned = make_trainer(batches, inferer, loss, [RelevanceCutTuning(inferer, loss, epochs=2)], epochs=2, lr=0.1)
    tuned.run()
    plain_batches = [{key: batch[key] for key in ("image", "label")} for batch in batches]
    network = make_network()
    SupervisedTrainer(
        device="cpu",
        max_epochs=2,
        train_data_loader=plain_batches,
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        loss_function=torch.nn.CrossEntropyLoss(),
    ).run()
    for one, other in zip(tuned.network.parameters(), network.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-7)


def resumable(folder: Path, epochs: int, with_state: bool = True) -> tuple[SupervisedTrainer, ISNetLRPLoss, Probe]:
    inferer, loss = ISNetInferer(), ISNetLRPLoss(relevance_weight=WEIGHT)
    probe, tuning = Probe(loss, inferer), RelevanceCutTuning(inferer, loss, epochs=2)
    network = make_network()
    objects = {"network": network, "loss": loss, **({"tuning": tuning} if with_state else {})}
    handlers = [tuning, probe, ResumableTraining(folder, objects)]
    trainer = make_trainer(make_batches(make_images(8)), inferer, loss, handlers, epochs, network=network)
    trainer.run()
    return trainer, loss, probe


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_restart_goes_on_where_the_tuning_was(tmp_path, stop):
    resumable(tmp_path / "parts", stop)
    _, loss, probe = resumable(tmp_path / "parts", 4)
    _, whole, _ = resumable(tmp_path / "whole", 4)
    assert flat_cuts(loss) == pytest.approx(flat_cuts(whole))
    assert flat_cuts(loss) != pytest.approx(flat_cuts(ISNetLRPLoss()))
    assert {epoch: (weight, active) for epoch, weight, active, _ in probe.seen} == {
        epoch: (WEIGHT, True) if epoch > 2 else (0.0, epoch == 2) for epoch in range(stop + 1, 5)
    }


def test_a_restart_without_the_handlers_state_is_an_error(tmp_path):
    resumable(tmp_path, 3, with_state=False)
    with pytest.raises(RuntimeError, match=r"epoch 4 begins.*tuned in epoch 2: list this handler"):
        resumable(tmp_path, 4, with_state=False)


def run_tuning(
    images: torch.Tensor, has_mask: list[bool] | None = None, schedule: dict | None = None, **kwargs
) -> None:
    inferer, loss = ISNetInferer(0), ISNetLRPLoss()
    handlers: list = [RelevanceCutTuning(inferer, loss, epochs=1)]
    if schedule is not None:
        handlers.append(RelevanceWeightSchedule(loss, schedule, **kwargs))
    make_trainer(make_batches(images, has_mask), inferer, loss, handlers, epochs=2).run()


def test_a_cohort_without_a_spread_is_an_error():
    with pytest.raises(ValueError, match="standard deviation"):
        run_tuning(torch.zeros(8, 1, 4, 4))
    with pytest.raises(ValueError, match="0 or the same for all samples"):
        run_tuning(make_images(8, spread=0.0))
    with pytest.raises(ValueError, match="epoch 1 had no sample with a heatmap"):
        run_tuning(make_images(8), has_mask=[False] * 8)
    with pytest.raises(ValueError, match="only 1 sample"):
        run_tuning(make_images(8), has_mask=[True] + [False] * 7)
    with pytest.raises(FloatingPointError, match="relevance at 'input' is not finite in iteration 2"):
        run_tuning(torch.cat([make_images(4), 3e38 * make_images(4)]))
    with pytest.raises(ValueError, match="is not that of the trainer"):
        make_trainer(
            make_batches(make_images(8)),
            ISNetInferer(),
            loss := ISNetLRPLoss(),
            [RelevanceCutTuning(ISNetInferer(), loss)],
            1,
        ).run()


def test_a_schedule_begins_after_the_tuning():
    with pytest.raises(RuntimeError, match=r"P\) is 0\.5 in the plain epoch 1.*needs delay=1"):
        run_tuning(make_images(8), schedule={"0": 0.5})
    inferer, loss = ISNetInferer(), ISNetLRPLoss(relevance_weight=WEIGHT)
    schedule = RelevanceWeightSchedule(loss, {"0": 0.1, "2": 0.5}, delay=2)
    probe, tuning = Probe(loss, inferer), RelevanceCutTuning(inferer, loss, epochs=2)
    make_trainer(make_batches(make_images(8)), inferer, loss, [schedule, tuning, probe], epochs=5).run()
    assert [weight for _, weight, _, _ in probe.seen] == pytest.approx([0, 0, 0, 0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.5])


def test_all_parts_from_one_config(tmp_path):
    handlers = "monai_debias.handlers"
    config = {
        "network": "$make_network()",
        "epochs": 2,
        "inferer": {"_target_": "monai_debias.inferers.isnet.ISNetInferer", "target": "selective", "layers": ["0"]},
        "loss": {"_target_": "monai_debias.losses.isnet.ISNetLRPLoss"},
        "clipping": {
            "_target_": f"{handlers}.gradient_clipping.GradientClipping",
            "network": "@network",
            "max_norm": 1.0,
        },
        "tuning": {
            "_target_": f"{handlers}.relevance_cuts.RelevanceCutTuning",
            "inferer": "@inferer",
            "loss": "@loss",
            "epochs": "@epochs",
        },
        "schedule": {
            "_target_": f"{handlers}.relevance_schedule.RelevanceWeightSchedule",
            "loss": "@loss",
            "schedule": {"0": 0.0, "1": 0.5},
            "delay": "@epochs",
        },
        "terms": {"_target_": f"{handlers}.loss_terms.LossTerms", "loss": "@loss"},
        "resume": {
            "_target_": f"{handlers}.ResumableTraining",
            "ckpt_dir": str(tmp_path),
            "objects": {"network": "@network", "loss": "@loss", "tuning": "@tuning"},
        },
        "trainer": {
            "_target_": "SupervisedTrainer",
            "device": "cpu",
            "max_epochs": 4,
            "train_data_loader": "$batches",
            "network": "@network",
            "optimizer": "$torch.optim.SGD(@network.parameters(), lr=0.1)",
            "loss_function": "@loss",
            "prepare_batch": {"_target_": "monai_debias.engines.PrepareBatchAttached"},
            "inferer": "@inferer",
            "train_handlers": ["@clipping", "@tuning", "@schedule", "@terms", "@resume"],
            "accumulation_steps": 2,
        },
    }
    batches = make_batches(make_images(16), [True, False] * 8)
    parser = ConfigParser(config, globals={"make_network": make_network, "batches": batches, "torch": torch})
    trainer = parser.get_parsed_content("trainer")
    trainer.run()
    assert trainer.loss_function.cuts.keys() == {"input", "0"}
    assert trainer.state.metrics["relevance_weight"] == 0.5
    assert {
        "classification_loss",
        "background_loss",
        "foreground_loss",
        "gradient_norm",
    } <= trainer.state.metrics.keys()
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    assert state["network"].keys() == make_network().state_dict().keys()
    assert state["tuning"] == {"tuned": True}
    for handler in trainer_handlers(parser):
        assert vars(pickle.loads(pickle.dumps(handler))).keys() == vars(handler).keys()  # noqa: S301


def trainer_handlers(parser: ConfigParser) -> list[Any]:
    return [parser.get_parsed_content(name) for name in ("clipping", "tuning", "schedule", "terms")]


def test_all_processes_tune_from_all_samples(of_two_processes: Path) -> None:
    images = make_images(16)
    expected = expected_cuts(totals_of(make_network(), torch.cat([images[:8], images[12:14]]), 0))
    for rank in range(2):
        found = torch.load(of_two_processes / f"cuts_{rank}.pt", weights_only=True)
        assert found.flatten().tolist() == pytest.approx(expected, rel=1e-5)
