# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""TBX11K: 11,200 films of people who are healthy, sick but without tuberculosis, or have tuberculosis, with boxes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from monai_debias.data.cohort import Cohort, Record
from monai_debias.data.cohort_files import find_one, list_files

__all__ = ["TBX11K"]

_FOLDERS = {"health": "healthy", "sick": "sick", "tb": "tuberculosis"}
_CATEGORIES = {1: "active tuberculosis", 2: "obsolete tuberculosis"}
_SPLITS = {"train": "training", "val": "test"}


def read(directory: Path) -> Iterator[Record]:
    """Read ``annotations/json/TBX11K_{train,val}.json``; the images are in ``imgs/{health,sick,tb}``.

    The labels of the authors' test set are not public, so their validation set becomes the test section.
    """
    root = find_one(directory, "imgs", "TBX11K/imgs").parent
    for split, section in _SPLITS.items():
        path = find_one(root, f"annotations/json/TBX11K_{split}.json")
        for file, categories in _annotated(path).items():
            folder = Path(file).parts[0]
            if folder not in (*_FOLDERS, "extra"):
                raise ValueError(f"{path} has the image {file}, expected one in {', '.join(_FOLDERS)} or extra.")
            yield Record(
                root / "imgs" / file,
                frozenset({_FOLDERS.get(folder, ""), *categories} - {""}),
                Path(file).stem,
                section=section,
                attributes={"view": "frontal"},
                excluded="is of another data set (imgs/extra)" if folder == "extra" else "",
            )
    for image in list_files(root / "imgs" / "extra", ".png"):
        yield Record(image, frozenset(), image.stem, excluded="is of another data set (imgs/extra)")


def _annotated(path: Path) -> dict[str, set[str]]:
    """The images of a COCO file, and the categories of the boxes of each."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        names = {image["id"]: image["file_name"] for image in content["images"]}
        categories = {**{kind["id"]: kind["name"] for kind in content.get("categories", [])}, **_CATEGORIES}
        found: dict[str, set[str]] = {name: set() for name in names.values()}
        for box in content["annotations"]:
            found[names[box["image_id"]]].add(categories[box["category_id"]])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is not a COCO file with images, annotations and the category of each: "
            f"{type(error).__name__}: {error}."
        ) from error
    return found


_EXTRA = "the download of TBX11K has the films of Montgomery and Shenzhen in imgs/extra"
TBX11K = Cohort(
    "TBX11K",
    ("healthy", "sick", "tuberculosis"),
    read,
    caveats=(
        f"{_EXTRA}, and published networks were trained on both: they are no external test for TBX11K unless these "
        "films are left out, as here.",
        "TBX11K does not name patients: each film counts as one.",
    ),
    overlaps={"montgomery": _EXTRA, "shenzhen": _EXTRA},
)
