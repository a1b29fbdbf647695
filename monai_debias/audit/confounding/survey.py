# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What goes with the label in a datalist, before any network is trained on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_debias.audit.confounding.chance import patient_numbers, rows_of_some
from monai_debias.audit.confounding.columns import Column, as_column
from monai_debias.audit.confounding.confounder import Confounder
from monai_debias.audit.confounding.predictability import predictabilities
from monai_debias.audit.confounding.utility import utilities
from monai_debias.data.inspection import InspectedImage, Inspection

__all__ = ["Survey", "label_questions", "survey_images", "survey_section"]

_OWN_KEYS = ("image", "item", "label", "mask", "patient_id")
_MOST_PATIENTS = 2000


@dataclass(frozen=True)
class Survey:
    """What goes with the label.

    Attributes:
        section: the section of the datalist.
        images: how many were looked at.
        patients: of how many patients.
        attributes: what the columns of the datalist tell about the label.
        properties: how well the files predict it.
        note: what a reader has to know about it; "" if nothing.
    """

    section: str
    images: int
    patients: int
    attributes: Sequence[Confounder]
    properties: Sequence[Confounder]
    note: str = ""


def survey_section(inspection: Inspection, section: str | None = None, seed: int = 0) -> Survey:
    """Look at the section that a network would be trained on.

    Args:
        inspection: the datalist, whose files were read.
        section: which section; default: the first.
        seed: seed of permutations and resamples.

    Raises:
        ValueError: if there is no such section.
    """
    names = list(inspection.sections)
    if section is not None and section not in names:
        raise ValueError(f"there is no section {section!r}, it has {', '.join(names) or 'none'}.")
    chosen = section or ("training" if "training" in names else next(iter(names), ""))
    images = [image for image in inspection.images if image.section == chosen and image.properties]
    return survey_images(chosen, images, inspection.labels, seed)


def survey_images(section: str, images: Sequence[InspectedImage], labels: Mapping[str, str], seed: int) -> Survey:
    """Look at some images, of at most 2000 patients drawn at random.

    Args:
        section: what they are called.
        images: images that could be read.
        labels: names of the classes by their labels.
        seed: seed of the draw, of permutations and resamples.
    """
    patients = patient_numbers([image.item.get("patient_id") for image in images])
    drawn = rows_of_some(patients, _MOST_PATIENTS, np.random.default_rng(seed))
    chosen, patients = [images[row] for row in drawn], patients[drawn]
    questions = label_questions([image.item.get("label") for image in chosen], labels)
    attributes = utilities(_columns([_attributes(image.item) for image in chosen]), questions, patients, seed=seed)
    properties = predictabilities(
        _columns([image.properties for image in chosen]), questions, patients, 499 if len(questions) == 1 else 199, seed
    )
    named = all(image.item.get("patient_id") not in (None, "") for image in chosen)
    notes = [
        f"of {len(images)} images, those of {_MOST_PATIENTS} patients" if len(chosen) < len(images) else "",
        "" if named else "an image without a patient counts as one",
        "" if properties else "fewer than five patients with a label or without it: no prediction by the files",
    ]
    note = "; ".join(note for note in notes if note)
    return Survey(section, len(chosen), len(np.unique(patients)), attributes, properties, note)


def label_questions(labels: Sequence[Any], names: Mapping[str, str]) -> dict[str, NDArray[np.int64]]:
    """The classes of images as the questions that a network is asked: one, or one for each of several labels.

    Args:
        labels: of items of a datalist: a class, or a list of 1, 0 and null or -1.
        names: names of the classes by their labels.

    Returns:
        By the name of the label, "" if there is one question, the classes, shape (N,), -1 where they are not known.

    Example:
        >>> {name: c.tolist() for name, c in label_questions([[1, 0], [0, None]], {"0": "cyst", "1": "stone"}).items()}
        {'cyst': [1, 0], 'stone': [0, -1]}
    """
    if any(isinstance(label, list) for label in labels):
        unknown = [None] * len(names)
        rows = [label if isinstance(label, list) and len(label) == len(names) else unknown for label in labels]
        table = np.array([[entry if entry in (0, 1) else -1 for entry in row] for row in rows], dtype=np.int64)
        return {name: table[:, k] for k, name in enumerate(names.values())}
    place = {label: k for k, label in enumerate(names)}
    return {"": np.array([place.get(str(label), -1) for label in labels], dtype=np.int64)}


def _attributes(item: Mapping[str, Any]) -> dict[str, Any]:
    plain = {key: value for key, value in item.items() if key not in _OWN_KEYS and not isinstance(value, list | dict)}
    return {key: str(value) if isinstance(value, bool) else value for key, value in plain.items()}


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    names = dict.fromkeys(name for row in rows for name in row)
    return [as_column(name, [row.get(name) for row in rows]) for name in names]
