# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The bundle as a user runs it: commands that are typed in its folder, and what they leave."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Sequence
from pathlib import Path

from monai.bundle import ConfigWorkflow
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests import processes

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "echo_view"
VIEWS = ("PLAX", "PSAX", "A2C", "A4C")
SPLITS = ("test_same", "test_random", "test_reversed")
KEY_METRICS = ("val_accuracy", "val_swap_consistency", "consistent_val_accuracy")
SMALL = ["--max_epochs", "1", "--batch_size", "8", "--image_size", "[48,48]"]


def run(*arguments: object, fails: bool = False) -> str:
    """Run ``python -m monai.bundle`` in the bundle's folder; returns what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "output.txt")
        code = processes.run(["monai.bundle", *arguments], BUNDLE, log)
        output = log.read_text(encoding="utf-8", errors="replace")
    assert (code != 0) == fails, output[-6000:]
    return output


def configs(*names: str | Path) -> str:
    """Files of the bundle, as its command line takes them."""
    return str([str(Path("configs", f"{name}.json")) for name in names])


def places(cohort: Path, folder: Path) -> list[object]:
    return ["--dataset_dir", cohort, "--ckpt_dir", folder, "--output_dir", folder]


def train(folder: Path, cohort: Path, *overlays: str, options: Sequence[object] = ()) -> str:
    """Train a little; everything is left in the folder."""
    return run("run", "--config_file", configs("train", *overlays), *places(cohort, folder), *SMALL, *options)


def in_this_process(folder: Path, cohort: Path, *overlays: str, **options: object) -> None:
    """The same training as the command line's, sooner."""
    files = [str(BUNDLE / "configs" / f"{name}.json") for name in ("train", *overlays)]
    places = {name: str(folder) for name in ("ckpt_dir", "output_dir")} | {"dataset_dir": str(cohort)}
    small = {"batch_size": 8, "image_size": [48, 48], "show_progress": False}
    workflow = ConfigWorkflow(files, workflow_type="train", logging_file=None, **places, **{**small, **options})
    workflow.initialize()
    workflow.run()


def infer(trained: Path, source: Path, out: Path, *options: str, fails: bool = False) -> str:
    """Classify what is in a file or folder."""
    files = ["--dataset_dir", source, "--checkpoint", trained / "model.pt", "--output_dir", out]
    return run("run", "--config_file", configs("inference"), *files, "--image_size", "[48,48]", *options, fails=fails)


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
