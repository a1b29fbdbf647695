# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.engines.utils import IterationEvents
from monai.handlers import StatsHandler, TensorBoardStatsHandler, from_engine

from monai_debias.handlers.loss_terms import LossTerms
from monai_debias.inferers.isnet import ISNetInferer
from monai_debias.losses.isnet import ISNetLRPLoss
from tests.handlers.isnet_training import WEIGHT, make_batches, make_images, make_trainer

EXAMPLES = {LossTerms: [{"loss": {"_target_": "monai_debias.losses.ISNetLRPLoss"}}]}


def test_the_terms_of_the_loss_are_logged(tmp_path, caplog):
    batches = make_batches(make_images(12), [True] * 4 + [False] * 4 + [True] * 4)
    inferer, loss = ISNetInferer(), ISNetLRPLoss(relevance_weight=WEIGHT)
    means: dict[str, list[list[float]]] = {"classification": [], "background": [], "foreground": []}
    metrics: list[dict[str, float]] = []

    def record(engine: Any) -> None:
        if engine.state.iteration % len(batches) == 1:
            for values in means.values():
                values.append([])
        for name, value in loss.terms.items():
            means[name][-1].append(value.item())

    first = from_engine(["loss"], first=True)
    logging.getLogger("loss_terms").addHandler(caplog.handler)  # MONAI's loggers do not propagate
    handlers = [
        StatsHandler(name="loss_terms", output_transform=first),
        TensorBoardStatsHandler(log_dir=str(tmp_path), output_transform=first),
        LossTerms(loss),
    ]
    trainer = make_trainer(batches, inferer, loss, handlers, epochs=2, lr=0.01)
    trainer.add_event_handler(IterationEvents.LOSS_COMPLETED, record)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: metrics.append(dict(engine.state.metrics)))
    trainer.run()
    assert [len(values) for values in means["background"]] == [2, 2]
    for name, values in means.items():
        assert [m[f"{name}_loss"] for m in metrics] == pytest.approx([np.mean(v) for v in values])
    assert [m["relevance_weight"] for m in metrics] == [WEIGHT, WEIGHT]
    assert metrics[0] != metrics[1]
    assert metrics[1]["background_loss"] > 0.01
    assert f"background_loss: {metrics[1]['background_loss']:.4f}" in caplog.text
    assert f"relevance_weight: {WEIGHT:.4f}" in caplog.text
    assert b"background_loss" in next(tmp_path.iterdir()).read_bytes()


def test_a_loss_without_terms_is_an_error():
    with pytest.raises(TypeError, match="CrossEntropyLoss has no loss inside with terms"):
        LossTerms(torch.nn.CrossEntropyLoss())
    assert LossTerms(SimpleNamespace(terms={}, relevance_weight=0.0))
