# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How a resumed training treats changed settings of its optimiser and its schedule."""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from monai_debias.recipe import differences

__all__ = ["ScheduleSettings"]


class ScheduleSettings:
    """The settings of optimisers and learning-rate schedules in the present configuration.

    From the next epoch on, the present options apply, not those with which the training began. If the settings differ,
    the schedule is stepped again from its start to the present epoch: a cosine that was to end after 24 epochs and now
    ends after 48 continues at the rate of its middle, and a new base rate acts as if it had been the base rate from
    the beginning. The optimiser keeps its moments.

    Construct it before anything is trained or loaded, and load its state after those of the optimisers and schedules.

    Args:
        objects: the objects of a training by name; all but optimisers and schedules are ignored.

    Raises:
        ValueError: on loading, when the settings differ and the schedule cannot be stepped again, since it follows a
            metric.

    Example:
        >>> import torch
        >>> def build(rate):
        ...     optimizer = torch.optim.SGD([torch.zeros(1)], lr=rate)
        ...     schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
        ...     return optimizer, schedule, ScheduleSettings({"optimizer": optimizer, "schedule": schedule})
        >>> optimizer, schedule, settings = build(0.1)
        >>> for _ in range(2):
        ...     optimizer.step()
        ...     schedule.step()
        >>> other, other_schedule, now = build(0.2)
        >>> other.load_state_dict(optimizer.state_dict())
        >>> other_schedule.load_state_dict(schedule.state_dict())
        >>> now.load_state_dict(settings.state_dict())
        >>> round(optimizer.param_groups[0]["lr"], 6), round(other.param_groups[0]["lr"], 6)
        (0.05, 0.1)
    """

    def __init__(self, objects: Mapping[str, Any]) -> None:
        self.optimizers = {name: value for name, value in objects.items() if isinstance(value, Optimizer)}
        self.schedules = {name: value for name, value in objects.items() if isinstance(value, LRScheduler)}
        self.logger = logging.getLogger(type(self).__name__)
        self._groups = {name: _groups(optimizer) for name, optimizer in self.optimizers.items()}
        self._starts = {name: copy.deepcopy(schedule.state_dict()) for name, schedule in self.schedules.items()}

    def state_dict(self) -> dict[str, Any]:
        """The settings as JSON, so that only plain values are compared."""
        return {"settings": json.dumps({**self._groups, **self._starts}, default=lambda value: type(value).__name__)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Compare the settings with the saved ones, and apply the present ones if they differ."""
        saved, present = json.loads(state["settings"]), json.loads(self.state_dict()["settings"])
        changes = [f"{name} {then} → {now}" for name, then, now in differences(saved, present)]
        if not changes:
            return
        before = self._rates()
        for name, optimizer in self.optimizers.items():
            for group, settings in zip(optimizer.param_groups, self._groups[name], strict=True):
                group.update(copy.deepcopy(settings))
        for name, schedule in self.schedules.items():
            _step_anew(schedule, self._starts[name], ", ".join(changes))
        self.logger.warning(
            "settings have changed since the training began (%s): they apply from now on, "
            "and the learning rate goes on with %s, it was %s.",
            ", ".join(changes),
            self._rates(),
            before,
        )

    def _rates(self) -> str:
        rates = [group["lr"] for optimizer in self.optimizers.values() for group in optimizer.param_groups]
        return ", ".join(f"{float(rate):.6g}" for rate in rates)


def _groups(optimizer: Optimizer) -> list[dict[str, Any]]:
    return [copy.deepcopy({k: v for k, v in group.items() if k != "params"}) for group in optimizer.param_groups]


def _step_anew(schedule: LRScheduler, start: dict[str, Any], changes: str) -> None:
    if isinstance(schedule, ReduceLROnPlateau):
        raise ValueError(
            f"settings have changed ({changes}), and the rate of ReduceLROnPlateau depends on the metrics of all "
            "epochs so far, which are not kept: use the old settings, or begin in another ckpt_dir."
        )
    steps = schedule.last_epoch - start["last_epoch"]
    schedule.load_state_dict(copy.deepcopy(start))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "call optimizer.step() first", which was done before
        for _ in range(steps):
            schedule.step()
