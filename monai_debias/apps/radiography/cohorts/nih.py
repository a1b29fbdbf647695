# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""NIH ChestX-ray14: 112,120 frontal films of 30,805 patients with up to 14 findings each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from monai_debias.data.cohort import Cohort, Record
from monai_debias.data.cohort_files import files_by_name, find_one
from monai_debias.data.demographics import years
from monai_debias.data.table import read_lines, read_table

__all__ = ["NIH"]

FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
)
_LISTS = {"train_val_list.txt": "training", "test_list.txt": "test"}


def read(directory: Path) -> Iterator[Record]:
    """Read ``Data_Entry_2017_v2020.csv``; the images are in one folder or in ``images_001/images`` and so on."""
    rows = read_table(
        find_one(directory, "Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv"),
        {
            "image": "Image Index",
            "findings": "Finding Labels",
            "patient": "Patient ID",
            "age": "Patient Age",
            "sex": ("Patient Gender", "Patient Sex"),
            "view": "View Position",
            "follow_up": "Follow-up #",
        },
    )
    images = files_by_name(directory, ".png")
    section = _official_split(directory)
    for row in rows:
        yield Record(
            images.get(row["image"], directory / "images" / row["image"]),
            frozenset(finding.strip() for finding in row["findings"].split("|")),
            row["patient"],
            section=section.get(row["image"], ""),
            attributes={
                "view": "frontal",
                "view_position": row["view"],
                "sex": row["sex"],
                "age": years(row["age"]),
                "follow_up": int(row["follow_up"]) if row["follow_up"].isdecimal() else None,
            },
        )


def _official_split(directory: Path) -> dict[str, str]:
    """The section of each image; empty without the lists."""
    if not any((directory / name).exists() for name in _LISTS):
        return {}
    return {image: section for name, section in _LISTS.items() for image in read_lines(find_one(directory, name))}


NIH = Cohort(
    "NIH ChestX-ray14",
    FINDINGS,
    read,
    task="multi_label",
    site="NIH Clinical Center",
    caveats=("the labels of ChestX-ray14 were mined from reports, and some of them are wrong.",),
    overlaps={"rsna": "the films of the RSNA challenge were taken from ChestX-ray14"},
)
