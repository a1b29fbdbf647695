# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Report a classifier split by split: metrics with intervals, confusion matrices, every prediction."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
from ignite.engine import Engine, Events

from monai_debias.files import replace_file, write_csv, write_json
from monai_debias.handlers.predictions import PredictionSaver
from monai_debias.metrics import bootstrap_intervals, classification_metrics
from monai_debias.parameters import BOOL, KEY, NONE, PATH, SEED, STRING, Integer, Number, SequenceOf, expects
from monai_debias.visualize.confusion import confusion_matrices

__all__ = ["ClassificationReport"]


class ClassificationReport:
    """Evaluate every split with the same metrics and write them, once an evaluator has run over all splits.

    Written to ``output_dir``: ``metrics.json`` and ``metrics.csv`` (accuracy, balanced accuracy, macro F1 and ROC AUC
    of each split with bootstrap intervals over patients), ``confusion_matrix.png``, and what :class:`PredictionSaver`
    writes. Attach it to an evaluator whose post-processing leaves probabilities of shape (K,) under ``"pred"``; samples
    have their class index under ``"label"`` and the name of their split under ``split_key``.

    Args:
        output_dir: directory of the files; made where it is missing.
        class_names: names of the K classes, in the order of the network's outputs.
        split_key: key of the name of a sample's split.
        group_key: key of what the bootstrap resamples as a whole, the patient; a sample without it is its own group.
        root: what the file names in the tables are made relative to.
        n_resamples: number of bootstrap resamples, 1 or more.
        confidence: coverage of the intervals, in (0, 1).
        seed: seed of the bootstrap.
        overwrite: replace the results of an earlier run; an existing file is an error otherwise.

    Raises:
        ValueError: when fewer than two class names are given, ``n_resamples`` or ``confidence`` is out of its range, or
            the predictions do not have a class each.
        FileExistsError: when results exist and ``overwrite`` is False; raised before the first batch.
        RuntimeError: when run by several processes, each of which would see a part of the samples only.

    Example:
        >>> report = ClassificationReport("eval", class_names=["PLAX", "PSAX", "A2C", "A4C"])
        >>> evaluator = Engine(lambda engine, batch: batch)
        >>> report.attach(evaluator)
    """

    @expects(
        output_dir=PATH,
        class_names=SequenceOf(STRING, least=2),
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
        split_key: str = "split",
        group_key: str = "patient_id",
        root: str | Path | None = None,
        n_resamples: int = 1000,
        confidence: float = 0.95,
        seed: int = 0,
        overwrite: bool = False,
    ) -> None:
        self.saver = PredictionSaver(output_dir, class_names, [split_key, "label"], root, overwrite)
        self.split_key = split_key
        self.group_key = group_key
        self.bootstrap: dict[str, Any] = {"n_resamples": n_resamples, "confidence": confidence, "seed": seed}
        self.groups: list[str] = []

    def attach(self, engine: Engine) -> None:
        """Attach to an ignite engine whose output is a list of sample dictionaries."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        self.saver.attach(engine)
        engine.add_event_handler(Events.COMPLETED, self._report)

    def _start(self, engine: Engine) -> None:
        if idist.get_world_size() > 1:
            raise RuntimeError(
                "ClassificationReport needs all samples in one process; run the evaluation without torchrun."
            )
        self.groups = []

    def _collect(self, engine: Engine) -> None:
        samples: Any = engine.state.batch  # ignite leaves the type open
        for sample in samples:
            self.groups.append(str(sample.get(self.group_key, f"sample {len(self.groups)}")))

    def _report(self, engine: Engine) -> None:
        splits = list(dict.fromkeys(row[self.split_key] for row in self.saver.rows))
        results = {split: self._evaluate(split) for split in splits}
        folder, names = self.saver.output_dir, self.saver.class_names
        write_json(folder / "metrics.json", results)
        table = [
            [split, result["samples"], result["patients"], metric, *(f"{number:.4f}" for number in numbers)]
            for split, result in results.items()
            for metric, numbers in result["metrics"].items()
        ]
        write_csv(folder / "metrics.csv", ["split", "samples", "patients", "metric", "value", "low", "high"], table)
        figure = confusion_matrices({split: result["confusion"] for split, result in results.items()}, names)
        with replace_file(folder / "confusion_matrix.png", "wb") as file:
            figure.savefig(file, format="png", dpi=110)
        logger = logging.getLogger(type(self).__name__)
        for split, result in results.items():
            summary = ", ".join(
                f"{m} {v:.3f} [{low:.3f}, {high:.3f}]" for m, (v, low, high) in result["metrics"].items()
            )
            logger.info("%s (n = %d): %s", split, result["samples"], summary)
        logger.info("report written to %s", folder)

    def _evaluate(self, split: str) -> dict[str, Any]:
        names = self.saver.class_names
        chosen = [i for i, row in enumerate(self.saver.rows) if row[self.split_key] == split]
        rows = [self.saver.rows[i] for i in chosen]
        groups = [self.groups[i] for i in chosen]
        labels = np.array([int(row["label"]) for row in rows])
        probabilities = np.array([[row[f"p_{name}"] for name in names] for row in rows])
        values = classification_metrics(labels, probabilities)
        intervals = bootstrap_intervals(labels, probabilities, groups, **self.bootstrap)
        confusion = np.zeros((len(names), len(names)), dtype=int)
        np.add.at(confusion, (labels, probabilities.argmax(1)), 1)
        return {
            "samples": len(rows),
            "patients": len(set(groups)),
            "metrics": {metric: [value, *intervals[metric]] for metric, value in values.items()},
            "confusion": confusion.tolist(),
        }
