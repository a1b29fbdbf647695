# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What is audited: a network, the images that it judges, and what is known about them.

The images are read once, and what the network answers to them is kept; changed images are made of the data set's items
when a check asks for them, so that memory grows with the numbers and not with the images.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from monai_debias.audit.answers import Answers, Network, Normalize, are_probabilities, logits_of
from monai_debias.audit.features import Features
from monai_debias.audit.item_values import alike, column_of, image_of, is_missing, label_of, region_of
from monai_debias.audit.question import log_odds, questions_of
from monai_debias.data.left_out import LeftOut
from monai_debias.distributed import share_work
from monai_debias.labels import ignored_values
from monai_debias.origin import file_names
from monai_debias.tasks import TASKS

__all__ = ["NotCheckableError", "Subject"]

Rows = NDArray[np.int64]
Result = TypeVar("Result")


class NotCheckableError(Exception):
    """A check has found out that it cannot be done here; the message says why, as the end of a sentence."""


@dataclass
class _Read:
    """What a process has read: lists of equal length, but for the batches of logits and what is left out."""

    numbers: list[int] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    labels: list[Any] = field(default_factory=list)
    patients: list[Any] = field(default_factory=list)
    masks: list[int] = field(default_factory=list)
    attributes: list[list[Any]] = field(default_factory=list)
    logits: list[torch.Tensor] = field(default_factory=list)
    features: NDArray[np.float64] | None = None
    left_out: list[LeftOut] = field(default_factory=list)
    size: tuple[int, ...] = ()


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
        keys: tuple[str, str, str, str],
        ignore_value: float | Sequence[float] | None,
        batch_size: int,
        seed: int,
    ) -> None:
        self.network = Answers(network, normalize, task)
        self.dataset, self.task = dataset, task
        self.image_key, self.label_key, self.mask_key, self.patient_key = keys
        self.batch_size, self.seed = batch_size, seed
        self.left_out: list[LeftOut] = []
        self.numbers: list[int] = []
        """Number of each image that could be read in the data set; all arrays below are in this order."""
        self.masks: Rows
        """A number that differs for different regions of interest; 0 where there is none, or no background."""
        self.has_mask: NDArray[np.bool_]
        self.size: tuple[int, ...] = ()
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
        return torch.stack([image_of(self.dataset[self.numbers[row]], self.image_key) for row in rows])

    def images_and_masks(self, rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
        """Images, and their regions of interest of the same shape, boolean; all True for an image without a mask."""
        items = [self.dataset[self.numbers[row]] for row in rows]
        images = [image_of(item, self.image_key) for item in items]
        masks = [
            region_of(item.get(self.mask_key), image)
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

    def _read(
        self,
        class_names: Sequence[str] | None,
        attributes: Sequence[str],
        thresholds: float | Sequence[float] | None,
        ignore_value: float | Sequence[float] | None,
    ) -> None:
        start, n_items = time.perf_counter(), len(self.dataset)
        shares = share_work(lambda numbers: [self._read_share(numbers, attributes)], range(n_items))
        self.left_out = [one for share in shares for one in share.left_out]
        read = [share for share in shares if share.numbers]
        if not read:
            reasons = "; ".join(sorted({one.reason for one in self.left_out})[:3])
            raise ValueError(f"none of the {n_items} images can be used: {reasons or 'the data set is empty'}.")
        self.size = read[0].size
        for share in read:
            self._check_size(share.numbers[0], share.size)
        self.numbers, self.files, labels, patients, masks, found, logits = (
            [value for share in read for value in getattr(share, name)]
            for name in ("numbers", "files", "labels", "patients", "masks", "attributes", "logits")
        )
        features = [share.features for share in read if share.features is not None]
        self.features = np.concatenate(features) if len(features) == len(read) else None
        self.seconds = (time.perf_counter() - start) / len(self)
        self._interpret(torch.cat(logits), labels, class_names, thresholds, ignore_value)
        self.masks = np.array(masks)
        self.has_mask = self.masks > 0
        self.has_patient = np.array([not is_missing(patient) for patient in patients])
        named = zip(patients, self.has_patient, self.numbers, strict=True)
        self.patient_names = [str(patient) if known else f"item {number}" for patient, known, number in named]
        self.patients: Rows = np.unique(self.patient_names, return_inverse=True)[1].astype(np.int64)
        self.attributes = {name: column_of([row[i] for row in found]) for i, name in enumerate(attributes)}
        for i, name in enumerate(attributes):
            if all(row[i] is None for row in found):
                keys = sorted(map(str, self.dataset[self.numbers[0]]))
                raise ValueError(f"no item has a value of the attribute {name!r}; the first one has {keys}.")
        self.alike = alike(self.attributes)
        """Attributes that say the same as one before them, by the name of that one, which alone is looked at."""
        said = {name for names in self.alike.values() for name in names}
        self.attributes = {name: values for name, values in self.attributes.items() if name not in said}

    def _read_share(self, numbers: Sequence[int], attributes: Sequence[str]) -> _Read:
        """What this process reads, and the network's answers."""
        share, waiting = _Read(), list[torch.Tensor]()
        with Features(self.network.network if self.network.is_module else None) as features:
            for number in numbers:
                read = self._item(number)
                if read is not None:
                    item, image, region = read
                    waiting.append(image)
                    share.numbers.append(number)
                    share.files += file_names(item[self.image_key]) or [""]
                    share.labels.append(item[self.label_key])
                    share.patients.append(item.get(self.patient_key))
                    share.masks.append(region)
                    share.attributes.append([item.get(name) for name in attributes])
                if waiting and (len(waiting) == self.batch_size or number == numbers[-1]):
                    share.logits.append(self.network(torch.stack(waiting)))
                    waiting = []
        share.features = features.of(share.logits) if share.logits else None
        share.size, share.left_out = self.size, self.left_out
        return share

    def _item(self, number: int) -> tuple[Mapping[str, Any], torch.Tensor, int] | None:
        """An item, its image, and the number of its mask; None if it is left out."""
        try:
            item = self.dataset[number]
            image = image_of(item, self.image_key)
            if self.label_key not in item:
                raise KeyError(f"has no {self.label_key!r}, it has {sorted(map(str, item))}")
            mask = item.get(self.mask_key)
            region = 0 if mask is None or isinstance(mask, str) else self._number(region_of(mask, image))
        except Exception as error:  # noqa: BLE001 # whatever a reader raises: the report lists it
            cause = error.__cause__ or error
            reason = str(cause.args[0] if isinstance(cause, KeyError) and cause.args else cause)
            self.left_out.append(LeftOut(self._named(number), "unreadable", reason))
            return None
        self.size = self.size or tuple(image.shape)
        self._check_size(number, tuple(image.shape))
        return item, image, region

    def _named(self, number: int) -> str:
        """The file of an item's image, or the item's number."""
        items = getattr(self.dataset, "data", None)  # what MONAI's data sets are made of
        item = items[number] if isinstance(items, Sequence) else None
        file = item.get(self.image_key) if isinstance(item, Mapping) else None
        return str(file) if isinstance(file, str | os.PathLike) else f"item {number}"

    def _check_size(self, number: int, size: tuple[int, ...]) -> None:
        if size != self.size:
            raise ValueError(
                f"the image of {self._named(number)} is {size}, the first one {self.size}: bring all to one size, e.g. "
                "with Resized."
            )

    def _number(self, region: torch.Tensor) -> int:
        """A number of a region; 0 if it is nothing or everything, so that there is nothing to exchange."""
        return 1 + zlib.crc32(region.numpy().tobytes()) if region.any() and not region.all() else 0

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
            raise ValueError(
                f"the network returned NaN or infinite logits for {len(wrong)} of {len(logits)} images, such as "
                f"{self._named(self.numbers[wrong[0]])}: check its weights, and the values of these images."
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
        label = torch.stack(
            [label_of(one, number, class_names) for one, number in zip(labels, self.numbers, strict=True)]
        )
        if self.task == "softmax" and label.ndim == 2 and label.shape[1] == 1:
            label = label[:, 0]
        self.targets = kind.targets(label, n_outputs, ignored_values(ignore_value)).double().numpy()
        self.odds = log_odds(logits, self.task)
        self.thresholds = kind.thresholds(thresholds, n_outputs).tolist()
        self.questions = questions_of(self.targets, self.task, self.class_names, self.thresholds)
        decided = {question.name: np.unique(question.decided(self.odds)) for question in self.questions}
        self.one_answer = {name: int(answers[0]) for name, answers in decided.items() if len(answers) == 1}
        """The class that the network decides for in every image, by the name of the question; most have none."""
