# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints chosen by the exchange of backgrounds, in MONAI's own evaluator, trainer and checkpoint saver."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Events
from ignite.metrics import Accuracy
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import CheckpointSaver, ValidationHandler, from_engine
from torch import nn

from monai_debias.handlers import BackgroundSwapConsistency
from monai_debias.metrics import background_swap_consistency
from tests.samples import NETWORK

_LOADER = "$[{'image': torch.eye(4).reshape(2, 1, 2, 4), 'mask': torch.ones(2, 1, 2, 4)}]"
EXAMPLES = {BackgroundSwapConsistency: [{"network": NETWORK, "loader": _LOADER}]}


CPU = torch.device("cpu")


class Reads(nn.Module):
    """Says class 1 where the left half of an image, its region of interest, or the right half is bright."""

    def __init__(self, foreground: float, background: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([foreground, background]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, 2)."""
        halves = torch.stack([half.flatten(1).mean(1) for half in x.chunk(2, -1)], 1) - 0.25
        evidence = halves @ self.weight
        return torch.stack([-evidence, evidence], 1)


def samples(n: int = 40) -> list[dict]:
    """Both halves tell the label: the data cannot say which one a network should read."""
    labels = torch.arange(n) % 2
    images = 0.5 * labels.float()[:, None, None, None].expand(n, 1, 4, 8)
    mask = torch.zeros(1, 4, 8)
    mask[..., :4] = 1
    return [{"image": x, "label": int(y), "mask": mask} for x, y in zip(images, labels, strict=True)]


def loader(**options) -> DataLoader:
    return DataLoader(Dataset(samples(), **options), batch_size=16)


def evaluator(network: nn.Module, consistency: BackgroundSwapConsistency, **options) -> SupervisedEvaluator:
    accuracy = Accuracy(from_engine(["pred", "label"]))
    return SupervisedEvaluator(
        device=CPU,
        val_data_loader=loader(),
        network=network,
        key_val_metric={"consistent_accuracy": accuracy * consistency},
        additional_metrics={"consistency": consistency},
        **options,
    )


@pytest.mark.parametrize(("foreground", "background", "share"), [(1.0, 0.0, 1.0), (0.0, 1.0, None)])
def test_it_tells_apart_what_accuracy_cannot(foreground, background, share):
    network = Reads(foreground, background)
    engine = evaluator(network, BackgroundSwapConsistency(network, loader()))
    engine.run()
    measured = background_swap_consistency(network, loader()).consistency
    assert engine.state.metrics["consistency"] == measured
    assert engine.state.metrics["consistent_accuracy"] == measured  # the accuracy is 1
    assert measured == share if share else 0.2 < measured < 0.8


@pytest.mark.parametrize("decollate", [True, False])
def test_the_saver_keeps_the_checkpoint_that_does_not_read_the_background(decollate, tmp_path):
    """In the second of three epochs the network reads the region; in the others it is as accurate."""
    network = Reads(0.0, 1.0)
    saver = CheckpointSaver(str(tmp_path), {"model": network}, save_key_metric=True, key_metric_filename="best.pt")
    validator = evaluator(
        network, BackgroundSwapConsistency(network, loader()), val_handlers=[saver], decollate=decollate
    )
    trainer = SupervisedTrainer(
        device=CPU,
        max_epochs=3,
        train_data_loader=loader(),
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), 1e-12),
        loss_function=nn.CrossEntropyLoss(),
        train_handlers=[ValidationHandler(1, validator)],
    )
    reads = {1: (0.0, 1.0), 2: (1.0, 0.0), 3: (0.0, 1.0)}

    # the first epoch's weights are those of the start
    @trainer.on(Events.EPOCH_STARTED)
    def change() -> None:
        network.weight.data = torch.tensor(reads[trainer.state.epoch])

    trainer.run()
    kept = torch.load(tmp_path / "best.pt", weights_only=True)["weight"]
    torch.testing.assert_close(kept, torch.tensor([1.0, 0.0]), atol=1e-6, rtol=0)
    assert validator.state.metrics["consistency"] < 0.8  # of the last epoch, measured anew
    assert network.training  # as the trainer left it


def test_normalize_and_keys_are_passed_on():
    network = Reads(0.0, 1.0)
    renamed = [{"x": torch.rand(6, 1, 4, 8), "roi": torch.eye(8)[None, None, :4].expand(6, 1, 4, 8)}]
    options = {"normalize": lambda x: 1 - x, "n_swaps": 3, "image_key": "x", "mask_key": "roi", "seed": 2}
    consistency = BackgroundSwapConsistency(network, renamed, **options)
    engine = evaluator(network, consistency)
    engine.run()
    assert engine.state.metrics["consistency"] == background_swap_consistency(network, renamed, **options).consistency


def test_an_iterator_is_refused():
    with pytest.raises(TypeError, match="again in each epoch, so it cannot be an iterator such as list_iterator"):
        BackgroundSwapConsistency(Reads(1.0, 0.0), iter([]))


def test_images_without_masks_are_refused():
    network = Reads(1.0, 0.0)
    engine = evaluator(network, BackgroundSwapConsistency(network, [{"image": torch.rand(2, 1, 4, 8)}]))
    with pytest.raises(KeyError, match="has no 'mask'"):
        engine.run()
