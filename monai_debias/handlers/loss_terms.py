# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Show the terms of a loss where a training shows its metrics."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents

from monai_debias.parameters import Having, expects

__all__ = ["LossTerms"]


class LossTerms:
    """Write the terms of a loss, and for an ISNet the relevance weight P, to a trainer's metrics.

    ``StatsHandler`` and ``TensorBoardStatsHandler`` show them with the other metrics of an epoch: ``{term}_loss``, the
    mean over the iterations of the epoch so far that had this term (without a heatmap there is no background), and
    ``relevance_weight``, the present P. In distributed training they are those of the own process.

    Args:
        loss: ``ISNetLRPLoss``, ``SpectralDecouplingLoss``, ``FlowMixupLoss``, or any loss with a mapping of scalars
            ``terms``.

    Raises:
        TypeError: when the loss has no ``terms``.

    Example:
        >>> from types import SimpleNamespace
        >>> loss = SimpleNamespace(terms={"classification": 0.5}, relevance_weight=0.25)
        >>> engine = Engine(lambda engine, batch: engine.fire_event(IterationEvents.LOSS_COMPLETED))
        >>> engine.register_events(*IterationEvents)
        >>> LossTerms(loss).attach(engine)
        >>> engine.run([0, 1]).metrics
        {'classification_loss': 0.5, 'relevance_weight': 0.25}
    """

    @expects(loss=Having("terms"))
    def __init__(self, loss: Any) -> None:
        self.loss = loss
        self._sums: dict[str, tuple[float, int]] = {}

    def attach(self, engine: Engine) -> None:
        """Attach to a MONAI trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self._update)

    def _start(self, engine: Engine) -> None:
        self._sums = {}

    def _update(self, engine: Engine) -> None:
        for name, value in self.loss.terms.items():
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = total + float(value), count + 1
            engine.state.metrics[f"{name}_loss"] = self._sums[name][0] / self._sums[name][1]
        if hasattr(self.loss, "relevance_weight"):
            engine.state.metrics["relevance_weight"] = float(self.loss.relevance_weight)
