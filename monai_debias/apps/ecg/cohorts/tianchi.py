# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Tianchi Hefei competition 2019, "hf_round1": 8-lead ECGs of 10 s as text, with any of 55 labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from monai_debias.apps.ecg.cohorts.unknown_labels import UnknownLabels
from monai_debias.data.cohort import Cohort, Record
from monai_debias.data.cohort_files import files_by_name, find_one
from monai_debias.data.demographics import sex_letter, years
from monai_debias.data.table import read_lines

__all__ = ["tianchi"]

_LABELS = "hf_round1_label.txt"


def tianchi(directory: Path) -> Cohort:
    """Describe the cohort, whose labels are the lines of ``hf_round1_arrythmia.txt``, spelt so.

    Args:
        directory: where this list, ``hf_round1_label.txt`` and ``hf_round1_train`` are.
    """
    classes = find_one(directory, "hf_round1_arrythmia.txt", "hf_round1_arrhythmia.txt")
    names = tuple(dict.fromkeys(read_lines(classes)))

    def read(directory: Path) -> Iterator[Record]:
        table = find_one(directory, _LABELS)
        signals = find_one(directory, "hf_round1_train/train", "hf_round1_train", "train")
        return _records(table, signals, classes, set(names))

    return Cohort(
        "the Tianchi competition 2019",
        names,
        read,
        task="multi_label",
        caveats=("the Tianchi competition does not name patients: each record counts as one.",),
    )


def _records(table: Path, signals: Path, classes: Path, names: set[str]) -> Iterator[Record]:
    """One record for each line: file, age, sex and labels between single tabs, of which age and sex may be empty."""
    files, unknown = files_by_name(signals, ".txt"), UnknownLabels(classes)
    for number, line in enumerate(read_lines(table), start=1):
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) < 3 or not cells[0].endswith(".txt"):
            raise ValueError(
                f"line {number} of {table} has {len(cells)} cells, expected a file (.txt), age, sex and the labels, "
                "separated by tabs."
            )
        name, age, sex, *rest = cells
        labels = set(rest) - {""}
        without_label = unknown.among(labels, names)
        yield Record(
            files.get(name, signals / name),
            frozenset(labels & names),
            Path(name).stem,
            attributes={"sex": sex_letter(sex), "age": years(age)},
            excluded="" if not without_label else "has no known label" if labels else "has no label",
        )
    unknown.warn()
