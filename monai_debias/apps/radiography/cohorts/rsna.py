# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""RSNA Pneumonia Detection Challenge: 26,684 labelled DICOM films with boxes, taken from ChestX-ray14."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path

from monai_debias.apps.radiography.cohorts.header import film_attributes
from monai_debias.data.cohort import Cohort, Record
from monai_debias.data.cohort_files import files_by_name, find_one
from monai_debias.data.table import read_table

__all__ = ["RSNA"]

_CLASSES = {"Normal": "normal", "Lung Opacity": "lung opacity", "No Lung Opacity / Not Normal": "other abnormality"}
_MAPPINGS = "pneumonia-challenge-dataset-mappings_2018.json"


def read(directory: Path) -> Iterator[Record]:
    """Read ``stage_2_train_labels.csv``, a row per box, and where they are there, the classes and the NIH names.

    With ``pneumonia-challenge-dataset-mappings_2018.json`` in the directory, films are grouped by the patient of
    ChestX-ray14.
    """
    table = find_one(directory, "stage_2_train_labels.csv")
    folder = find_one(directory, "stage_2_train_images", "train")
    images = files_by_name(folder, ".dcm")
    target: dict[str, bool] = {}
    for row in read_table(table, {"film": "patientId", "target": "Target"}):
        if row["target"] not in ("0", "1"):
            raise ValueError(f"{table} has the Target {row['target']!r}, expected 0 or 1.")
        target[row["film"]] = target.get(row["film"], False) or row["target"] == "1"
    finer = _finer_classes(directory)
    patient = _patients(directory)
    for film, is_pneumonia in target.items():
        image = images.get(f"{film}.dcm", folder / f"{film}.dcm")
        attributes, defect = film_attributes(image)
        yield Record(
            image,
            frozenset({"pneumonia" if is_pneumonia else "no pneumonia"} | finer.get(film, set())),
            patient.get(film, film),
            attributes=attributes,
            defect=defect,
        )


def _finer_classes(directory: Path) -> dict[str, set[str]]:
    table = directory / "stage_2_detailed_class_info.csv"
    if not table.exists():
        return {}
    rows = read_table(table, {"film": "patientId", "class": "class"})
    unknown = {row["class"] for row in rows} - _CLASSES.keys()
    if unknown:
        raise ValueError(f"{table} has the class {unknown.pop()!r}, expected {', '.join(_CLASSES)}.")
    return {row["film"]: {_CLASSES[row["class"]]} for row in rows}


def _patients(directory: Path) -> dict[str, str]:
    """The patient of each film, by the file of RSNA that says from which image of ChestX-ray14 it was made."""
    path = directory / _MAPPINGS
    if not path.exists():
        warnings.warn(
            f"{path} is not there, so that each film of RSNA counts as a patient of its own, though some patients have "
            "several, which may come into two splits.",
            stacklevel=2,
        )
        return {}
    try:
        mappings = json.loads(path.read_text(encoding="utf-8-sig"))
        return {entry["subset_img_id"]: str(int(entry["img_id"].partition("_")[0])) for entry in mappings}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} must be a list of objects with subset_img_id and img_id, such as 00000005_003.png."
        ) from error


RSNA = Cohort(
    "RSNA Pneumonia Detection Challenge",
    ("no pneumonia", "pneumonia"),
    read,
    site="NIH Clinical Center",
    overlaps={"nih": "the films of the RSNA challenge were taken from ChestX-ray14"},
)
