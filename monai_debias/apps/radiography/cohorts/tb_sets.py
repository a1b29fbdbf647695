# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Shenzhen and Montgomery: 662 and 138 films with tuberculosis or without, the first public ones with lung masks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from monai_debias.data.cohort import Cohort, Record
from monai_debias.data.cohort_files import files_by_name, find_one, list_files
from monai_debias.data.demographics import sex_letter, years

__all__ = ["MONTGOMERY", "SHENZHEN"]

_CLASSES = ("normal", "tuberculosis")


def read_shenzhen(directory: Path) -> Iterator[Record]:
    """List ``ChinaSet_AllFiles/CXR_png``; masks, of 566 films, are in ``mask`` or ``mask/mask``."""
    images = find_one(directory, "ChinaSet_AllFiles/CXR_png", "CXR_png")
    masks = files_by_name(directory, "_mask.png")

    def masks_of(image: Path) -> tuple[Path, ...]:
        name = f"{image.stem}_mask.png"
        return (masks[name],) if name in masks else ()

    return _records(images, "CHNCXR", masks_of)


def read_montgomery(directory: Path) -> Iterator[Record]:
    """List ``MontgomerySet/CXR_png``; a mask is joined from those of the left and the right lung."""
    images = find_one(directory, "MontgomerySet/CXR_png", "CXR_png")
    folders = [find_one(images.parent, f"ManualMask/{side}Mask") for side in ("left", "right")]
    halves = [files_by_name(folder, ".png") for folder in folders]

    def masks_of(image: Path) -> tuple[Path, ...]:
        found = tuple(half[f"{image.stem}.png"] for half in halves if f"{image.stem}.png" in half)
        return found if len(found) == len(halves) else ()  # half a lung mask would call the other lung background

    return _records(images, "MCUCXR", masks_of)


def _records(images: Path, prefix: str, masks_of: Callable[[Path], tuple[Path, ...]]) -> Iterator[Record]:
    for image in list_files(images, ".png"):
        name = re.fullmatch(rf"{prefix}_(\d+)_([01])", image.stem)
        if name is None:
            raise ValueError(f"{image} is not named {prefix}_0001_0.png, whose last digit is 1 for tuberculosis.")
        sex, age = _reading(images.parent / "ClinicalReadings" / f"{image.stem}.txt")
        yield Record(
            image,
            frozenset({_CLASSES[int(name[2])]}),
            name[1],
            masks=masks_of(image),
            attributes={"view": "frontal", "sex": sex, "age": age},
        )


def _reading(path: Path) -> tuple[str, int | None]:
    """Sex and age of a reading: "male 45yrs" (Shenzhen), or "Patient's Sex: M" and "Patient's Age: 045Y"."""
    text = path.read_text(encoding="utf-8", errors="replace").lower() if path.is_file() else ""
    sex = re.search(r"\b(female|male|[mf])\b", text.replace("patient's", ""))
    age = re.search(r"\b(\d{1,3})\s*(y|yr|yrs|years?)\b", text)
    return sex_letter(sex[1]) if sex else "", years(age[1]) if age else None


_IN_TBX11K = {"tbx11k": "the download of TBX11K has the films of Montgomery and Shenzhen in imgs/extra"}
SHENZHEN = Cohort(
    "Shenzhen Hospital chest X-ray set", _CLASSES, read_shenzhen, site="Shenzhen No. 3 Hospital", overlaps=_IN_TBX11K
)
MONTGOMERY = Cohort(
    "Montgomery County chest X-ray set", _CLASSES, read_montgomery, site="Montgomery County", overlaps=_IN_TBX11K
)
