# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Check every image and mask of a datalist before a training reads them: what is wrong, file by file."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from monai.data import ImageReader

from monai_debias.constraints import BOOL, NONE, PATH, Integer
from monai_debias.data.datalist_items import labels_not_there, section_problems
from monai_debias.data.inspection import Defect, InspectedImage, Inspection, inspect_datalist
from monai_debias.data.reader import ANY_READER
from monai_debias.data.splits import shared_patients
from monai_debias.data.thumbnail import near_pairs
from monai_debias.parameters import expects

__all__ = ["check_datalist", "find_defects"]


@expects(datalist=PATH, reader=NONE | ANY_READER, num_workers=Integer("[1, inf)"), progress=BOOL)
def check_datalist(
    datalist: str | os.PathLike, reader: ImageReader | str | None = None, num_workers: int = 2, progress: bool = True
) -> list[Defect]:
    """Read all images and masks of a datalist once, and list what is wrong; a bad file does not stop the check.

    The kinds of defects, in the order of the list:

    - ``datalist``: an item lacks its image, label or patient, or has a label that the file does not name; a section is
      empty, has a single class, or names an image twice; there is a section for training but none for validation, or
      the other way round;
    - ``patient in two splits``; test sections may share patients with each other, see
      :func:`~monai_debias.data.splits.check_splits`;
    - ``label missing``: a section has no item of a class that the file names;
    - ``missing``: a file is not there; ``unreadable``: the reader refuses it, with its reason; ``not finite``: an image
      has NaN or infinite values; ``constant``: an image has one value only;
    - ``shape mismatch``: a mask does not have the size of its image;
    - ``not binary``: a mask has other values than 0 and 1 (or 0 and 255, or booleans); ``empty``, ``full``: it covers
      none or all of the image; ``inverted``: it covers more than half of the image's border (one pixel wide), and more
      of the border than of the rest;
    - ``area outlier``: a mask covers less than half or more than twice the median share of the image, and is more than
      5 robust standard deviations (1.4826 times the median absolute deviation) from it; judged with 5 masks or more;
    - ``duplicate``: images have the same pixels, within a section or in two; test sections may share images with each
      other. The defect says where their labels contradict each other;
    - ``near duplicate``: an image is nearly the same as one of an earlier section, but stored at another size, in
      another format, or inverted, see :func:`~monai_debias.data.thumbnail.near_pairs`.

    Args:
        datalist: the data-set directory, or its JSON file; see :func:`~monai_debias.data.datalist.load_datalist`.
        reader: the reader of images and masks, a ``monai.data.ImageReader`` or its dotted name; default:
            :class:`~monai_debias.data.reader.ImageFileReader`.
        num_workers: number of threads that read files, 1 or more.
        progress: whether to show a progress bar, if tqdm is installed.

    Returns:
        The defects; an empty list for a data set that is fit for training.

    Raises:
        FileNotFoundError: if there is no datalist.
        ValueError: if it is not JSON of this layout.

    Example:
        >>> import tempfile
        >>> from monai_debias.data import save_datalist
        >>> items = [{"image": f"{n}.npy", "label": n % 2, "patient_id": f"p{n}"} for n in range(3)]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for n in range(3):
        ...         np.save(f"{folder}/{n}.npy", np.arange(64).reshape(8, 8) % (2 + n % 2))
        ...     _ = save_datalist(folder, {"test": items}, ("benign", "malignant"), "three images, two the same")
        ...     [(defect.kind, defect.item) for defect in check_datalist(folder, progress=False)]
        [('duplicate', 2)]
    """
    return find_defects(inspect_datalist(datalist, reader, num_workers, progress))


def find_defects(inspection: Inspection) -> list[Defect]:
    """List what is wrong with a data set whose files were read, see :func:`check_datalist`.

    Args:
        inspection: from :func:`~monai_debias.data.inspection.inspect_datalist`.
    """
    return [
        *_datalist_defects(inspection.sections, inspection.labels),
        *(defect for image in inspection.images for defect in image.defects),
        *_area_outliers(inspection.images),
        *_duplicates(inspection.images),
        *_near_duplicates(inspection.images),
    ]


