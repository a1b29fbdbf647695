# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Small trainings with ISNet whose relevance is known, for the tests of its handlers."""

from __future__ import annotations

from typing import Any

import torch
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents

from monai_debias.attached import attached
from monai_debias.engines.prepare_batch import PrepareBatchAttached
from monai_debias.inferers.isnet import ISNetInferer
from monai_debias.losses.isnet import ISNetLRPLoss

WEIGHT = 0.6  # P


class Probe:
    """Records in every iteration what the loss was asked for."""

    def __init__(self, loss: ISNetLRPLoss, inferer: ISNetInferer) -> None:
        self.loss, self.inferer = loss, inferer
        self.seen: list[tuple[int, float, bool, bool]] = []

    def attach(self, engine: SupervisedTrainer) -> None:
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self._record)

    def _record(self, engine: Any) -> None:
        heatmap = attached(engine.state.output["pred"], "heatmap") is not None
        self.seen.append((engine.state.epoch, self.loss.relevance_weight, self.inferer.active, heatmap))


def make_images(n: int, spread: float = 0.3) -> torch.Tensor:
    """Images whose sums, and so whose relevance in a linear network, differ by about the share ``spread``."""
    generator = torch.Generator().manual_seed(0)
    factors = 1 + spread * torch.randn(n, 1, 1, 1, generator=generator)
    return factors * (0.5 + torch.rand(1, 1, 4, 4, generator=generator))


def make_batches(images: torch.Tensor, has_mask: list[bool] | None = None, size: int = 4) -> list[dict]:
    flags = torch.tensor(has_mask or [True] * len(images))
    whole = {
        "image": images,
        "label": torch.arange(len(images)) % 2,
        "mask": flags[:, None, None, None] * torch.ones(len(images), 1, 4, 4).tril(),
        "has_mask": flags,
    }
    return [{key: value[i : i + size] for key, value in whole.items()} for i in range(0, len(images), size)]


def make_network() -> torch.nn.Module:
    """Linear, so that a logit's relevance is known: weight times input."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1, bias=False), torch.nn.Flatten(), torch.nn.Linear(32, 2))


def make_trainer(
    batches: list[dict], inferer: ISNetInferer, loss: Any, handlers: list, epochs: int, lr: float = 0.0, **kwargs: Any
) -> SupervisedTrainer:
    network = kwargs.pop("network", None) or make_network()
    return SupervisedTrainer(
        device="cpu",
        max_epochs=epochs,
        train_data_loader=batches,
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=lr),
        loss_function=loss,
        prepare_batch=PrepareBatchAttached(),
        inferer=inferer,
        train_handlers=handlers,
        **kwargs,
    )
