# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""PhysioNet/CinC challenges 2020 and 2021: twelve-lead ECGs of up to eight sources with SNOMED CT codes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from monai_debias.apps.ecg.cohorts.snomed import coded_records
from monai_debias.data.cohort import Cohort, Record
from monai_debias.data.cohort_files import find_one, list_files
from monai_debias.data.table import read_table

__all__ = ["cinc2020"]

# what the challenge scores as one, and the code that stands for both
_SAME = {"733534002": "164909002", "713427006": "59118001", "284470004": "63593006", "427172004": "17338001"}
_SOURCES = {"A": "CPSC", "Q": "CPSC_Extra", "I": "StPetersburg", "S": "PTB", "HR": "PTB_XL", "E": "Georgia"}
_PLACES = ("", "training/", "evaluation-2021/", "evaluation-2020/")


def cinc2020(directory: Path) -> Cohort:
    """Describe the challenge's data, whose classes are in ``dx_mapping_scored.csv`` of its evaluation code.

    With ``dx_mapping_unscored.csv``, the other codes are known, too. A label is the abbreviation of a code.

    Args:
        directory: where the table and the records are.
    """
    scored = find_one(directory, *(f"{place}dx_mapping_scored.csv" for place in _PLACES))
    unscored = scored.with_name("dx_mapping_unscored.csv")
    classes = _abbreviations(scored)
    names = {**(_abbreviations(unscored) if unscored.exists() else {}), **classes}
    names = {code: names.get(_SAME.get(code, code), name) for code, name in names.items()}
    names |= {code: names[same] for code, same in _SAME.items() if same in names}

    def read(directory: Path) -> Iterator[Record]:
        headers = list_files(directory, ".hea")
        if not headers:
            raise FileNotFoundError(f"{directory} has no record (*.hea), expected some in it or in its folders.")
        return coded_records(headers, names, scored, _source)

    return Cohort(
        "the PhysioNet/CinC challenge 2020",
        tuple(dict.fromkeys(names[code] for code in classes)),
        read,
        task="multi_label",
        caveats=(
            "the challenge does not name patients: each record counts as one, and a patient may be in two splits.",
            "what is diagnosed differs so much between the sources of the challenge that the source tells the label.",
        ),
        overlaps={
            "ptbxl": "PTB-XL is one of the challenge's sources",
            "cpsc2018": "CPSC2018 is one of the challenge's sources",
            "chapman": "the data of Chapman, Shaoxing and Ningbo is among the sources of 2021",
        },
    )


def _abbreviations(table: Path) -> dict[str, str]:
    rows = read_table(table, {"code": ("SNOMEDCTCode", "SNOMED CT Code"), "name": "Abbreviation"})
    return {row["code"]: row["name"] for row in rows}


def _source(header: Path) -> str:
    """The source by the letters of a record's name; Chapman-Shaoxing and Ningbo, both JS, by the folder."""
    letters = re.match(r"[A-Za-z]*", header.stem)
    known = _SOURCES.get(letters[0]) if letters else None
    folders = [part for part in header.parts[:-1] if not re.fullmatch(r"g\d+", part)]
    return known or folders[-1]
