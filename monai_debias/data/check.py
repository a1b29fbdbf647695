# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Check every image and mask of a datalist before a training reads them: what is wrong, file by file."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from monai.data import ImageReader
from monai.utils import optional_import

from monai_debias.constraints import BOOL, NONE, PATH, Integer
from monai_debias.data.datalist import read_datalist
from monai_debias.data.datalist_items import (
    DATALIST_NAME,
    keys_without_path,
    labels_not_there,
    resolve_paths,
    section_problems,
)
from monai_debias.data.mask_files import binary_values, fits_image, looks_inverted, read_channel_first
from monai_debias.data.reader import ANY_READER, ImageFileReader, find_reader
from monai_debias.data.splits import shared_patients
from monai_debias.parameters import expects

__all__ = ["Defect", "check_datalist"]

tqdm, has_tqdm = optional_import("tqdm", name="tqdm")


class Defect(NamedTuple):
    """Something that is wrong with a data set.

    Attributes:
        kind: one of the kinds of :func:`check_datalist`.
        section: the section of the datalist, "" for the whole file.
        item: place of the item in the section, from 0; None for the whole section.
        file: the image or mask, "" where it is not about one.
        detail: what was found, in words, without patient data.
    """

    kind: str
    section: str
    item: int | None
    file: str
    detail: str


@dataclass
class _Item:
    """An item of the datalist, and what was found in its files."""

    section: str
    number: int
    image: str
    mask: str | None
    label: str
    defects: list[Defect] = field(default_factory=list)
    digest: str = ""  # of the image's pixels
    area: float | None = None  # share of the image that a sound mask covers

    def add(self, kind: str, file: str, detail: str) -> None:
        self.defects.append(Defect(kind, self.section, self.number, file, detail))


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
      other. The defect says where their labels contradict each other.

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
    path = Path(datalist).expanduser()
    path = path / DATALIST_NAME if path.is_dir() or path.suffix != ".json" else path
    content = read_datalist(path)
    sections = {name: value for name, value in content.items() if isinstance(value, list)}
    items = list(_sound_items(sections, path.parent))
    look = _Look(ImageFileReader() if reader is None else find_reader(reader))
    with ThreadPoolExecutor(num_workers) as pool:
        looked = pool.map(look, items)
        bar = tqdm(looked, total=len(items), desc="files", unit="item") if progress and has_tqdm else looked
        looks = list(bar)
    return [
        *_datalist_defects(sections, content["labels"]),
        *(defect for item in looks for defect in item.defects),
        *_area_outliers(looks),
        *_duplicates(looks),
    ]


def _sound_items(sections: Mapping[str, Sequence[Any]], directory: Path) -> Iterator[_Item]:
    """The items whose files can be checked: those with an image, whatever else they lack."""
    for section, entries in sections.items():
        for number, entry in enumerate(entries):
            if isinstance(entry, Mapping) and not keys_without_path(entry):
                item = resolve_paths(entry, directory)
                if "image" in item:
                    yield _Item(section, number, item["image"], item.get("mask"), str(item.get("label")))


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


class _Look:
    """Checks the files of one item and returns it with its defects; a bad file raises no error."""

    def __init__(self, reader: ImageReader) -> None:
        self.reader = reader

    def __call__(self, item: _Item) -> _Item:
        image = self._read_numbers(item, item.image)
        if image is not None:
            item.digest = _digest(image)
            _judge_image(item, image)
        mask = None if item.mask is None else self._read_numbers(item, item.mask)
        if mask is not None:
            _judge_mask(item, mask, None if image is None else image.shape)
        return item

    def _read_numbers(self, item: _Item, path: str) -> np.ndarray | None:
        if not os.path.exists(path):
            item.add("missing", path, "no such file")
            return None
        try:
            return _numbers(read_channel_first(path, self.reader)[0])
        except Exception as error:  # noqa: BLE001 - the reader is anyone's, and a list of what is wrong must not stop
            item.add("unreadable", path, f"{type(error).__name__}: {str(error).removeprefix(f'{path}: ').rstrip('.')}")
            return None


def _numbers(array: np.ndarray) -> np.ndarray:
    """Return the array if it holds numbers; a reader of the user's may return anything."""
    if array.size == 0 or array.dtype.kind not in "buif":
        raise ValueError(f"has shape {array.shape} and values of type {array.dtype}, expected numbers.")
    return array


def _judge_image(item: _Item, image: np.ndarray) -> None:
    low, high = image.min(), image.max()
    if not np.isfinite([low, high]).all():
        item.add("not finite", item.image, "has values that are NaN or infinite")
    elif low == high:
        item.add("constant", item.image, f"is {low:g} everywhere")


def _judge_mask(item: _Item, mask: np.ndarray, image_shape: tuple[int, ...] | None) -> None:
    file = str(item.mask)
    if image_shape is not None and (len(mask) != 1 or not fits_image(mask.shape[1:], image_shape[1:])):
        item.add("shape mismatch", file, f"has shape {mask.shape}, but its image {item.image} has {image_shape}")
    try:
        region = binary_values(mask)[0]
    except ValueError as error:
        item.add("not binary", file, str(error).rstrip("."))
        return
    if not region.any():
        item.add("empty", file, "is 0 everywhere")
    elif region.all():
        item.add("full", file, "is 1 everywhere: there is no background")
    elif looks_inverted(region):
        item.add("inverted", file, "covers more of the image's border than of the rest; 1 is the region of interest")
    else:
        item.area = float(region.mean())


def _digest(image: np.ndarray) -> str:
    """A digest of the pixels, the same for any file format or number type."""
    bytes_ = image.astype(np.uint8) if image.min() >= 0 and image.max() <= 255 else image
    values = bytes_ if np.array_equal(bytes_, image) else image.astype(np.float64)
    return hashlib.sha256(repr(values.shape).encode() + np.ascontiguousarray(values).tobytes()).hexdigest()


def _area_outliers(items: Iterable[_Item]) -> Iterator[Defect]:
    found = [item for item in items if item.area is not None]
    if len(found) < 5:
        return
    areas = np.array([item.area for item in found])
    median = float(np.median(areas))
    spread = 1.4826 * float(np.median(abs(areas - median)))
    for item, area in zip(found, areas.tolist(), strict=True):
        if not median / 2 <= area <= 2 * median and abs(area - median) > 5 * spread:
            detail = f"covers {area:.1%} of the image, the median mask {median:.1%}"
            yield Defect("area outlier", item.section, item.number, str(item.mask), detail)


def _duplicates(items: Iterable[_Item]) -> Iterator[Defect]:
    """A defect for each item with the same pixels as an earlier one."""
    earlier: dict[str, list[_Item]] = defaultdict(list)
    for item in items:
        for other in earlier[item.digest] if item.digest else []:
            paired = (
                item.section != other.section and item.section.startswith("test") and other.section.startswith("test")
            )
            if not paired:
                contradiction = "" if item.label == other.label else f", and the labels {other.label} and {item.label}"
                detail = f"has the same pixels as {other.section} {other.number} ({other.image}){contradiction}"
                yield Defect("duplicate", item.section, item.number, item.image, detail)
                break
        earlier[item.digest].append(item)
