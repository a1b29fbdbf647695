# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Every image and mask of a datalist, read once: what is wrong with each, and what its files are like."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from monai.data import ImageReader
from monai.utils import optional_import
from numpy.typing import NDArray

from monai_debias.data.datalist import read_datalist
from monai_debias.data.datalist_items import DATALIST_NAME, keys_without_path, resolve_paths
from monai_debias.data.file_properties import file_properties
from monai_debias.data.mask_files import binary_values, fits_image, looks_inverted, read_channel_first
from monai_debias.data.reader import ImageFileReader, find_reader
from monai_debias.data.thumbnail import thumbnail

__all__ = ["Defect", "InspectedImage", "Inspection", "inspect_datalist"]

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
class InspectedImage:
    """An item of a datalist, and what was found in its files.

    Attributes:
        section: its section of the datalist.
        number: its place there, from 0.
        item: its keys, with full paths.
        defects: what is wrong with its files.
        digest: of the pixels; "" for an image that cannot be read.
        area: share of the image that a sound mask covers.
        properties: see :func:`~monai_debias.data.file_properties.file_properties`; empty if it cannot be read.
        thumbnail: see :func:`~monai_debias.data.thumbnail.thumbnail`.
    """

    section: str
    number: int
    item: Mapping[str, Any]
    defects: list[Defect] = field(default_factory=list)
    digest: str = ""
    area: float | None = None
    properties: Mapping[str, float | str] = field(default_factory=dict)
    thumbnail: NDArray[np.float32] | None = None

    def add(self, kind: str, file: str, detail: str) -> None:
        """Add a defect of one of the files."""
        self.defects.append(Defect(kind, self.section, self.number, file, detail))


@dataclass(frozen=True)
class Inspection:
    """A datalist whose files were read.

    Attributes:
        sections: the items of each section, as they are in the file.
        labels: the file's names of the classes.
        images: the items whose files could be looked for, in the order of the file.
    """

    sections: Mapping[str, Sequence[Any]]
    labels: Mapping[str, str]
    images: Sequence[InspectedImage]


def inspect_datalist(
    datalist: str | os.PathLike, reader: ImageReader | str | None, num_workers: int, progress: bool
) -> Inspection:
    """Read all images and masks of a datalist once; a bad file does not stop it.

    Args:
        datalist: the data-set directory, or its JSON file.
        reader: the reader of images and masks, or its dotted name; None:
            :class:`~monai_debias.data.reader.ImageFileReader`.
        num_workers: number of threads that read files, 1 or more.
        progress: whether to show a progress bar, if tqdm is installed.

    Raises:
        FileNotFoundError: if there is no datalist.
        ValueError: if it is not JSON of this layout.
    """
    path = Path(datalist).expanduser()
    path = path / DATALIST_NAME if path.is_dir() or path.suffix != ".json" else path
    content = read_datalist(path)
    sections = {name: value for name, value in content.items() if isinstance(value, list)}
    images = list(_sound_items(sections, path.parent))
    look = _Look(ImageFileReader() if reader is None else find_reader(reader))
    with ThreadPoolExecutor(num_workers) as pool:
        looked = pool.map(look, images)
        bar = tqdm(looked, total=len(images), desc="files", unit="item") if progress and has_tqdm else looked
        return Inspection(sections, content["labels"], list(bar))


def _sound_items(sections: Mapping[str, Sequence[Any]], directory: Path) -> Iterator[InspectedImage]:
    """The items whose files can be checked: those with an image, whatever else they lack."""
    for section, entries in sections.items():
        for number, entry in enumerate(entries):
            if isinstance(entry, Mapping) and not keys_without_path(entry):
                item = resolve_paths(entry, directory)
                if "image" in item:
                    yield InspectedImage(section, number, item)


class _Look:
    """Checks the files of one item and returns it with its defects; a bad file raises no error."""

    def __init__(self, reader: ImageReader) -> None:
        self.reader = reader

    def __call__(self, looked: InspectedImage) -> InspectedImage:
        image, meta = self._read_numbers(looked, looked.item["image"])
        if image is not None:
            looked.digest = _digest(image)
            looked.properties = file_properties(looked.item["image"], image, meta)
            looked.thumbnail = thumbnail(image)
            _judge_image(looked, image)
        if "mask" in looked.item:
            mask, _ = self._read_numbers(looked, looked.item["mask"])
            if mask is not None:
                _judge_mask(looked, mask, None if image is None else image.shape)
        return looked

    def _read_numbers(self, item: InspectedImage, path: str) -> tuple[np.ndarray | None, Mapping[str, Any]]:
        if not os.path.exists(path):
            item.add("missing", path, "no such file")
            return None, {}
        try:
            values, meta = read_channel_first(path, self.reader)
            return _numbers(values), meta
        except Exception as error:  # noqa: BLE001 - the reader is anyone's, and a list of what is wrong must not stop
            item.add("unreadable", path, f"{type(error).__name__}: {str(error).removeprefix(f'{path}: ').rstrip('.')}")
            return None, {}


def _numbers(array: np.ndarray) -> np.ndarray:
    """Return the array if it holds numbers; a reader of the user's may return anything."""
    if array.size == 0 or array.dtype.kind not in "buif":
        raise ValueError(f"has shape {array.shape} and values of type {array.dtype}, expected numbers.")
    return array


def _judge_image(looked: InspectedImage, image: np.ndarray) -> None:
    low, high = image.min(), image.max()
    if not np.isfinite([low, high]).all():
        looked.add("not finite", looked.item["image"], "has values that are NaN or infinite")
    elif low == high:
        looked.add("constant", looked.item["image"], f"is {low:g} everywhere")


def _judge_mask(looked: InspectedImage, mask: np.ndarray, image_shape: tuple[int, ...] | None) -> None:
    file = str(looked.item["mask"])
    if image_shape is not None and (len(mask) != 1 or not fits_image(mask.shape[1:], image_shape[1:])):
        looked.add(
            "shape mismatch", file, f"has shape {mask.shape}, but its image {looked.item['image']} has {image_shape}"
        )
    try:
        region = binary_values(mask)[0]
    except ValueError as error:
        looked.add("not binary", file, str(error).rstrip("."))
        return
    if not region.any():
        looked.add("empty", file, "is 0 everywhere")
    elif region.all():
        looked.add("full", file, "is 1 everywhere: there is no background")
    elif looks_inverted(region):
        looked.add("inverted", file, "covers more of the image's border than of the rest; 1 is the region of interest")
    else:
        looked.area = float(region.mean())


def _digest(image: np.ndarray) -> str:
    """A digest of the pixels, the same for any file format or number type."""
    bytes_ = image.astype(np.uint8) if image.min() >= 0 and image.max() <= 255 else image
    values = bytes_ if np.array_equal(bytes_, image) else image.astype(np.float64)
    return hashlib.sha256(repr(values.shape).encode() + np.ascontiguousarray(values).tobytes()).hexdigest()