def _datalist_defects(sections: Mapping[str, Sequence[Any]], labels: Mapping[str, str]) -> Iterator[Defect]:
    if not sections:
        yield Defect("datalist", "", None, "", "the file has no sections")
    if not labels:
        yield Defect("datalist", "", None, "", 'the file has no labels, expected an object like {"0": "benign"}')
    lacking = {"training", "validation"} - sections.keys()
    if len(lacking) == 1:
        yield Defect("datalist", "", None, "", f"there is no section {lacking.pop()!r}, and a training needs both")
    for section, entries in sections.items():
        for number, problem in section_problems(entries, labels, f"section {section!r}"):
            yield Defect("datalist", section, number, "", problem)
    known = {
        section: [e for e in entries if isinstance(e, Mapping) and e.get("patient_id") not in (None, "")]
        for section, entries in sections.items()
    }
    for problem in shared_patients(known):
        yield Defect("patient in two splits", "", None, "", problem)
    for section, entries in sections.items():
        for label in labels_not_there(entries, labels) if entries else []:
            detail = f"section {section!r} has no {labels[label]} (label {label})"
            yield Defect("label missing", section, None, "", detail)


def _area_outliers(items: Iterable[InspectedImage]) -> Iterator[Defect]:
    found = [item for item in items if item.area is not None]
    if len(found) < 5:
        return
    areas = np.array([item.area for item in found])
    median = float(np.median(areas))
    spread = 1.4826 * float(np.median(abs(areas - median)))
    for item, area in zip(found, areas.tolist(), strict=True):
        if not median / 2 <= area <= 2 * median and abs(area - median) > 5 * spread:
            detail = f"covers {area:.1%} of the image, the median mask {median:.1%}"
            yield Defect("area outlier", item.section, item.number, item.item["mask"], detail)


def _duplicates(items: Iterable[InspectedImage]) -> Iterator[Defect]:
    """A defect for each item with the same pixels as an earlier one."""
    earlier: dict[str, list[InspectedImage]] = defaultdict(list)
    for item in items:
        for other in earlier[item.digest] if item.digest else []:
            if item.section == other.section or not _paired(item.section, other.section):
                detail = f"has the same pixels as {_named(other)}{_contradiction(item, other)}"
                yield Defect("duplicate", item.section, item.number, item.item["image"], detail)
                break
        earlier[item.digest].append(item)


def _near_duplicates(images: Sequence[InspectedImage]) -> Iterator[Defect]:
    """A defect for each item that is nearly the same as one of an earlier section, and not exactly."""
    sections: dict[str, list[InspectedImage]] = defaultdict(list)
    for image in images:
        sections[image.section].append(image)
    for one, other in combinations(sections, 2):
        if _paired(one, other):
            continue
        pairs = near_pairs([image.thumbnail for image in sections[other]], [i.thumbnail for i in sections[one]])
        for pair in pairs:
            image, near = sections[other][pair.first], sections[one][pair.second]
            if image.digest != near.digest:
                negative = "a negative of " if pair.cosine < 0 else ""
                detail = f"is nearly the same as {negative}{_named(near)}, cosine {abs(pair.cosine):.3f}"
                detail += _contradiction(image, near)
                yield Defect("near duplicate", image.section, image.number, image.item["image"], detail)


def _paired(one: str, other: str) -> bool:
    """Whether two sections may share images and patients: paired test sets."""
    return one.startswith("test") and other.startswith("test")


def _named(image: InspectedImage) -> str:
    return f"{image.section} {image.number} ({image.item['image']})"


def _contradiction(image: InspectedImage, other: InspectedImage) -> str:
    labels = other.item.get("label"), image.item.get("label")
    return "" if labels[0] == labels[1] else f", and the labels {labels[0]} and {labels[1]}"
