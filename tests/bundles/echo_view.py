# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The echo bundle as a user runs it, and what its commands leave."""

from __future__ import annotations

import csv
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.bundles.classifiers import SMALL_BUNDLES
from tests.bundles.small_bundle import configs, places

__all__ = ["configs", "places"]

ECHO = SMALL_BUNDLES["echo_view"]
BUNDLE, SPLITS, SMALL = ECHO.folder, ECHO.splits, ECHO.small
VIEWS = ("PLAX", "PSAX", "A2C", "A4C")
KEY_METRICS = ("val_accuracy", "val_swap_consistency", "consistent_val_accuracy")
run, train, infer = ECHO.run, ECHO.train, ECHO.infer


def in_this_process(folder: Path, cohort: Path, *overlays: str, **options: object) -> None:
    """The same training as the command line's, sooner."""
    ECHO.workflow(folder, cohort, *overlays, **options).run()


def logged(folder: Path) -> EventAccumulator:
    """The log for TensorBoard."""
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return events


def losses(folder: Path) -> list[float]:
    """The loss of each iteration."""
    return [event.value for event in logged(folder).Scalars("train_loss")]


def last_terms(folder: Path) -> dict[str, float]:
    """The last value of everything in the log."""
    return {name: logged(folder).Scalars(name)[-1].value for name in logged(folder).Tags()["scalars"]}


def read(path: Path) -> list[dict[str, str]]:
    """The lines of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
