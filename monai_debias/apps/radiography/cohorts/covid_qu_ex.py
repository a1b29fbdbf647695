# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""COVID-QU-Ex: 33,920 films of three classes with lung masks, collected from other public data sets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from monai_debias.data.cohort import Cohort, Record
from monai_debias.data.table import find_one

__all__ = ["COVID_QU_EX"]

_CLASSES = ("COVID-19", "Non-COVID", "Normal")
_SPLITS = {"Train": "training", "Val": "validation", "Test": "test"}
_LUNGS = "Lung Segmentation Data"


def read(directory: Path) -> Iterator[Record]:
    """List ``Lung Segmentation Data/{Train,Val,Test}/CLASS/{images,lung masks}``; the first folder may be doubled."""
    root = find_one(directory, *(f"{folder}Train" for folder in (f"{_LUNGS}/{_LUNGS}/", f"{_LUNGS}/", ""))).parent
    for split, section in _SPLITS.items():
        for name in _CLASSES:
            folder = find_one(root, f"{split}/{name}")
            masks = folder / "lung masks"
            for image in sorted(find_one(folder, "images").glob("*.png")):
                mask = masks / image.name
                yield Record(
                    image,
                    frozenset({name}),
                    image.stem,
                    section=section,
                    masks=(mask,) if mask.is_file() else (),
                    attributes={"view": "frontal"},
                )


COVID_QU_EX = Cohort(
    "COVID-QU-Ex",
    _CLASSES,
    read,
    caveats=(
        "COVID-QU-Ex does not name patients: each film counts as one, and a patient may be in two splits.",
        "each class of COVID-QU-Ex comes from other sources than the next, so that the source tells the class.",
    ),
    overlaps={
        "bimcv": "COVID-QU-Ex was collected from public data sets, among them BIMCV-COVID19+",
        "covid-chestxray-dataset": "COVID-QU-Ex was collected from public data sets, among them this one",
        "rsna": "COVID-QU-Ex was collected from public data sets, among them that of RSNA",
        "nih": "COVID-QU-Ex has films of RSNA, which come from ChestX-ray14",
    },
)
