# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Keep the weights of the epoch that validates best."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Mapping
from typing import Any

import torch
from ignite.engine import Events
from monai.engines import Evaluator
from monai.utils import is_scalar

from monai_debias.constraints import MODULE
from monai_debias.networks import unwrapped
from monai_debias.parameters import expects

__all__ = ["BestModel"]


class BestModel:
    """Keep the weights of the network with the best validation metric; of equal ones, the latest.

    Attach it to a MONAI evaluator, whose ``metric_cmp_fn`` says which of two values is better, and give it to
    :class:`ResumableTraining`, which writes the weights to ``model.pt``. A metric that is NaN or infinite never counts.

    It takes the place of MONAI's ``CheckpointSaver``, which deletes the old file before it writes the new one and keeps
    the metric apart from the weights, so that an interruption can lose the model, or restore the metric of another.

    Args:
        network: the network whose weights are kept, on the CPU; if it is wrapped, those of the network inside.

    Raises:
        ValueError: when it is attached to an evaluator without a key metric; in a validation, when the key metric is
            not a single number.

    Example:
        >>> from ignite.metrics import Accuracy
        >>> from monai.engines import SupervisedEvaluator
        >>> from monai.handlers import from_engine
        >>> network = torch.nn.Linear(2, 2)
        >>> best = BestModel(network)
        >>> evaluator = SupervisedEvaluator(
        ...     torch.device("cpu"), [{"image": torch.zeros(1, 2), "label": torch.tensor([0])}], network,
        ...     key_val_metric={"accuracy": Accuracy(from_engine(["pred", "label"]))}, decollate=False,
        ...     val_handlers=[best],
        ... )
        >>> _ = torch.nn.init.constant_(network.bias, 0.0)
        >>> evaluator.run(global_epoch=3)
        >>> best.score, best.epoch, best.weights["bias"]
        (1.0, 3, tensor([0., 0.]))
    """

    @expects(network=MODULE)
    def __init__(self, network: torch.nn.Module) -> None:
        self.network = network
        self.evaluator: Evaluator | None = None
        self.metric: str | None = None
        self.score: float | None = None
        self.epoch = 0
        self.weights: dict[str, Any] = {}
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: Evaluator) -> None:
        """Attach to a MONAI evaluator."""
        self.evaluator, self.metric = engine, engine.state.key_metric_name
        if self.metric is None:
            raise ValueError("the evaluator has no key_val_metric to choose the best model by; give it one.")
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._compare)

    def state_dict(self) -> dict[str, Any]:
        """The best score so far, the name of its metric, its epoch, and the weights."""
        return {"metric": self.metric, "score": self.score, "epoch": self.epoch, "weights": self.weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave; it must be of the same metric."""
        if state["metric"] != self.metric:
            raise ValueError(
                f"its best model was chosen by {state['metric']}, but the key metric is {self.metric} now."
            )
        self.score, self.epoch, self.weights = state["score"], state["epoch"], state["weights"]
        if self.evaluator is not None and self.score is not None:  # which its log reports
            self.evaluator.state.best_metric, self.evaluator.state.best_metric_epoch = self.score, self.epoch

    def _compare(self, engine: Evaluator) -> None:
        value = engine.state.metrics[self.metric]
        if not is_scalar(value):
            raise ValueError(
                f"the key metric {self.metric} must be one number to choose the best model by, got {value}."
            )
        score = float(value)
        if not math.isfinite(score):
            self.logger.warning("%s is %s in epoch %d, which does not count.", self.metric, score, engine.state.epoch)
        elif self.score is None or score == self.score or engine.metric_cmp_fn(score, self.score):
            self.score, self.epoch, self.weights = score, engine.state.epoch, _weights(self.network)


def _weights(network: torch.nn.Module) -> dict[str, Any]:
    state = unwrapped(network).state_dict()
    for name, value in state.items():
        state[name] = value.detach().to("cpu", copy=True) if isinstance(value, torch.Tensor) else copy.deepcopy(value)
    return state
