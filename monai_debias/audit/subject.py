# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What is audited: a network, the images that it judges, and what is known about them.

The images are read once, and what the network answers to them is kept; changed images are made of the data set's items
when a check asks for them, so that memory grows with the numbers and not with the images.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from monai_debias.audit.answers import Answers, Network, Normalize, are_probabilities, logits_of
from monai_debias.audit.item_values import alike, column_of, image_of, is_missing, labels_of, region_of
from monai_debias.audit.question import log_odds, questions_of
from monai_debias.audit.reading import Keys, named, read_items
from monai_debias.distributed import share_work
from monai_debias.labels import ignored_values
from monai_debias.tasks import TASKS

__all__ = ["NotCheckableError", "Subject"]

Rows = NDArray[np.int64]
Result = TypeVar("Result")


class NotCheckableError(Exception):
    """A check has found out that it cannot be done here; the message says why, as the end of a sentence."""


class Subject:
    """A network and its images, as all checks see them.

    Args:
        network: maps a batch (B, C, spatial...) to logits, see :class:`~monai_debias.audit.answers.Answers`.
        dataset: items by number, mappings with an image, a label, and what else there is.
        task: "softmax", "binary" or "multi_label".
        class_names: names of the classes; None for numbers.
        attributes: keys of attributes.
        normalize: what is done to a batch of images before the network.
        thresholds: probability from which the answer is yes.
        keys: keys of image, label, mask and patient.
        ignore_value: the value of a missing label.
        batch_size: images at a time.
        seed: seed of everything that is drawn.

    Raises:
        ValueError: when no image can be read, labels do not fit, or the network does not return finite logits (N, K)
            that differ between images.
    """

    def __init__(
        self,
        network: Network,
        dataset: Sequence[Mapping[str, Any]],
        task: str,
        class_names: Sequence[str] | None,
        attributes: Sequence[str],
        normalize: Normalize | None,
        thresholds: float | Sequence[float] | None,
        keys: Keys,
        ignore_value: float | Sequence[float] | None,
        batch_size: int,
        seed: int,
    ) -> None:
        self.network = Answers(network, normalize, task)
        self.dataset, self.task = dataset, task
        self.keys = keys
        self.batch_size, self.seed = batch_size, seed
        self._read(class_names, attributes, thresholds, ignore_value)

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def n_patients(self) -> int:
        """Number of patients."""
        return len(np.unique(self.patients))

    def rng(self, name: str) -> np.random.Generator:
        """A random generator that depends on the seed and the name of a check alone."""
        return np.random.default_rng([self.seed, *name.encode()])

    def batches(self, rows: Rows) -> Iterator[Rows]:
        """Parts of some rows that are judged at a time."""
        return (rows[start : start + self.batch_size] for start in range(0, len(rows), self.batch_size))

    def in_batches(self, rows: Rows, judge: Callable[[Rows], Result]) -> list[Result]:
        """What a function says of parts of some rows, in their order; processes of ``torchrun`` share the parts."""
        return share_work(lambda parts: map(judge, parts), list(self.batches(rows)))

    def images(self, rows: Rows) -> torch.Tensor:
        """Images (B, C, spatial...) before ``normalize``."""
        return torch.stack([image_of(self.dataset[self.numbers[row]], self.keys.image) for row in rows])

    def images_and_masks(self, rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
        """Images, and their regions of interest of the same shape, boolean; all True for an image without a mask."""
        items = [self.dataset[self.numbers[row]] for row in rows]
        images = [image_of(item, self.keys.image) for item in items]
        masks = [
            region_of(item.get(self.keys.mask), image)
            if self.has_mask[row]
            else torch.ones_like(image, dtype=torch.bool)
            for row, item, image in zip(rows, items, images, strict=True)
        ]
        return torch.stack(images), torch.stack([mask.expand(self.size) for mask in masks])

    def answer(self, images: torch.Tensor) -> NDArray[np.float64]:
        """The network's log-odds (B, K) for images before ``normalize``.

        Raises:
            ValueError: when it does not return logits (B, K).
            NotCheckableError: when they are not finite, since these images are not those of the data set.
        """
        logits = self.network(images)
        if not bool(logits.isfinite().all()):
            raise NotCheckableError("the network returns NaN or infinite logits for images that are changed")
        return log_odds(logits, self.task)

    def answer_changed(self, rows: Rows, images: torch.Tensor, changed: torch.Tensor) -> NDArray[np.float64]:
        """The log-odds for images some of which are changed; for the others the answer is known.

        Args:
            rows: which images, (B,).
            images: as they are, (B, C, spatial...).
            changed: of the same shape.
        """
        odds = self.odds[rows].copy()
        different = (images != changed).flatten(1).any(1)
        if bool(different.any()):
            odds[different.numpy()] = self.answer(changed[different])
        return odds

    def _read(
        self,
        class_names: Sequence[str] | None,
        attributes: Sequence[str],
        thresholds: float | Sequence[float] | None,
        ignore_value: float | Sequence[float] | None,
    ) -> None:
        read = read_items(self.dataset, self.keys, attributes, self.network, self.batch_size)
        self.numbers, self.files, self.size, self.left_out = read.numbers, read.files, read.size, read.left_out
        self.features, self.masks = read.features, np.array(read.masks)
        self.has_mask = self.masks > 0
        self._interpret(torch.cat(read.logits), read.labels, class_names, thresholds, ignore_value)
        self.seconds = self._measure()
        self.has_patient = np.array([not is_missing(patient) for patient in read.patients])
        known = zip(read.patients, self.has_patient, self.numbers, strict=True)
        self.patient_names = [str(patient) if is_known else f"item {number}" for patient, is_known, number in known]
        self.patients: Rows = np.unique(self.patient_names, return_inverse=True)[1].astype(np.int64)
        self._describe({name: [row[i] for row in read.attributes] for i, name in enumerate(attributes)})

    def _measure(self) -> float:
        """Seconds for an image that has been read before, since what is read is kept as far as there is room."""
        first = np.arange(min(self.batch_size, len(self)))
        start = time.perf_counter()
        self.answer(self.images(first))
        return (time.perf_counter() - start) / len(first)

    def _describe(self, values: Mapping[str, Sequence[Any]]) -> None:
        """The attributes, without those that say the same as one before them."""
        for name, column in values.items():
            if all(value is None for value in column):
                keys = sorted(map(str, self.dataset[self.numbers[0]]))
                raise ValueError(f"no item has a value of the attribute {name!r}; the first one has {keys}.")
        columns = {str(name): column_of(column) for name, column in values.items()}
        self.alike = alike(columns)
        """Attributes that say the same as one before them, by the name of that one, which alone is looked at."""
        said = {name for names in self.alike.values() for name in names}
        self.attributes = {name: column for name, column in columns.items() if name not in said}

    def _interpret(
        self,
        logits: torch.Tensor,
        labels: Sequence[Any],
        class_names: Sequence[str] | None,
        thresholds: float | Sequence[float] | None,
        ignore_value: float | Sequence[float] | None,
    ) -> None:
        """Scores, targets and questions of the original images."""
        kind, n_outputs = TASKS[self.task], logits.shape[1]
        wrong = (~logits.isfinite().all(1)).nonzero().flatten().tolist()
        if wrong:
            first = named(self.dataset, self.numbers[wrong[0]], self.keys.image)
            raise ValueError(
                f"the network returned NaN or infinite logits for {len(wrong)} of {len(logits)} images, such as "
                f"{first}: check its weights, and the values of these images."
            )
        kind.check_outputs(n_outputs)
        self.network.as_probabilities = are_probabilities(logits, self.task)
        if self.network.as_probabilities:
            logits = logits_of(logits, self.task)
        if len(logits) > 1 and bool((logits - logits[0]).abs().max() < 1e-6 * logits.abs().max().clamp_min(1e-6)):
            raise ValueError(
                f"the network gives the same answer for all {len(logits)} images: check that its weights are loaded, "
                "and that the images are preprocessed as in its training."
            )
        default = [str(k) for k in range(2 if self.task == "binary" else n_outputs)]
        self.class_names = list(class_names or default)
        self.outputs = kind.output_names(self.class_names)
        if len(self.outputs) != n_outputs:
            raise ValueError(f"the network has {n_outputs} outputs, but class_names gives {self.outputs}.")
        label = labels_of(labels, self.numbers, class_names)
        if self.task == "softmax" and label.ndim == 2 and label.shape[1] == 1:
            label = label[:, 0]
        self.targets = kind.targets(label, n_outputs, ignored_values(ignore_value)).double().numpy()
        self.odds = log_odds(logits, self.task)
        self.thresholds = kind.thresholds(thresholds, n_outputs).tolist()
        self.questions = questions_of(self.targets, self.task, self.class_names, self.thresholds)
        decided = {question.name: np.unique(question.decided(self.odds)) for question in self.questions}
        self.one_answer = {name: int(answers[0]) for name, answers in decided.items() if len(answers) == 1}
        """The class that the network decides for in every image, by the name of the question; most have none."""
