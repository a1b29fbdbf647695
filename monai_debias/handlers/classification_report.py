# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Report a classifier split by split: metrics with intervals, confusion matrices, every prediction."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from matplotlib.figure import Figure

from monai_debias.constraints import BOOL, KEY, NONE, PATH, SEED, STRING, Integer, Number, SequenceOf
from monai_debias.distributed import gathered, is_first, n_processes
from monai_debias.files import make_writable, replace_file, write_csv, write_json
from monai_debias.handlers.collected import Collected
from monai_debias.handlers.predictions import (
    THRESHOLDS_OR_FILE,
    refuse_existing_predictions,
    thresholds_from,
    write_predictions,
)
from monai_debias.handlers.split_results import split_results
from monai_debias.labels import IGNORE_VALUE
from monai_debias.metrics.thresholds import choose_thresholds, write_thresholds
from monai_debias.parameters import expects
from monai_debias.tasks import TASK, TASKS
from monai_debias.visualize.confusion import confusion_matrices
from monai_debias.visualize.labels import label_metrics

__all__ = ["ClassificationReport"]

_COLUMNS = ["split", "samples", "patients", "label", "known", "positive", "metric", "value", "low", "high", "note"]


class ClassificationReport:
    """Compute the same metrics for every split and write them, once an evaluator has run over all splits.

    Attach it to an evaluator whose post-processing leaves probabilities of shape (K,) under ``"pred"``; samples have
    their label, as the task has it, under ``"label"`` and the name of their split under ``split_key``. Written to
    ``output_dir``, in one layout for all tasks:

    - ``metrics.json`` and ``metrics.csv``: the metrics of
      :func:`~monai_debias.metrics.classification_metrics` of each split, overall and for each label, as the value and
      the low and high end of the interval over patients. An undefined metric is null (in CSV empty), and a note says
      why.
    - ``predictions.csv`` and ``predictions.json``, see :class:`PredictionSaver`.
    - ``label_metrics.png``; ``confusion_matrix.png`` for a softmax and a binary task, which decide for one class.
    - ``thresholds.json``, if thresholds are chosen, for :class:`PredictionSaver`.

    Processes of ``torchrun`` evaluate their share of the samples each, and the first reports all of them.

    **Thresholds** of a binary or multi-label task are given, or are chosen by
    :func:`~monai_debias.metrics.choose_thresholds` on the samples of ``threshold_split``, which are then not reported:
    their metrics would be too optimistic.

    Args:
        output_dir: directory of the files; created if it is missing.
        class_names: names of the classes, after which the outputs of the network are named, see
            :mod:`monai_debias.tasks`.
        task: "softmax", "binary" or "multi_label".
        thresholds: a number for all outputs, or the ``thresholds.json`` of an earlier evaluation, e.g. for data of
            another hospital; None to choose them. A softmax takes none.
        threshold_split: name of the split to choose thresholds on; no test split.
        ignore_value: the value of a missing label, e.g. -1 or NaN.
        split_key: key of the name of a sample's split.
        group_key: key of the group that the bootstrap resamples as a whole, the patient; a sample without it is its own
            group.
        root: the folder that the file names in the tables are made relative to.
        n_resamples: number of bootstrap resamples, 1 or more.
        confidence: coverage of the intervals, in (0, 1).
        seed: seed of the bootstrap.
        overwrite: whether to replace the results of an earlier run; otherwise an existing file is an error.

    Raises:
        ValueError: when the class names or thresholds do not fit the task, ``n_resamples`` or ``confidence`` is out of
            its range, or ``threshold_split`` is a test split; when the predictions do not have a probability for each
            output, a label does not fit the task, or no sample is of ``threshold_split``.
        FileNotFoundError: when there is no file of thresholds; raised before the first batch.
        FileExistsError: when results exist and ``overwrite`` is False; raised before the first batch.

    Example:
        >>> report = ClassificationReport("eval", class_names=["PLAX", "PSAX", "A2C", "A4C"])
        >>> evaluator = Engine(lambda engine, batch: batch)
        >>> report.attach(evaluator)
    """

    @expects(
        output_dir=PATH,
        class_names=SequenceOf(STRING, least=1),
        task=TASK,
        thresholds=THRESHOLDS_OR_FILE,
        threshold_split=STRING,
        ignore_value=IGNORE_VALUE,
        split_key=STRING,
        group_key=KEY,
        root=NONE | PATH,
        n_resamples=Integer("[1, inf)"),
        confidence=Number("(0, 1)"),
        seed=SEED,
        overwrite=BOOL,
    )
    def __init__(
        self,
        output_dir: str | Path,
        class_names: Sequence[str],
        task: str = "softmax",
        thresholds: float | str | os.PathLike | None = None,
        threshold_split: str = "validation",
        ignore_value: float | Sequence[float] | None = None,
        split_key: str = "split",
        group_key: str = "patient_id",
        root: str | Path | None = None,
        n_resamples: int = 1000,
        confidence: float = 0.95,
        seed: int = 0,
        overwrite: bool = False,
    ) -> None:
        if threshold_split.startswith("test"):
            raise ValueError(
                f"threshold_split is {threshold_split!r}: thresholds that are chosen on test data make the test look "
                "better than it is. Give the validation split."
            )
        if thresholds is not None and not TASKS[task].has_thresholds:
            raise ValueError(
                f"thresholds is {thresholds!r}, but a softmax predicts the class of the largest probability and takes "
                "no thresholds; leave it out."
            )
        self.output_dir = Path(output_dir)
        self.collected = Collected(class_names, task, [split_key], "label", ignore_value, root)
        self.thresholds = thresholds
        self.threshold_split = threshold_split
        self.split_key, self.group_key = split_key, group_key
        self.bootstrap: dict[str, Any] = {"n_resamples": n_resamples, "confidence": confidence, "seed": seed}
        self.overwrite = overwrite
        self.groups: list[str | None] = []
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: Engine) -> None:
        """Attach to an ignite engine whose output is a list of sample dictionaries."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect_groups)
        self.collected.gather(engine)
        engine.add_event_handler(Events.COMPLETED, self._report)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._rescue)

    def _start(self, engine: Engine) -> None:
        refuse_existing_predictions(self.output_dir, self.overwrite)
        make_writable(self.output_dir)
        self._given = thresholds_from(self.thresholds, self.collected)
        self.groups = []

    def _collect_groups(self, engine: Engine) -> None:
        samples: Any = engine.state.batch  # ignite leaves the type open
        for sample in samples:
            self.groups.append(str(sample[self.group_key]) if self.group_key in sample else None)

    def _report(self, engine: Engine) -> None:
        self.collected.share()
        groups = [group or f"sample {number}" for number, group in enumerate(gathered(self.groups))]
        if not is_first():
            return
        splits = [entries[self.split_key] for entries in self.collected.entries]
        reported, thresholds = list(dict.fromkeys(splits)), self._given
        if thresholds is None and TASKS[self.collected.task].has_thresholds:
            thresholds = self._choose(splits)
            reported.remove(self.threshold_split)
        write_predictions(self.output_dir, self.collected.records(thresholds))
        results = {
            split: split_results(self.collected, [s == split for s in splits], groups, thresholds, **self.bootstrap)
            for split in reported
        }
        write_json(self.output_dir / "metrics.json", results)
        write_csv(self.output_dir / "metrics.csv", _COLUMNS, _rows(results))
        self._draw(results)
        for split, result in results.items():
            numbers = ", ".join(f"{metric} {_words(*value)}" for metric, value in result["metrics"].items())
            self.logger.info("%s (n = %d): %s", split, result["samples"], numbers)
        self.logger.info("report written to %s", self.output_dir)

    def _choose(self, splits: Sequence[str]) -> list[float | None]:
        """The thresholds of the outputs, written to their file."""
        chosen = [split == self.threshold_split for split in splits]
        if not any(chosen):
            raise ValueError(
                f"there is no sample of the split {self.threshold_split!r} to choose thresholds on, only of "
                f"{sorted(set(splits))}: evaluate the validation data as well, or give thresholds."
            )
        collected = self.collected
        targets, probabilities = collected.targets[chosen], collected.probabilities[chosen]
        found = choose_thresholds(
            targets, probabilities, collected.task, collected.class_names, ignore_value=float("nan")
        )
        for name, threshold in found.items():
            if threshold.value is None:
                self.logger.warning("%s has no threshold: %s in %s", name, threshold.note, self.threshold_split)
        write_thresholds(self.output_dir / "thresholds.json", found, collected.task, self.threshold_split)
        return [threshold.value for threshold in found.values()]

    def _draw(self, results: Mapping[str, Any]) -> None:
        self._save("label_metrics.png", label_metrics(results))
        matrices = {split: result["confusion"] for split, result in results.items()}
        if all(matrix is not None for matrix in matrices.values()):
            self._save("confusion_matrix.png", confusion_matrices(matrices, self.collected.class_names))

    def _save(self, name: str, figure: Figure) -> None:
        with replace_file(self.output_dir / name, "wb") as file:
            figure.savefig(file, format="png", dpi=110)

    def _rescue(self, engine: Engine, error: Exception) -> None:
        if self.collected.entries and n_processes() == 1:
            undecided = TASKS[self.collected.task].has_thresholds and self._given is None
            thresholds = [None] * len(self.collected.output_names) if undecided else self._given
            write_predictions(self.output_dir, self.collected.records(thresholds))
        raise error


def _rows(results: Mapping[str, Any]) -> Iterator[list[Any]]:
    """The rows of the table: for each split the overall metrics, and then those of each label."""
    for split, result in results.items():
        start = [split, result["samples"], result["patients"]]
        parts = [(["", "", ""], result), *(([n, v["known"], v["positive"]], v) for n, v in result["labels"].items())]
        for of, part in parts:
            for metric, numbers in part["metrics"].items():
                cells = ["" if number is None else f"{number:.4f}" for number in numbers]
                yield [*start, *of, metric, *cells, part["notes"].get(metric, "")]


def _words(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "undefined"
    return f"{value:.3f}" if low is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"
