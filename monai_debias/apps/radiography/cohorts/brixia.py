# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""BrixIA: 4,703 films of COVID-19 patients, with a severity of each of six lung zones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from monai_debias.apps.radiography.cohorts.header import film_attributes
from monai_debias.data.cohort import Cohort, Record
from monai_debias.data.cohort_files import files_by_name, find_one
from monai_debias.data.demographics import years
from monai_debias.data.table import read_table

__all__ = ["BRIXIA"]

_ZONES = ("upper right", "middle right", "lower right", "upper left", "middle left", "lower left")


def read(directory: Path) -> Iterator[Record]:
    """Read ``metadata_global_v2.csv`` (cells separated by semicolons) and the headers of ``dicom_clean/*.dcm``.

    BrixiaScore has a digit from 0 to 3 for each zone, A to F; a label is a zone with any abnormality, and "COVID-19"
    holds for all. The films with a consensus of five readers are the test section.
    """
    table = find_one(directory, "metadata_global_v2.csv", "metadata_global_v1.csv")
    folder = find_one(directory, "dicom_clean")
    images = files_by_name(folder, ".dcm")
    rows = read_table(
        table,
        {"file": "Filename", "patient": "Subject", "score": "BrixiaScore"},
        {"sex": "Sex", "age": "AgeAtStudy", "manufacturer": "Manufacturer", "consensus": "ConsensusTestset"},
        delimiter=";",
    )
    for row in rows:
        score = row["score"].zfill(len(_ZONES))  # spreadsheets drop leading zeros
        if len(score) != len(_ZONES) or not set(score) <= set("0123"):
            raise ValueError(
                f"{table} has the BrixiaScore {row['score']!r} for {row['file']}, expected six digits from 0 to 3."
            )
        image = images.get(row["file"], folder / row["file"])
        header, defect = film_attributes(image)
        table_says = {"sex": row["sex"], "age": years(row["age"]), "manufacturer": row["manufacturer"]}
        yield Record(
            image,
            frozenset(["COVID-19", *(zone for zone, digit in zip(_ZONES, score, strict=True) if digit != "0")]),
            row["patient"],
            section=_section(row["consensus"]),
            attributes={
                **header,
                **{name: value for name, value in table_says.items() if value},
                "brixia_score": score,
                "severity": sum(map(int, score)),
            },
            defect=defect,
        )


def _section(consensus: str) -> str:
    return {"": "", "1": "test", "true": "test"}.get(consensus.lower().removesuffix(".0"), "training")


BRIXIA = Cohort(
    "BrixIA",
    _ZONES,
    read,
    task="multi_label",
    site="ASST Spedali Civili di Brescia",
    caveats=(
        "all patients of BrixIA have COVID-19: a classifier of COVID-19 needs films of another cohort, from another "
        "hospital, which then tells the class.",
    ),
)
