# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Collect a classifier's predictions and write them as tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.data import MetaTensor
from monai.utils import ImageMetaKey

from monai_debias.data.left_out import LEFT_OUT_NAME, LeftOut, save_left_out
from monai_debias.files import write_csv, write_json
from monai_debias.parameters import BOOL, NONE, PATH, STRING, Instance, SequenceOf, expects

__all__ = ["PredictionSaver"]


class PredictionSaver:
    """Write the class probabilities of every sample to ``predictions.csv`` and ``predictions.json``.

    Attach it to an evaluator whose post-processing leaves probabilities of shape (K,) under ``"pred"``. A row has the
    file, the predicted class, its probability and the probability of each class; nothing of the DICOM header is
    written. When a later file cannot be read, the predictions so far are written before the error goes on.

    Args:
        output_dir: directory of the two files; made where it is missing.
        class_names: names of the K classes, in the order of the network's outputs.
        columns: further entries of a sample, e.g. ``["split", "label"]``, that are copied into its row.
        root: what the file names are made relative to; by default they are written as they were given.
        overwrite: replace the results of an earlier run; an existing file is an error otherwise.
        left_out: the files that got no prediction, which are written to ``left_out.csv`` with their reasons when the
            run ends: the list that a :class:`~monai_debias.data.readable.ReadableLoader` fills. None: no such table.

    Raises:
        ValueError: when fewer than two class names are given, or the predictions do not have a class each.
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
        clip.dcm,A4C,0.750000,0.250000,0.750000
    """

    @expects(
        output_dir=PATH,
        class_names=SequenceOf(STRING, least=2),
        columns=SequenceOf(STRING),
        root=NONE | PATH,
        overwrite=BOOL,
        left_out=NONE | SequenceOf(Instance(LeftOut)),
    )
    def __init__(
        self,
        output_dir: str | Path,
        class_names: Sequence[str],
        columns: Sequence[str] = (),
        root: str | Path | None = None,
        overwrite: bool = False,
        left_out: Sequence[LeftOut] | None = None,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.class_names = list(class_names)
        self.columns = list(columns)
        self.root = None if root is None else Path(root)
        self.overwrite = overwrite
        self.left_out = left_out
        self.rows: list[dict[str, Any]] = []

    def attach(self, engine: Engine) -> None:
        """Attach to an ignite engine whose output is a list of sample dictionaries."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self._write)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._rescue)

    @property
    def files(self) -> tuple[Path, Path]:
        """Paths of the CSV and of the JSON file."""
        return self.output_dir / "predictions.csv", self.output_dir / "predictions.json"

    def _start(self, engine: Engine) -> None:
        there = [str(path) for path in self.files if path.exists()]
        if there and not self.overwrite:
            raise FileExistsError(f"{there} exist; choose another output_dir, or pass overwrite=True to replace them.")
        self.rows = []

    def _collect(self, engine: Engine) -> None:
        samples: Any = engine.state.batch  # ignite leaves the types open
        outputs: Any = engine.state.output
        for sample, output in zip(samples, outputs, strict=True):
            self.rows.append(self._row(sample, torch.as_tensor(output["pred"]).detach().cpu().flatten().tolist()))

    def _row(self, sample: dict[str, Any], probabilities: list[float]) -> dict[str, Any]:
        if len(probabilities) != len(self.class_names):
            raise ValueError(
                f"got {len(probabilities)} outputs for the {len(self.class_names)} classes {self.class_names}."
            )
        image = sample["image"]
        file = Path(str(image.meta[ImageMetaKey.FILENAME_OR_OBJ] if isinstance(image, MetaTensor) else image))
        best = max(range(len(probabilities)), key=probabilities.__getitem__)
        return {
            "file": str(file.relative_to(self.root) if self.root and file.is_relative_to(self.root) else file),
            **{name: _plain(sample[name]) for name in self.columns},
            "predicted": self.class_names[best],
            "probability": probabilities[best],
            **{f"p_{name}": p for name, p in zip(self.class_names, probabilities, strict=True)},
        }

    def _write(self, engine: Engine) -> None:
        if self.rows or self.left_out is not None:
            self.output_dir.mkdir(parents=True, exist_ok=True)
        if self.left_out is not None:
            save_left_out(self.output_dir / LEFT_OUT_NAME, self.left_out)
        if self.rows:
            self._write_predictions()

    def _write_predictions(self) -> None:
        table, records = self.files
        rounded = [[f"{v:.6f}" if isinstance(v, float) else v for v in row.values()] for row in self.rows]
        write_csv(table, list(self.rows[0]), rounded)
        write_json(records, self.rows)

    def _rescue(self, engine: Engine, error: Exception) -> None:
        self._write(engine)
        raise error


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, torch.Tensor) else value
