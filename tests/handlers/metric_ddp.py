# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What each of the processes of test_classification_metric does: an evaluation of its share of the samples."""

from __future__ import annotations

from pathlib import Path

import torch
from monai.engines import SupervisedEvaluator
from monai.transforms import Activationsd

from monai_debias.handlers import ClassificationMetric


def samples() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and labels of eleven samples, of which some labels are missing."""
    generator = torch.Generator().manual_seed(0)
    logits, label = torch.randn(11, 2, generator=generator), (torch.rand(11, 2, generator=generator) < 0.5).float()
    label[3, 0] = label[10, 1] = -1
    return logits, label


def measured(logits: torch.Tensor, label: torch.Tensor) -> float:
    loader = [{"image": x, "label": y} for x, y in zip(logits.split(2), label.split(2), strict=True)]
    evaluator = SupervisedEvaluator(
        torch.device("cpu"),
        loader,
        torch.nn.Identity(),
        postprocessing=Activationsd("pred", sigmoid=True),
        key_val_metric=ClassificationMetric.as_key_metric("multi_label", ignore_value=-1),
    )
    evaluator.run()
    return evaluator.state.metrics["val_roc_auc"]


def train(rank: int, folder: Path) -> None:
    share = slice(0, 4) if rank == 0 else slice(4, 11)  # of different sizes
    torch.save(measured(*(part[share] for part in samples())), folder / f"metric_{rank}.pt")
