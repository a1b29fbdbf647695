# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The labels and predictions of every sample, gathered while an evaluator runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import MetaTensor
from monai.utils import ImageMetaKey
from numpy.typing import NDArray

from monai_debias.distributed import gathered
from monai_debias.labels import ignored_values
from monai_debias.tasks import TASKS

__all__ = ["Collected"]


class Collected:
    """Gather file, chosen entries, label and probabilities of every sample of an evaluation.

    Args:
        class_names: names of the classes.
        task: see :mod:`monai_debias.tasks`.
        columns: entries of a sample that are kept.
        label_key: key of its label; None if there are no labels.
        ignore_value: the value of a missing label.
        root: the folder that the file names are made relative to; None to keep them as they were given.

    Raises:
        ValueError: when the class names do not fit the task; in a run, when a sample does not have a probability for
            each output, or its label does not fit the task.

    Example:
        >>> collected = Collected(["A2C", "A4C"], "softmax", label_key="label")
        >>> evaluator = Engine(lambda engine, batch: [{"pred": torch.tensor([0.25, 0.75])}])
        >>> collected.gather(evaluator)
        >>> _ = evaluator.run([[{"image": "clip.dcm", "label": 1}]])
        >>> collected.records(None)[0]["predicted"], collected.targets[0].tolist()
        (['A4C'], [0.0, 1.0])
    """

    def __init__(
        self,
        class_names: Sequence[str],
        task: str,
        columns: Sequence[str] = (),
        label_key: str | None = None,
        ignore_value: float | Sequence[float] | None = None,
        root: str | Path | None = None,
    ) -> None:
        self.class_names, self.task = list(class_names), task
        self.output_names = TASKS[task].output_names(class_names)
        self.columns, self.label_key = list(columns), label_key
        self.ignored = ignored_values(ignore_value)
        self.root = None if root is None else Path(root)
        self._clear()

    def gather(self, engine: Engine) -> None:
        """Gather from the next run of an ignite engine whose batches and outputs are lists of sample dictionaries."""
        engine.add_event_handler(Events.STARTED, self._clear)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)

    def share(self) -> None:
        """Gather what the processes of ``torchrun`` have gathered, each from its share of the samples."""
        rows = gathered(list(zip(self.entries, self._targets, self._probabilities, strict=True)))
        self._clear()
        for entries, target, probabilities in rows:
            self.entries.append(entries)
            self._targets.append(target)
            self._probabilities.append(probabilities)

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Probability of each output, (N, K)."""
        return torch.stack(self._probabilities).numpy()

    @property
    def targets(self) -> NDArray[np.float64]:
        """The true label of each output, 0 or 1, and NaN where it is missing, (N, K)."""
        return torch.stack(self._targets).numpy()

    def records(self, thresholds: Sequence[float | None] | float | None) -> list[dict[str, Any]]:
        """A row for each sample of the tables, see :class:`~monai_debias.handlers.PredictionSaver`.

        Args:
            thresholds: of the outputs, as :meth:`monai_debias.tasks.Task.thresholds` takes them.
        """
        kind = TASKS[self.task]
        cuts = kind.thresholds(thresholds, len(self.output_names))
        undecided = self._named(cuts.isnan()) if kind.has_thresholds else []
        return [
            {
                **entries,
                **({} if self.label_key is None else self._label(target)),
                "predicted": self._found(decided, ~cuts.isnan()),
                "undecided": undecided,
                **{f"p_{name}": p for name, p in zip(self.output_names, row.tolist(), strict=True)},
            }
            for entries, target, row in zip(self.entries, self._targets, self._probabilities, strict=True)
            for decided in kind.decisions(row[None], cuts)
        ]

    def _clear(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self._targets: list[torch.Tensor] = []
        self._probabilities: list[torch.Tensor] = []

    def _collect(self, engine: Engine) -> None:
        samples: Any = engine.state.batch  # ignite leaves the types open
        outputs: Any = engine.state.output
        for sample, output in zip(samples, outputs, strict=True):
            self._add(sample, torch.as_tensor(output["pred"]).detach().cpu().flatten().double())

    def _add(self, sample: dict[str, Any], probabilities: torch.Tensor) -> None:
        n_outputs, image = len(self.output_names), sample["image"]
        if len(probabilities) != n_outputs:
            raise ValueError(
                f"the network has {len(probabilities)} outputs, expected {n_outputs}, one for each of "
                f"{', '.join(self.output_names)}: give the class_names and the task of its training."
            )
        file = Path(str(image.meta[ImageMetaKey.FILENAME_OR_OBJ] if isinstance(image, MetaTensor) else image))
        if not bool(((probabilities >= 0) & (probabilities <= 1)).all()):
            raise ValueError(
                f"the evaluator's 'pred' of {file} is {probabilities.tolist()}, expected probabilities: apply "
                "Activationsd in its postprocessing."
            )
        within = self.root is not None and file.is_relative_to(self.root)
        name = str(file.relative_to(self.root) if self.root is not None and within else file)
        self.entries.append({"file": name, **{column: _python_value(sample[column]) for column in self.columns}})
        self._probabilities.append(probabilities)
        self._targets.append(self._target(sample, n_outputs))

    def _target(self, sample: dict[str, Any], n_outputs: int) -> torch.Tensor:
        if self.label_key is None:
            return torch.full((n_outputs,), torch.nan)
        label = torch.as_tensor(sample[self.label_key]).detach().cpu()[None]
        return TASKS[self.task].targets(label, n_outputs, self.ignored)[0].double()

    def _label(self, target: torch.Tensor) -> dict[str, list[str]]:
        return {"label": self._found(target == 1, ~target.isnan()), "missing": self._named(target.isnan())}

    def _named(self, chosen: torch.Tensor) -> list[str]:
        return [name for name, is_chosen in zip(self.output_names, chosen.tolist(), strict=True) if is_chosen]

    def _found(self, there: torch.Tensor, known: torch.Tensor) -> list[str]:
        """The names of the labels that are true; of a binary task, the class."""
        if self.task == "binary":
            return [self.class_names[int(there)]] if bool(known) else []
        return self._named(there & known)


def _python_value(value: Any) -> Any:
    return value.item() if isinstance(value, torch.Tensor) else value
