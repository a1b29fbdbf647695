# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The Dice of every film, and a summary of every split."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.metrics import compute_dice
from monai.utils import ImageMetaKey

from monai_debias.constraints import BOOL, NONE, PATH
from monai_debias.files import write_csv, write_json
from monai_debias.parameters import expects

__all__ = ["DiceReport"]

_FILES = ("dice.csv", "metrics.json")


class DiceReport:
    """Write the Dice coefficient of every film to ``dice.csv``, and by split to ``metrics.json``.

    The latter has for each split the number of films, mean, standard deviation and lowest Dice, and the film that has
    it. Attach it to an evaluator whose samples have ``image`` (a MetaTensor with its file), ``label`` (the true mask, 0
    and 1) and ``split``, and whose output has a binary ``pred``.

    Args:
        output_dir: the folder to write to.
        root: the folder that file names are written relative to; None writes them as they are.
        overwrite: whether to replace the results of an earlier run.

    Raises:
        FileExistsError: when results exist and ``overwrite`` is False; raised before the first batch.
    """

    @expects(output_dir=PATH, root=NONE | PATH, overwrite=BOOL)
    def __init__(
        self, output_dir: str | os.PathLike, root: str | os.PathLike | None = None, overwrite: bool = False
    ) -> None:
        self.output_dir = Path(output_dir)
        self.root = None if root is None else Path(root)
        self.overwrite = overwrite
        self.rows: list[tuple[str, str, float]] = []

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _start(self, engine: Engine) -> None:
        there = [str(self.output_dir / name) for name in _FILES if (self.output_dir / name).exists()]
        if there and not self.overwrite:
            raise FileExistsError(
                f"{', '.join(there)} exist already; give another output_dir, or "
                "overwrite=True (in a bundle --overwrite True) to replace them."
            )
        self.rows = []

    def _collect(self, engine: Engine) -> None:
        samples: Any = engine.state.batch  # ignite leaves the types open
        outputs: Any = engine.state.output
        for sample, output in zip(samples, outputs, strict=True):
            pred, true = (torch.as_tensor(output[key]).as_subclass(torch.Tensor)[None] > 0 for key in ("pred", "label"))
            file = Path(sample["image"].meta[ImageMetaKey.FILENAME_OR_OBJ])
            within = self.root is not None and file.is_relative_to(self.root)
            name = str(file.relative_to(self.root) if self.root is not None and within else file)
            self.rows.append((sample["split"], name, float(compute_dice(pred, true))))

    def _write(self, engine: Engine) -> None:
        self.output_dir.mkdir(parents=True, exist_ok=True)
        write_csv(self.output_dir / "dice.csv", ("split", "file", "dice"), self.rows)
        splits = dict.fromkeys(split for split, _, _ in self.rows)
        write_json(self.output_dir / "metrics.json", {split: self._summary(split) for split in splits})

    def _summary(self, split: str) -> dict[str, Any]:
        own = [(value, file) for other, file, value in self.rows if other == split]
        numbers = np.array([value for value, _ in own])
        lowest, film = min(own)
        return {
            "films": len(own),
            "mean": float(numbers.mean()),
            "standard_deviation": float(numbers.std(ddof=1)) if len(own) > 1 else None,
            "lowest": lowest,
            "film_of_the_lowest": film,
        }
