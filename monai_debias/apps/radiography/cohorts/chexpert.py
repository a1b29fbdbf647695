# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""CheXpert: 224,316 films of 65,240 patients with 14 findings, some of which the reports leave open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from monai_debias.data.cohort import Cohort, Record
from monai_debias.data.cohort_files import find_one
from monai_debias.data.demographics import years
from monai_debias.data.table import read_table

__all__ = ["CHEXPERT"]

FINDINGS = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
_TABLES = {"train.csv": "training", "valid.csv": "test"}
_FOLDERS = ("CheXpert-v1.0-small", "CheXpert-v1.0")
_VALUES = {"1": 1, "0": 0, "-1": -1, "": 0}


def read(directory: Path) -> Iterator[Record]:
    """Read ``train.csv`` and ``valid.csv``, whose labels are radiologists' and become the test section.

    A finding is 1, 0, -1 (uncertain) or blank (not mentioned), which counts as 0, as in the paper.
    """
    for name, section in _TABLES.items():
        table = find_one(directory, name, *(f"{folder}/{name}" for folder in _FOLDERS))
        columns = {"path": "Path", "sex": "Sex", "age": "Age", "view": "Frontal/Lateral", "position": "AP/PA"}
        for row in read_table(table, {**columns, **{finding: finding for finding in FINDINGS}}):
            values = {finding: _value(table, finding, row[finding]) for finding in FINDINGS}
            path = Path(row["path"])
            if len(path.parts) != 5 or not path.parts[2].startswith("patient"):
                raise ValueError(
                    f"{table} has the Path {row['path']!r}, expected one such as "
                    "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg, which names the patient."
                )
            yield Record(
                table.parent / Path(*path.parts[1:]),
                frozenset(finding for finding, value in values.items() if value == 1),
                path.parts[2],
                uncertain=frozenset(finding for finding, value in values.items() if value == -1),
                section=section,
                attributes={
                    "view": row["view"].lower(),
                    "view_position": row["position"],
                    "sex": row["sex"],
                    "age": years(row["age"]),
                },
            )


def _value(table: Path, finding: str, cell: str) -> int:
    value = _VALUES.get(cell.removesuffix(".0"))
    if value is None:
        raise ValueError(f"{table} has the value {cell!r} for {finding!r}, expected 1, 0, -1 or nothing.")
    return value


CHEXPERT = Cohort(
    "CheXpert",
    FINDINGS,
    read,
    task="multi_label",
    site="Stanford Hospital",
    caveats=("a finding that a report of CheXpert does not mention counts as absent.",),
)
