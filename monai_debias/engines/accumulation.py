# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Where in the accumulation of gradients an iteration of a MONAI trainer is."""

from __future__ import annotations

from typing import Any

__all__ = ["begins_to_accumulate", "steps_now"]


def begins_to_accumulate(engine: Any) -> bool:
    """Whether the gradients of earlier iterations are forgotten in this one."""
    return (_done(engine) - 1) % engine.accumulation_steps == 0


def steps_now(engine: Any) -> bool:
    """Whether the optimiser steps in this iteration: in each one, when enough was accumulated, or an epoch ends."""
    return _done(engine) % engine.accumulation_steps == 0 or _done(engine) == engine.state.epoch_length


def _done(engine: Any) -> int:
    """Iterations of the epoch, with this one; of the training if the length of an epoch is unknown."""
    length = engine.state.epoch_length
    return engine.state.iteration if length is None else (engine.state.iteration - 1) % length + 1
