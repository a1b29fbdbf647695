# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A published data set, and how what its authors say of each image becomes a MONAI datalist.

A reader lists *records*: the file of an image, the labels that hold for it, its patient, and whatever else is known.
The rest is the same for every data set: labels become classes or lists of findings, files are looked for, patients are
kept in one split, and nothing is left out in silence.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from monai_debias.data.left_out import LeftOut, refuse_left_out
from monai_debias.data.mask_files import binary_values, read_channel_first
from monai_debias.data.reader import ImageFileReader
from monai_debias.data.splits import split_by_patient, split_in_three

__all__ = ["Cohort", "Record", "as_items", "drop_shared_patients", "in_sections", "join_masks", "require_labels"]

_SHOWN = 12


@dataclass(frozen=True)
class Record:
    """What a data set says about one image.

    Attributes:
        image: its file.
        labels: names of the labels that hold.
        patient_id: the patient.
        uncertain: names of the labels of which the data set says that they may hold.
        section: ``"training"``, ``"validation"`` or ``"test"`` by the authors' split; "" without one.
        masks: files whose union is the mask; empty without a mask.
        attributes: what else is known, such as ``site``, ``view``, ``sex``, ``age``; empty values are dropped.
        excluded: why the image is none for this purpose, e.g. ``"is a CT"``.
        defect: why the file cannot be used.
    """

    image: Path
    labels: frozenset[str]
    patient_id: str
    uncertain: frozenset[str] = frozenset()
    section: str = ""
    masks: tuple[Path, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    excluded: str = ""
    defect: str = ""


@dataclass(frozen=True)
class Cohort:
    """A published data set.

    Attributes:
        title: its name in print.
        class_names: the labels that a datalist has unless others are asked for.
        read: lists the records of its directory.
        task: ``"softmax"`` if an image has one of the classes, ``"multi_label"`` if any number.
        site: the hospital, where all images come from one.
        caveats: what whoever trains on it has to know, each a sentence.
        overlaps: other data sets that have some of the same images, and how that comes.
    """

    title: str
    class_names: tuple[str, ...]
    read: Callable[[Path], Iterable[Record]]
    task: str = "softmax"
    site: str = ""
    caveats: tuple[str, ...] = ()
    overlaps: Mapping[str, str] = field(default_factory=dict)


def as_items(
    records: Sequence[Record], names: Sequence[str], task: str, uncertain: str | None
) -> tuple[list[tuple[dict[str, Any], str]], list[LeftOut]]:
    """Turn records into items of a datalist, and say which cannot be used.

    Args:
        records: the images.
        names: the labels to classify, in their order.
        task: ``"softmax"`` or ``"multi_label"``.
        uncertain: what an uncertain label counts as, ``"positive"``, ``"negative"`` or ``"missing"``; None refuses it.

    Returns:
        The items, each with its section in the authors' split, and the images left out, with the reasons.

    Raises:
        ValueError: if labels are uncertain and ``uncertain`` is None.
        LeftOutError: if no image is left.
    """
    _require_policy(records, names, uncertain)
    left_out = [LeftOut(str(r.image), "unrelated", f"{r.excluded}.") for r in records if r.excluded]
    items = []
    for record in records:
        if record.excluded:
            continue
        label, problem = _label(record, names, task, uncertain)
        if problem:
            left_out.append(LeftOut(str(record.image), "unrelated", f"{problem}."))
            continue
        mask = {"mask": str(record.masks[0])} if record.masks else {}
        known = {key: value for key, value in record.attributes.items() if value not in ("", None)}
        item = {"image": str(record.image), "label": label, "patient_id": record.patient_id, **mask, **known}
        items.append((item, record.section))
    if not items:
        refuse_left_out(left_out, f"no image has one of the labels {', '.join(names)}")
    return items, left_out


def _label(record: Record, names: Sequence[str], task: str, uncertain: str | None) -> tuple[Any, str]:
    """The label of an item, and what is wrong with it."""
    held = record.labels | (record.uncertain if uncertain == "positive" else frozenset())
    unknown = record.uncertain if uncertain == "missing" else frozenset()
    if task == "multi_label":
        return [None if name in unknown else int(name in held) for name in names], ""
    if unknown & set(names):
        return None, f"may be {' or '.join(sorted(unknown & set(names)))}"
    found = [number for number, name in enumerate(names) if name in held]
    if len(found) != 1:
        return None, f"has {'none' if not found else 'more than one'} of the classes {', '.join(names)}"
    return found[0], ""


def require_labels(records: Sequence[Record], names: Sequence[str]) -> None:
    """Raise a ValueError if no image has one of some labels; it lists those that there are.

    Args:
        records: the images.
        names: labels that the user asked for.
    """
    counts = Counter(label for record in records for label in record.labels | record.uncertain)
    unknown = [name for name in names if name not in counts]
    if unknown:
        there = ", ".join(f"{label} ({count})" for label, count in counts.most_common(_SHOWN))
        raise ValueError(
            f"no image has the label {' or '.join(map(repr, unknown))}; the labels are {there or 'none'}"
            f"{', …' if len(counts) > _SHOWN else ''}: choose class_names among them."
        )


def _require_policy(records: Sequence[Record], names: Sequence[str], uncertain: str | None) -> None:
    doubtful = Counter(name for record in records for name in record.uncertain & set(names) if not record.excluded)
    if doubtful and uncertain is None:
        counts = ", ".join(f"{name} {count}" for name, count in doubtful.most_common(_SHOWN))
        raise ValueError(
            f"{doubtful.total()} labels are uncertain ({counts}): say what they count as, uncertain='missing' (left "
            "out of loss and metrics; a film without a certain class is left out), 'positive' or 'negative'."
        )


def drop_shared_patients(records: Sequence[Record]) -> list[Record]:
    """Exclude images of patients who are also in a test or validation set of the authors' split.

    Args:
        records: the images.
    """
    rank = {"test": 2, "validation": 1}
    highest: dict[str, int] = {}
    for record in records:
        highest[record.patient_id] = max(rank.get(record.section, 0), highest.get(record.patient_id, 0))
    return [
        record
        if not record.section or rank.get(record.section, 0) == highest[record.patient_id]
        else replace(record, excluded=record.excluded or "is of a patient whom the authors' split also tests on")
        for record in records
    ]


def in_sections(
    items: Sequence[tuple[dict[str, Any], str]], validation_fraction: float, test_fraction: float, seed: int
) -> dict[str, list[dict[str, Any]]]:
    """Put items into training, validation and test: by the authors' split, and by patient where it says nothing.

    Args:
        items: each with its section, "" where there is no split.
        validation_fraction: share of validation, in what is not yet split.
        test_fraction: share of test, if there is no split at all.
        seed: seed of the choice.

    Raises:
        ValueError: as :func:`~monai_debias.data.splits.split_by_patient`; if only some items have a section.
    """
    given: dict[str, list[dict[str, Any]]] = {}
    for item, section in items:
        given.setdefault(section, []).append(item)
    if given.keys() == {""}:
        return split_in_three(given[""], validation_fraction, test_fraction, seed)
    if "" in given:
        raise ValueError(
            f"{len(given[''])} of {len(items)} images are in no list of the authors' split, such as "
            f"{given[''][0]['image']}."
        )
    if "validation" not in given and "training" in given:
        fractions = {"training": 1 - validation_fraction, "validation": validation_fraction}
        given |= split_by_patient(given["training"], fractions, seed)
    return {name: given[name] for name in ("training", "validation", "test") if name in given}


def join_masks(records: Sequence[Record], folder: Path) -> list[Record]:
    """Write one mask for each image that has several, their union, as PNG with 255 inside.

    Args:
        records: the images.
        folder: where the masks are written, under the names of the images.

    Returns:
        The records, with one mask each.

    Raises:
        ValueError: if masks of an image differ in size or are not binary; it names them.
        OptionalImportError: if Pillow is not installed.
    """
    if all(len(record.masks) < 2 for record in records):
        return list(records)
    from PIL import Image

    folder.mkdir(exist_ok=True)
    joined = []
    for record in records:
        if len(record.masks) > 1:
            target = folder / f"{record.image.stem}.png"
            Image.fromarray(_union(record.masks).astype(np.uint8) * 255).save(target)
            joined.append(replace(record, masks=(target,)))
        else:
            joined.append(record)
    logging.getLogger(__name__).info("masks of several parts are joined in %s", folder)
    return joined


def _union(masks: Sequence[Path]) -> np.ndarray:
    parts = [_read_mask(mask) for mask in masks]
    if len({part.shape for part in parts}) > 1:
        sizes = ", ".join(f"{mask} {part.shape}" for mask, part in zip(masks, parts, strict=True))
        raise ValueError(f"the parts of a mask differ in size: {sizes}.")
    return np.logical_or.reduce(parts)


def _read_mask(mask: Path) -> np.ndarray:
    values = read_channel_first(mask, ImageFileReader())[0][0]
    try:
        return binary_values(values)
    except ValueError as error:
        raise ValueError(f"the mask {mask} {error}") from error
