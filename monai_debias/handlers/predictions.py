# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Collect a classifier's predictions and write them as tables."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

from monai_debias.constraints import BOOL, KEY, NONE, PATH, STRING, Instance, Number, SequenceOf
from monai_debias.data.left_out import LEFT_OUT_NAME, LeftOut, save_left_out
from monai_debias.distributed import is_first, n_processes
from monai_debias.files import make_writable, write_csv, write_json
from monai_debias.handlers.collected import Collected
from monai_debias.labels import IGNORE_VALUE
from monai_debias.metrics.thresholds import read_thresholds
from monai_debias.parameters import expects
from monai_debias.tasks import TASK, TASKS

__all__ = [
    "THRESHOLDS_OR_FILE",
    "PredictionSaver",
    "refuse_existing_predictions",
    "thresholds_from",
    "write_predictions",
]

PREDICTION_FILES = ("predictions.csv", "predictions.json")

THRESHOLDS_OR_FILE = (NONE | Number("[0, 1]") | PATH).called(
    "None, a number in [0, 1], or the path of a thresholds.json"
)


class PredictionSaver:
    """Write the probabilities and decisions of every sample to ``predictions.csv`` and ``predictions.json``.

    Attach it to an evaluator whose post-processing leaves probabilities of shape (K,) under ``"pred"``. A row has

    - ``file``, and a copy of each of ``columns``;
    - with a ``label_key``: ``label``, the names of the true labels, and ``missing``, those of unknown labels;
    - ``predicted``, the names of the predicted labels, and ``undecided``, those without a threshold;
    - ``p_NAME``, the probability of each output.

    Names are lists in JSON, and in CSV joined by ``;``, which is what ``pandas.Series.str.get_dummies(";")`` takes.
    A softmax always predicts one name, and a binary task that of the negative or the positive class. Nothing of the
    DICOM header is written. If a later file cannot be read, the predictions so far are written before the error is
    raised. Under ``torchrun`` the first process writes the predictions of all, at the end only.

    Args:
        output_dir: directory of the two files; created if it is missing.
        class_names: names of the classes, after which the outputs of the network are named, see
            :mod:`monai_debias.tasks`.
        task: "softmax", "binary" or "multi_label".
        thresholds: the probability from which the answer is yes: a number for all outputs, or the ``thresholds.json``
            of an evaluation. A binary or multi-label task needs them, a softmax takes none.
        columns: further entries of a sample, e.g. ``["split"]``, that are copied into its row.
        label_key: key of a sample's label, in the form of the task.
        ignore_value: the value of a missing label.
        root: the folder that the file names are made relative to; by default they are written as they were given.
        overwrite: whether to replace the results of an earlier run; otherwise an existing file is an error.
        left_out: the files without a prediction, which are written to ``left_out.csv`` with their reasons when the run
            ends: the list that a :class:`~monai_debias.data.readable.ReadableLoader` fills. None writes no such table.

    Raises:
        ValueError: when the class names or thresholds do not fit the task; when the predictions do not have a
            probability for each output, or a label does not fit the task.
        FileNotFoundError: when there is no file of thresholds; raised before the first batch.
        FileExistsError: when results exist and ``overwrite`` is False; raised before the first batch.

    Example:
        >>> import tempfile, torch
        >>> from ignite.engine import Engine
        >>> probabilities = [{"pred": torch.tensor([0.25, 0.75])}]
        >>> evaluator = Engine(lambda engine, batch: probabilities)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     PredictionSaver(folder, class_names=["A2C", "A4C"]).attach(evaluator)
        ...     _ = evaluator.run([[{"image": "clip.dcm"}]])
        ...     print(open(folder + "/predictions.csv").read().splitlines()[1])
        clip.dcm,A4C,,0.250000,0.750000
    """

    @expects(
        output_dir=PATH,
        class_names=SequenceOf(STRING, least=1),
        task=TASK,
        thresholds=THRESHOLDS_OR_FILE,
        columns=SequenceOf(STRING),
        label_key=NONE | KEY,
        ignore_value=IGNORE_VALUE,
        root=NONE | PATH,
        overwrite=BOOL,
        left_out=NONE | SequenceOf(Instance(LeftOut)),
    )
    def __init__(
        self,
        output_dir: str | Path,
        class_names: Sequence[str],
        task: str = "softmax",
        thresholds: float | str | os.PathLike | None = None,
        columns: Sequence[str] = (),
        label_key: str | None = None,
        ignore_value: float | Sequence[float] | None = None,
        root: str | Path | None = None,
        overwrite: bool = False,
        left_out: Sequence[LeftOut] | None = None,
    ) -> None:
        if (thresholds is not None) != TASKS[task].has_thresholds:
            raise ValueError(
                f"thresholds is {thresholds!r}, but a softmax predicts the class of the largest probability and takes "
                "no thresholds; leave it out."
                if thresholds is not None
                else f"the task {task!r} needs thresholds: give the thresholds.json of an evaluation, or a number."
            )
        self.output_dir = Path(output_dir)
        self.collected = Collected(class_names, task, columns, label_key, ignore_value, root)
        self.thresholds = thresholds
        self.overwrite = overwrite
        self.left_out = left_out
        self._thresholds: float | list[float | None] | None = None
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: Engine) -> None:
        """Attach to an ignite engine whose output is a list of sample dictionaries."""
        engine.add_event_handler(Events.STARTED, self._start)
        self.collected.gather(engine)
        engine.add_event_handler(Events.COMPLETED, self._complete)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._rescue)

    def _start(self, engine: Engine) -> None:
        refuse_existing_predictions(self.output_dir, self.overwrite)
        make_writable(self.output_dir)
        self._thresholds = thresholds_from(self.thresholds, self.collected)

    def _complete(self, engine: Engine) -> None:
        self.collected.share()
        if is_first():
            self._write()

    def _write(self) -> None:
        if self.left_out is not None:
            save_left_out(self.output_dir / LEFT_OUT_NAME, self.left_out)
        write_predictions(self.output_dir, self.collected.records(self._thresholds))
        if self.collected.entries:
            self.logger.info("%d predictions written to %s", len(self.collected.entries), self.output_dir)

    def _rescue(self, engine: Engine, error: Exception) -> None:
        if n_processes() == 1 and self.output_dir.is_dir():
            self._write()
        raise error


def thresholds_from(given: float | str | os.PathLike | None, collected: Collected) -> float | list[float | None] | None:
    """The thresholds of an argument: None or a number as it is, or those in a file."""
    if given is None or isinstance(given, int | float):
        return given
    return read_thresholds(given, collected.task, collected.output_names)


def refuse_existing_predictions(folder: Path, overwrite: bool) -> None:
    """Raise a FileExistsError if an earlier run has left its predictions, unless they may be replaced."""
    there = [str(folder / name) for name in PREDICTION_FILES if (folder / name).exists()]
    if there and not overwrite:
        names = ", ".join(there)
        raise FileExistsError(
            f"{names} exist already; give another output_dir, or "
            "overwrite=True (in a bundle --overwrite True) to replace them."
        )


def write_predictions(folder: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows of :meth:`Collected.records` as a table and as JSON, if there are any."""
    if records:
        table, whole = (folder / name for name in PREDICTION_FILES)
        write_csv(table, list(records[0]), [[_cell(value) for value in record.values()] for record in records])
        write_json(whole, records)


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return ";".join(value)
    return f"{value:.6f}" if isinstance(value, float) else value
