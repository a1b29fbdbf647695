# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Let the relevance weight P of an ISNet's loss follow the epochs."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

from ignite.engine import Engine, Events

from monai_debias.constraints import ANY, BOOL, STRING, Integer, MappingOf, Number
from monai_debias.losses.nested import part_with
from monai_debias.parameters import expects

__all__ = ["RelevanceWeightSchedule"]


class RelevanceWeightSchedule:
    """Set ``loss.relevance_weight`` (P) from a schedule {epochs done: P}.

    Between two points P is interpolated in every iteration, or keeps the value of the earlier one; after the last point
    it stays. P depends on the trainer's iteration only, so that a resumed training needs no state of this handler.

    With ``RelevanceCutTuning`` the schedule begins after the tuning: give its number of epochs as ``delay``.

    Args:
        loss: ``ISNetLRPLoss``, or any loss with a number ``relevance_weight``, also inside another loss.
        schedule: ``{epochs done: P}`` with 0 ≤ P < 1; it must say what P is at 0. Numbers may be strings, as JSON
            requires: ``{"0": 0.0, "3": 0.5}`` reaches one half at the start of the fourth epoch.
        ramp: interpolate; False for steps.
        delay: epochs before the schedule begins, in which P is left alone.

    Raises:
        ValueError: when the schedule has no point at 0, an epoch is negative or given twice, P is not in [0, 1) or
            ``delay`` is negative; in a training, when the length of an epoch is not known.
        TypeError: when no loss has a ``relevance_weight``.

    Example:
        >>> from types import SimpleNamespace
        >>> loss, seen = SimpleNamespace(relevance_weight=0.7), []
        >>> engine = Engine(lambda engine, batch: seen.append(loss.relevance_weight))
        >>> RelevanceWeightSchedule(loss, {"0": 0.0, "2": 0.5}).attach(engine)
        >>> _ = engine.run([0, 1], max_epochs=3)
        >>> seen
        [0.0, 0.125, 0.25, 0.375, 0.5, 0.5]
    """

    @expects(
        loss=ANY,
        schedule=MappingOf(Number("[0, 1)"), key=Number("[0, inf)") | STRING, least=1),
        ramp=BOOL,
        delay=Integer("[0, inf)"),
    )
    def __init__(self, loss: Any, schedule: Mapping[str | float, float], ramp: bool = True, delay: int = 0) -> None:
        points = sorted((_number(epoch), float(weight)) for epoch, weight in schedule.items())
        epochs = [epoch for epoch, _ in points]
        if epochs[0] != 0.0 or len(set(epochs)) < len(epochs) or not all(map(math.isfinite, epochs)):
            raise ValueError(f"schedule must give P at 0 and at later epochs, each once, got {dict(schedule)}.")
        self.loss = part_with(loss, "relevance_weight")
        self.points = points
        self.ramp = ramp
        self.delay = delay

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.ITERATION_STARTED, self._set)

    def _set(self, engine: Engine) -> None:
        length = engine.state.epoch_length
        if length is None:
            raise ValueError(
                "the schedule needs the length of an epoch, which is unknown: give the trainer epoch_length."
            )
        epochs_done = (engine.state.iteration - 1) / length - self.delay
        if epochs_done >= 0.0:
            self.loss.relevance_weight = self._weight(epochs_done)

    def _weight(self, epochs_done: float) -> float:
        after = bisect_right(self.points, epochs_done, key=lambda point: point[0])
        epoch, weight = self.points[after - 1]
        if not self.ramp or after == len(self.points):
            return weight
        next_epoch, next_weight = self.points[after]
        return weight + (next_weight - weight) * (epochs_done - epoch) / (next_epoch - epoch)


def _number(epoch: str | float) -> float:
    """A key of the schedule as a number; NaN, which is refused later, if it is not one."""
    try:
        return float(epoch)
    except ValueError:
        return math.nan
