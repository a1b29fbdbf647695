# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""An audit: all checks of a network, one after the other, and what follows from all of them together."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from monai_debias.audit.answers import Network, Normalize
from monai_debias.audit.checks import default_checks
from monai_debias.audit.checks.check import Check, NotCheckableError
from monai_debias.audit.finding import Finding, decide
from monai_debias.audit.reading import Keys
from monai_debias.audit.subject import Subject
from monai_debias.constraints import (
    FUNCTION,
    KEY,
    NONE,
    PATH,
    SEED,
    STRING,
    Having,
    Integer,
    Number,
    SequenceOf,
)
from monai_debias.data.left_out import log_left_out
from monai_debias.distributed import in_first, is_first
from monai_debias.files import write_json
from monai_debias.labels import IGNORE_VALUE
from monai_debias.parameters import expects
from monai_debias.tasks import TASK, THRESHOLDS

__all__ = ["Audit", "audit"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Audit:
    """The result of an audit.

    Args:
        findings: what all checks found, with their verdicts.
        not_checked: why a check could not be done, by its name.
        notes: what limits the whole audit.
        alpha: α of the verdicts.
        subject: the network and its images.
    """

    findings: tuple[Finding, ...]
    not_checked: dict[str, str]
    notes: tuple[str, ...]
    alpha: float
    subject: Subject = field(compare=False)

    @property
    def exit_code(self) -> int:
        """0 if no used shortcut was found, 3 if one was."""
        return 3 if any(one.level == "used" and one.verdict == "found" for one in self.findings) else 0


@expects(
    network=FUNCTION,
    dataset=Having("__len__", "__getitem__"),
    task=TASK,
    class_names=NONE | SequenceOf(STRING, least=1),
    attributes=SequenceOf(KEY),
    normalize=NONE | FUNCTION,
    thresholds=THRESHOLDS,
    checks=NONE | SequenceOf(FUNCTION, least=1),
    significance=Number("(0, 1)"),
    ignore_value=IGNORE_VALUE,
    batch_size=Integer("[1, inf)"),
    seed=SEED,
    folder=NONE | PATH,
    image_key=KEY,
    label_key=KEY,
    mask_key=KEY,
    patient_key=KEY,
)
def audit(
    network: Network,
    dataset: Sequence[Any],
    task: str = "softmax",
    class_names: Sequence[str] | None = None,
    attributes: Sequence[str] = (),
    normalize: Normalize | None = None,
    thresholds: float | Sequence[float] | None = None,
    checks: Sequence[Check] | None = None,
    significance: float = 0.01,
    ignore_value: float | Sequence[float] | None = None,
    batch_size: int = 32,
    seed: int = 0,
    folder: str | Path | None = None,
    image_key: str = "image",
    label_key: str = "label",
    mask_key: str = "mask",
    patient_key: str = "patient_id",
) -> Audit:
    """Ask whether a trained classifier uses a shortcut, how much that matters, and which images show it.

    The network only runs forward (and back for heatmaps), in evaluation mode; nothing of it is changed. What is checked
    follows from what the items have: exchanges of backgrounds take masks, and attributes are only tested if they are
    named. The result says what was not checked. It depends on the arguments alone, not on the order of the checks.

    Args:
        network: maps images (B, C, spatial...) to logits or probabilities (B, K): a module, or any function; of several
            values that it returns the first counts.
        dataset: items by number, each a mapping with an image (C, spatial...), all of one size, and its label, a number
            or one of ``class_names``; better also with a mask (1, spatial...), 1 = region of interest, a patient, and
            attributes such as the scanner. Use images that the network was not trained with. An item that cannot be
            read is left out.
        task: "softmax", "binary" or "multi_label", see :mod:`monai_debias.tasks`.
        class_names: names of the classes, in the order of the labels; by default numbers.
        attributes: keys of attributes in the items, names or numbers.
        normalize: what is done to a batch of images before the network; takes and returns (B, C, spatial...). Exchanges
            need images in which 0 is black: give a z-score here instead of in the data set.
        thresholds: the probability from which the answer is yes, of a binary or multi-label task; by default 0.5.
        checks: the checks to do, see :mod:`monai_debias.audit.checks`; by default all.
        significance: α, the chance that a network without a shortcut is accused of one, over all checks together.
        ignore_value: the value of a missing label.
        batch_size: images at a time.
        seed: seed of all that is drawn.
        folder: where the results of finished checks are kept, so that an interrupted audit goes on.
        image_key: key of the images.
        label_key: key of the labels.
        mask_key: key of the masks.
        patient_key: key of the patients; without them each image counts as a patient.

    Returns:
        The findings with their verdicts, see :mod:`monai_debias.audit.finding`, and what was not checked.

    Raises:
        ValueError: when no image can be read, images differ in size, labels or class names do not fit the network, the
            network fails, has no weights, or returns NaN or the same answer for all images, no item has one of the
            attributes, or nothing can be checked.

    Example:
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> items = [{"image": torch.rand(1, 8, 8), "label": i % 2, "patient_id": i} for i in range(200)]
        >>> for item in items:
        ...     item["mask"] = torch.zeros(1, 8, 8)
        ...     item["mask"][:, 2:6, 2:6] = 1
        ...     item["image"][:, 0, 0] = item["label"]  # a mark in the corner
        >>> network = lambda x: torch.stack([0.5 - x[:, 0, 0, 0], x[:, 0, 0, 0] - 0.5], 1)
        >>> found = audit(network, items)
        >>> [(one.check, one.tested, one.effect) for one in found.findings if one.verdict == "found"][0]
        ('background', 'background', 1.0)
        >>> found.exit_code
        3
    """
    keys = Keys(image_key, label_key, mask_key, patient_key)
    subject = Subject(
        network, dataset, task, class_names, attributes, normalize, thresholds, keys, ignore_value, batch_size, seed
    )
    chosen = list(checks or default_checks())
    not_checked = {check.name: why for check in chosen if (why := check.lacks(subject))}
    to_do = [check for check in chosen if check.name not in not_checked]
    if not to_do:
        raise ValueError("nothing can be checked: " + "; ".join(f"{k}: {why}" for k, why in not_checked.items()) + ".")
    _announce(subject, to_do, not_checked)
    found: list[Finding] = []
    for check in to_do:
        start = time.perf_counter()
        try:
            found += _done(check, subject, None if folder is None else Path(folder))
        except NotCheckableError as error:
            not_checked[check.name] = str(error)
        logger.info("%s: %.0f s", check.name, time.perf_counter() - start)
    findings = tuple(_left_open(one, subject) for one in decide(found, significance))
    return Audit(findings, not_checked, tuple(_notes(subject)), significance, subject)


def _left_open(finding: Finding, subject: Subject) -> Finding:
    """A finding that is no all-clear: no exchange could have changed an answer, or answers go by other labels."""
    if finding.level != "used" or finding.verdict == "found":
        return finding
    if finding.question in subject.one_answer:
        note = "The network gives one answer to all images, so that no exchange can change it."
    elif finding.effect is not None and finding.effect <= -finding.delta:
        note = (
            "It goes with other classes in these images than the network takes it for: give images like those of its "
            "training."
        )
    else:
        return finding
    return replace(finding, verdict="too little data", patients_needed=None, note=f"{finding.note} {note}".strip())


def _announce(subject: Subject, to_do: Sequence[Check], not_checked: dict[str, str]) -> None:
    seconds = subject.seconds * sum(check.cost(subject) for check in to_do)
    logger.info(
        "%d images of %d patients, to be checked: %s; at most about %.0f min",
        len(subject),
        subject.n_patients,
        ", ".join(check.name for check in to_do),
        max(1, seconds / 60),
    )
    if subject.left_out:
        log_left_out(logger, subject.left_out, len(subject))
    for name, why in not_checked.items():
        logger.info("not checked: %s: %s", name, why)
    for note in _notes(subject):
        logger.warning(note)


def _notes(subject: Subject) -> list[str]:
    """What limits the audit as a whole."""
    notes = list(subject.network.notes)
    alone = int((~subject.has_patient).sum())
    if alone:
        notes.append(
            f"Where there is no {subject.keys.patient!r}, in {alone} of {len(subject)} images, each image counts as a "
            "patient: if patients have several images, intervals are too narrow and p-values too small."
        )
    without = int((~subject.has_mask).sum())
    if without:
        notes.append(
            f"{without} of {len(subject)} images have no mask, one that is not loaded, or one without a background."
        )
    if subject.left_out:
        n_all = len(subject) + len(subject.left_out)
        notes.append(f"Left out, since they cannot be used: {len(subject.left_out)} of {n_all} images.")
    constant = [name for name, values in subject.attributes.items() if len(np.unique(values)) < 2]
    if constant:
        notes.append(f"The same in all images, so that nothing can be said of it: {', '.join(constant)}.")
    for name, others in subject.alike.items():
        notes.append(f"{', '.join([name, *others])}: the same groups of images, so that {name} stands for all.")
    for question in subject.questions:
        if question.name in subject.one_answer:
            name = question.class_names[subject.one_answer[question.name]]
            notes.append(f"The network decides for {name!r} in every image: effects on its accuracy cannot be seen.")
        rows = np.flatnonzero(question.classes >= 0)
        right, classes = question.right(subject.odds[rows], rows), question.classes[rows]
        recognised = [right[classes == c].mean() for c in np.unique(classes)]
        if len(recognised) > 1 and np.mean(recognised) < 1 / len(recognised):
            notes.append(
                f"The network recognises {np.mean(recognised):.0%} of the images{question}, averaged over the classes, "
                f"and chance {1 / len(recognised):.0%}: are labels and outputs in the same order?"
            )
        if len(recognised) < 2:
            notes.append(f"All labels{question} are of one class: exchanges between classes cannot be done.")
    return notes


def _done(check: Check, subject: Subject, folder: Path | None) -> list[Finding]:
    """The findings of a check; from the disk if it was done with the same answers, labels, masks and settings."""
    if folder is None:
        return check(subject)
    file = folder / "checks" / f"{check.name.replace(' ', '_')}_{_fingerprint(check, subject)}.json"
    kept = in_first(lambda: _kept(file))
    if kept is not None:
        return kept
    found = check(subject)
    if is_first():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, [one.to_json() for one in found])
    return found


def _kept(file: Path) -> list[Finding] | None:
    """What a finished check has found; None if it was not done, or something has damaged the file."""
    if not file.exists():
        return None
    try:
        return [Finding.from_json(one) for one in json.loads(file.read_bytes())]
    except (ValueError, TypeError, KeyError) as error:
        logger.warning("%s cannot be read (%s): the check is done again.", file, error)
        return None


def _fingerprint(check: Check, subject: Subject) -> str:
    """A digest of all that the findings of a check depend on; the answers stand for network and images."""
    state = hashlib.sha256(repr((type(check).__qualname__, vars(check), subject.seed, subject.thresholds)).encode())
    arrays = [subject.odds.round(4), subject.targets, subject.patients, subject.masks, *subject.attributes.values()]
    for array in arrays:
        state.update(array.tobytes() if array.dtype.kind != "U" else repr(array.tolist()).encode())
    state.update(repr(sorted(subject.attributes)).encode())
    return state.hexdigest()[:16]
