# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Chapman-Shaoxing and Ningbo (ecg-arrhythmia on PhysioNet): 45,152 twelve-lead ECGs of 10 s with SNOMED CT codes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from monai_debias.apps.ecg.cohorts.snomed import coded_records
from monai_debias.data.cohort import Cohort, Record
from monai_debias.data.cohort_files import find_one
from monai_debias.data.table import read_lines, read_table

__all__ = ["chapman"]


def chapman(directory: Path) -> Cohort:
    """Describe the cohort, whose labels are the acronyms of ``ConditionNames_SNOMED-CT.csv``.

    Args:
        directory: where this table, ``RECORDS`` and ``WFDBRecords`` are.
    """
    table = find_one(directory, "ConditionNames_SNOMED-CT.csv")
    rows = read_table(
        table, {"code": ("Snomed_CT", "SNOMED CT Code", "SNOMEDCTCode"), "name": ("Acronym Name", "Acronym")}
    )
    names = {row["code"]: row["name"] for row in rows}

    def read(directory: Path) -> Iterator[Record]:
        return coded_records(_headers(find_one(directory, "RECORDS")), names, table)

    return Cohort(
        "the Chapman-Shaoxing and Ningbo database",
        tuple(dict.fromkeys(names.values())),
        read,
        task="multi_label",
        overlaps={"cinc2020": "the CinC challenge of 2021 has these records"},
    )


def _headers(listed: Path) -> Iterator[Path]:
    """The headers that a file ``RECORDS`` lists, as records, or as folders (with a slash) that have one, too."""
    for line in read_lines(listed):
        if line.endswith("/"):
            yield from _headers(find_one(listed.parent / line, "RECORDS"))
        else:
            yield listed.parent / f"{line.removesuffix('.hea')}.hea"
