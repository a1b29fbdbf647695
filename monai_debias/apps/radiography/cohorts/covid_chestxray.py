# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""covid-chestxray-dataset: films and CT slices from publications, of many hospitals, with a finding each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from monai_debias.data.cohort import Cohort, Record
from monai_debias.data.cohort_files import find_one
from monai_debias.data.demographics import years
from monai_debias.data.table import read_table

__all__ = ["COVID_CHESTXRAY"]

_NO_LABEL = ("", "todo", "unknown")
_FRONTAL = ("PA", "AP", "AP SUPINE", "AP ERECT", "AP SEMI ERECT")


def read(directory: Path) -> Iterator[Record]:
    """Read ``metadata.csv``. CT slices and films without a finding ("todo", "Unknown") are excluded.

    A finding is a path, Pneumonia/Viral/COVID-19: each part is a label; a pneumonia that is not COVID-19 is also
    "other pneumonia".
    """
    table = find_one(directory, "metadata.csv")
    columns = ("patientid", "sex", "age", "finding", "view", "modality", "location", "folder", "filename")
    for row in read_table(table, {name: name for name in columns}):
        labels = frozenset(part.strip() for part in row["finding"].split("/"))
        if "Pneumonia" in labels and "COVID-19" not in labels:
            labels |= {"other pneumonia"}
        yield Record(
            directory / (row["folder"] or "images") / row["filename"],
            labels,
            row["patientid"],
            attributes={
                "site": row["location"],
                "view": _view(row["view"]),
                "view_position": row["view"],
                "sex": row["sex"],
                "age": years(row["age"]),
            },
            excluded=_why_excluded(row),
        )


def _why_excluded(row: dict[str, str]) -> str:
    if row["modality"].upper() != "X-RAY":
        return f"is of the modality {row['modality'] or 'unknown'}"
    return f"has no label yet ({row['finding'] or 'blank'})" if row["finding"].lower() in _NO_LABEL else ""


def _view(position: str) -> str:
    if position.upper() in _FRONTAL:
        return "frontal"
    return "lateral" if position.upper().startswith("L") else ""


COVID_CHESTXRAY = Cohort(
    "covid-chestxray-dataset",
    ("No Finding", "other pneumonia", "COVID-19"),
    read,
    caveats=("covid-chestxray-dataset was collected from publications: most hospitals have cases of one class only.",),
)
