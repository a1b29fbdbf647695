# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""CPSC2018: 6,877 twelve-lead ECGs of 6 to 60 s from 11 hospitals, with up to three of nine labels each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from monai_debias.data.cohort import Cohort, Record
from monai_debias.data.cohort_files import files_by_name, find_one
from monai_debias.data.table import read_table

__all__ = ["CPSC2018"]

_LABELS = ("normal", "AF", "I-AVB", "LBBB", "RBBB", "PAC", "PVC", "STD", "STE")
_COLUMNS = ("First_label", "Second_label", "Third_label")


def read(directory: Path) -> Iterator[Record]:
    """Read ``REFERENCE.csv``; a record is ``A0001.mat``, or its WFDB header where it was converted."""
    table = find_one(directory, "REFERENCE.csv", "TrainingSet1/REFERENCE.csv")
    rows = read_table(table, {"record": "Recording", **{column: column for column in _COLUMNS}})
    files = {**files_by_name(directory, ".mat"), **files_by_name(directory, ".hea")}
    for row in rows:
        name = row["record"].removesuffix(".mat")
        labels = {_label(table, row["record"], column, row[column]) for column in _COLUMNS} - {""}
        yield Record(
            files.get(f"{name}.hea") or files.get(f"{name}.mat") or directory / f"{name}.mat",
            frozenset(labels),
            name,
            excluded="" if labels else "has no label",
        )


def _label(table: Path, record: str, column: str, cell: str) -> str:
    if not cell:
        return ""
    number = cell.removesuffix(".0")
    if number not in map(str, range(1, len(_LABELS) + 1)):
        raise ValueError(f"{table} has {cell!r} in {column} of {record}, expected 1 to {len(_LABELS)} or nothing.")
    return _LABELS[int(number) - 1]


CPSC2018 = Cohort(
    "CPSC2018",
    _LABELS,
    read,
    task="multi_label",
    caveats=("CPSC2018 does not name patients: each record counts as one, and a patient may be in two splits.",),
    overlaps={"cinc2020": "CPSC2018 is one of the sources of the CinC challenges"},
)
