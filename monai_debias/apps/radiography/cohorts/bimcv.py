# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""BIMCV-COVID19+: films of COVID-19 patients of the Valencian region, with the findings of their reports."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from monai_debias.data.cohort import Cohort, Record
from monai_debias.data.cohort_files import find_one, list_files
from monai_debias.data.demographics import years
from monai_debias.data.table import read_table

__all__ = ["BIMCV"]

_NAME = re.compile(r"(?P<patient>sub-S\d+)_ses-(?P<session>E\d+)_.*")
_VIEW = re.compile(r"_vp-([a-z]+)")
_FRONTAL, _LATERAL = ("AP", "PA", "AP SUPINE"), ("LL", "RL", "LAT", "LATERAL")
_TAGS = {
    "view_position": "00185101",
    "polarity": "00280004",
    "bits": "00280101",
    "manufacturer": "00080070",
    "modality": "00080060",
}
_UNCERTAIN = " uncertain"


def read(directory: Path) -> Iterator[Record]:
    """List ``sub-S…/ses-E…/mod-rx/*.png`` with the tags in the JSON beside it, and the labels of its session.

    The names of the tables differ by release, so they are looked for by pattern. "COVID 19 uncertain" is an uncertain
    "COVID 19"; reports that say only that nothing has changed, or are to be excluded, have no labels.
    """
    root = find_one(directory, "covid19_posi/participants.tsv", "participants.tsv").parent
    labels = _session_labels(root)
    people = {
        row["patient"]: {"sex": row["sex"], "age": years(_first(row["age"]))}
        for row in read_table(
            root / "participants.tsv",
            {"patient": ("participant", "participant_id", "subject")},
            {"sex": ("gender", "sex"), "age": "age"},
            delimiter="\t",
        )
    }
    images = [path for path in list_files(root, ".png") if path.parent.name == "mod-rx"]
    if not images:
        raise FileNotFoundError(f"{root} has no films, expected sub-S…/ses-E…/mod-rx/*.png.")
    for image in images:
        name = _NAME.fullmatch(image.stem)
        if name is None:
            raise ValueError(f"{image} is not named sub-S…_ses-E…_….png, which tells its patient and session.")
        tags = _read_tags(image)
        position = str(tags.get("view_position") or "".join(_VIEW.findall(image.name))).upper()
        found = labels.get(name["session"], ())
        yield Record(
            image,
            frozenset(label for label in found if not label.endswith(_UNCERTAIN)),
            name["patient"],
            uncertain=frozenset(label.removesuffix(_UNCERTAIN) for label in found if label.endswith(_UNCERTAIN)),
            attributes={**tags, **people.get(name["patient"], {}), "view_position": position, "view": _view(position)},
            excluded="" if set(found) - {"unchanged", "exclude"} else "has no label in a report",
        )


def _session_labels(root: Path) -> dict[str, tuple[str, ...]]:
    tables = sorted((root / "derivatives" / "labels").glob("*abels_covid*posi*.tsv"))
    if len(tables) != 1:
        names = ", ".join(table.name for table in tables) or "none"
        raise FileNotFoundError(
            f"{root / 'derivatives' / 'labels'} has {names}, expected one table labels_covid_posi.tsv."
        )
    rows = read_table(tables[0], {"session": "ReportID", "labels": "Labels"}, delimiter="\t")
    return {row["session"]: _literals(row["labels"]) for row in rows}


def _literals(cell: str) -> tuple[str, ...]:
    """The strings of a list in Python's notation, whatever is between them."""
    found = (single or double for single, double in re.findall(r"'([^']*)'|\"([^\"]*)\"", cell))
    return tuple(label.strip() for label in found if label.strip())


def _first(cell: str) -> str:
    """The first age of a list in Python's notation."""
    return next(iter(re.findall(r"\d+", cell)), "")


def _read_tags(image: Path) -> dict[str, Any]:
    """The DICOM tags in the JSON beside an image; empty without one."""
    path = image.with_suffix(".json")
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        return {name: content[tag]["Value"][0] for name, tag in _TAGS.items() if content.get(tag, {}).get("Value")}
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise ValueError(f'{path} has no DICOM tags like {{"00281054": {{"vr": "LO", "Value": ["US"]}}}}.') from error


def _view(position: str) -> str:
    if position in _FRONTAL:
        return "frontal"
    return "lateral" if position in _LATERAL else ""


BIMCV = Cohort(
    "BIMCV-COVID19+",
    ("normal", "pneumonia", "COVID 19"),
    read,
    task="multi_label",
    site="Valencian region",
    caveats=(
        "the PNG files of BIMCV have the stored values of the scanners: films with the polarity MONOCHROME1 are "
        "inverted, and none is windowed.",
    ),
)
