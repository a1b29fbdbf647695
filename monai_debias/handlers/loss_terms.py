# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Show the terms of losses among the metrics of a training."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents

from monai_debias.constraints import ANY
from monai_debias.losses.nested import part_with, parts_of, present_terms
from monai_debias.parameters import expects
from monai_debias.without_waiting import follow, look, training_step

__all__ = ["LossTerms"]


class LossTerms:
    """Write the terms of a loss and of those inside it, and an ISNet's relevance weight P, to a trainer's metrics.

    ``StatsHandler`` and ``TensorBoardStatsHandler`` show them with the other metrics of an epoch: ``{term}_loss``, the
    mean over the iterations of the epoch so far that had this term (without a heatmap there is no background term), and
    ``relevance_weight``, the present P. If nested losses have terms of the same name, the one of the inner loss counts:
    ``classification_loss`` is without the penalty of spectral decoupling, which is a term of its own. In distributed
    training each process shows its own terms. Attaching it twice has no further effect.

    Args:
        loss: ``ISNetLRPLoss``, ``SpectralDecouplingLoss``, ``MixupLoss``, or any loss with a mapping of scalars
            ``terms``, also inside another loss.

    Raises:
        TypeError: when no loss has ``terms``.

    Example:
        >>> from types import SimpleNamespace
        >>> loss = SimpleNamespace(terms={"classification": 0.5}, relevance_weight=0.25)
        >>> engine = Engine(lambda engine, batch: engine.fire_event(IterationEvents.LOSS_COMPLETED))
        >>> engine.register_events(*IterationEvents)
        >>> LossTerms(loss).attach(engine)
        >>> engine.run([0, 1]).metrics
        {'classification_loss': 0.5, 'relevance_weight': 0.25}
    """

    @expects(loss=ANY)
    def __init__(self, loss: Any) -> None:
        part_with(loss, "terms")
        self.loss = loss
        self._sums: dict[str, tuple[float, int]] = {}

    def attach(self, engine: Engine) -> None:
        """Attach to a MONAI trainer."""
        if engine.has_event_handler(self._start):
            return
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self._update)
        follow(engine)

    def _start(self, engine: Engine) -> None:
        self._sums = {}

    def _update(self, engine: Engine) -> None:
        terms = present_terms(self.loss)
        with training_step(self):
            look(partial(self._add, engine, list(terms)), *map(torch.as_tensor, terms.values()))
        for part in parts_of(self.loss):
            weight = getattr(part, "relevance_weight", None)
            if isinstance(weight, float):
                engine.state.metrics["relevance_weight"] = weight

    def _add(self, engine: Engine, names: list[str], *values: torch.Tensor) -> None:
        for name, value in zip(names, values, strict=True):
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = total + value.item(), count + 1
            engine.state.metrics[f"{name}_loss"] = self._sums[name][0] / self._sums[name][1]
