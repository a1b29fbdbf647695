# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Which training a checkpoint belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ignite.engine import Engine

from monai_debias.handlers.random_states import random_transforms
from monai_debias.recipe import differences, plain_values

__all__ = ["TrainingRecord"]


class TrainingRecord:
    """What must be the same when a training resumes: the user's settings, and the types of the trainer's parts.

    Args:
        engine: the trainer.
        settings: plain values, such as ``{"method": "backmix", "class_names": ["A2C", "A4C"]}``.
        parts: further parts of the training, whose types are recorded.

    Raises:
        TypeError: when a setting is not a plain value such as JSON has.
        ValueError: on loading, when the record is of another training; it says in what they differ.

    Example:
        >>> trainer = Engine(lambda engine, batch: None)
        >>> plain, mixed = (TrainingRecord(trainer, {"method": name}, {}) for name in ("baseline", "mixup"))
        >>> mixed.load_state_dict(plain.state_dict())
        Traceback (most recent call last):
        ValueError: method is 'baseline' there and 'mixup' here.
    """

    def __init__(self, engine: Engine, settings: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        self.engine = engine
        self.settings = plain_values(settings)
        self.parts = dict(parts)

    def state_dict(self) -> dict[str, Any]:
        """The settings, and the names of the parts' types."""
        own = {name: getattr(self.engine, name, None) for name in ("loss_function", "inferer", "prepare_batch")}
        transforms = [_name(transform) for transform in random_transforms(self.engine)]
        return {**self.settings, **{k: _name(v) for k, v in (own | self.parts).items()}, "random parts": transforms}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Compare with the present training."""
        found = [_in_words(*difference) for difference in differences(dict(state), self.state_dict())]
        if found:
            raise ValueError("; ".join(found) + ".")


def _in_words(name: str, then: Any, now: Any) -> str:
    """Say how two values differ, for lists of names only the names that do."""
    if _are_names(then) and _are_names(now) and set(then) != set(now):
        gone, new = (", ".join(sorted(set(a) - set(b))) or "nothing" for a, b in ((then, now), (now, then)))
        return f"{name} there and not here: {gone}, here and not there: {new}"
    return f"{name} is {then!r} there and {now!r} here"


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)


def _name(part: Any) -> str:
    return getattr(part, "__qualname__", type(part).__qualname__)
