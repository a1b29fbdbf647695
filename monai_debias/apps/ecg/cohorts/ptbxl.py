# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""PTB-XL: 21,799 twelve-lead ECGs of 10 s from 18,869 patients, with statements of the SCP-ECG standard."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

from monai_debias.apps.ecg.cohorts.unknown_labels import UnknownLabels
from monai_debias.data.cohort import Cohort, Record
from monai_debias.data.cohort_files import find_one
from monai_debias.data.demographics import years
from monai_debias.data.table import read_table

__all__ = ["LABEL_SETS", "ptbxl"]

_FILE_COLUMNS = {100: "filename_lr", 500: "filename_hr"}  # by sampling rate
# each task of the benchmark: which statements it takes, and the column that names the label ("code": the statement)
LABEL_SETS = {
    "all": ("", "code"),
    "diagnostic": ("diagnostic", "code"),
    "subclass": ("diagnostic", "diagnostic_subclass"),
    "superclass": ("diagnostic", "diagnostic_class"),
    "form": ("form", "code"),
    "rhythm": ("rhythm", "code"),
}
_COLUMNS = {"id": "ecg_id", "patient": "patient_id", "codes": "scp_codes", "fold": "strat_fold"}
_ATTRIBUTES = ("site", "device", "nurse", "validated_by")
_SEX = {"0": "M", "1": "F"}
_SECTIONS = {**{str(fold): "training" for fold in range(1, 9)}, "9": "validation", "10": "test"}


def ptbxl(directory: Path, label_set: str, sampling_rate: int) -> Cohort:
    """Describe PTB-XL for one task of its benchmark (Strodthoff et al., 2021), with the folds that it recommends.

    Args:
        directory: where ``ptbxl_database.csv``, ``scp_statements.csv`` and the records are.
        label_set: a key of :data:`LABEL_SETS`.
        sampling_rate: of the files, 100 or 500 Hz.

    Raises:
        ValueError: if there are no files of that rate.
    """
    if sampling_rate not in _FILE_COLUMNS:
        raise ValueError(f"sampling_rate is {sampling_rate}, expected 100 or 500, of which PTB-XL has files.")
    table = find_one(directory, "scp_statements.csv")
    columns = ("diagnostic", "form", "rhythm", "diagnostic_class", "diagnostic_subclass")
    rows = read_table(table, {"code": ("", "scp_code"), **{column: column for column in columns}})
    chosen, named = LABEL_SETS[label_set]
    taken = [row for row in rows if not chosen or row[chosen].removesuffix(".0") == "1"]
    labels = {row["code"]: row[named] for row in taken if row[named]}
    unknown = UnknownLabels(table)
    codes = {row["code"] for row in rows}
    return Cohort(
        "PTB-XL",
        tuple(sorted(set(labels.values()))),
        functools.partial(_read, labels=labels, label_set=label_set, rate=sampling_rate, codes=codes, unknown=unknown),
        task="multi_label",
        overlaps={"cinc2020": "PTB-XL is one of the sources of the CinC challenges"},
    )


def _read(
    directory: Path, labels: dict[str, str], label_set: str, rate: int, codes: set[str], unknown: UnknownLabels
) -> Iterator[Record]:
    """Read ``ptbxl_database.csv``; a statement counts whatever its likelihood, as in the benchmark."""
    table = find_one(directory, "ptbxl_database.csv")
    optional = {"age": "age", "sex": "sex", **{name: name for name in _ATTRIBUTES}}
    for row in read_table(table, {**_COLUMNS, "file": _FILE_COLUMNS[rate]}, optional):
        statements = _statements(table, row)
        unknown.among(statements, codes)
        found = frozenset(labels[code] for code in statements if code in labels)
        header = directory / f"{row['file']}.hea"
        yield Record(
            header,
            found,
            _whole(row["patient"]),
            section=_section(table, row),
            attributes={
                "sex": _SEX.get(_whole(row["sex"]), ""),
                "age": years(row["age"]),  # those above 89 years are 300 in the table
                **{name: _whole(row[name]) for name in _ATTRIBUTES},
            },
            excluded="" if found else f"has no statement of the task {label_set}",
            defect="" if not header.is_file() or header.with_suffix(".dat").is_file() else "has no .dat file.",
        )
    unknown.warn()


def _statements(table: Path, row: dict[str, str]) -> set[str]:
    """The keys of ``scp_codes``, a dictionary as Python writes it, from statement to likelihood."""
    try:
        return set(dict(ast.literal_eval(row["codes"])))
    except (SyntaxError, TypeError, ValueError) as error:
        raise ValueError(
            f"{table} has no dictionary in scp_codes of ecg_id {row['id']}, expected one such as {{'NORM': 100.0}}."
        ) from error


def _section(table: Path, row: dict[str, str]) -> str:
    fold = _whole(row["fold"])
    if fold not in _SECTIONS:
        raise ValueError(f"{table} has {row['fold']!r} in strat_fold of ecg_id {row['id']}, expected 1 to 10.")
    return _SECTIONS[fold]


def _whole(cell: str) -> str:
    """A whole number as pandas writes it in a column with gaps, 15709.0, without the decimal."""
    return cell.removesuffix(".0")
