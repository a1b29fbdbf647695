# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""COVID-QU-Ex: 33,920 films of three classes with lung masks, collected from other public data sets."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

from monai_debias.data.cohort import Cohort, Record
from monai_debias.data.cohort_files import files_by_name, find_one

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
            films = files_by_name(find_one(folder, "images"), ".png")
            masks = files_by_name(folder / "lung masks", ".png")
            _warn_of_missing(films.keys() - masks.keys(), len(films), folder / "lung masks")
            for file_name, image in films.items():
                yield Record(
                    image,
                    frozenset({name}),
                    image.stem,
                    section=section,
                    masks=(masks[file_name],) if file_name in masks else (),
                    attributes={"view": "frontal"},
                )


def _warn_of_missing(films: set[str], total: int, folder: Path) -> None:
    """Warn of films without a mask, since the data set has one for each."""
    if films:
        where = f"{folder} does not exist" if not folder.is_dir() else f"{folder} has none of {min(films)}"
        warnings.warn(f"{len(films)} of {total} films have no mask: {where}.", stacklevel=2)


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
