# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The items of a datalist as a data set to audit: images, masks, labels, patients, attributes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pydicom
from pydicom.datadict import tag_for_keyword

from monai_debias.audit.item_values import is_missing
from monai_debias.data.datalist_items import ITEM_KEY, PATH_KEYS

__all__ = ["AuditItems", "attribute_names", "with_dicom_tags"]

_NO_ATTRIBUTES = {*PATH_KEYS, ITEM_KEY, "label", "patient_id", "use_mask", "split", "section"}
_VALUES = range(2, 21)
_CACHE = 2**30  # bytes
_IN_A_YEAR = {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}


class AuditItems(Sequence[Mapping[str, Any]]):
    """Items that are loaded when they are asked for; the first gigabyte of them stays in memory.

    Args:
        items: items of a datalist, with files.
        transform: makes image and mask of them.
    """

    def __init__(
        self, items: Sequence[Mapping[str, Any]], transform: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    ) -> None:
        self.data = items
        self.transform = transform
        self._kept: dict[int, Mapping[str, Any]] = {}
        self._room = _CACHE

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, number: int) -> Mapping[str, Any]:
        if number in self._kept:
            return self._kept[number]
        loaded = self.transform(dict(self.data[number]))
        item = {**{k: v for k, v in self.data[number].items() if k not in PATH_KEYS}, "image": loaded["image"]}
        if loaded.get("mask") is not None:
            item["mask"] = loaded["mask"]
        size = sum(getattr(item[key], "nbytes", 0) for key in PATH_KEYS if key in item)
        if size <= self._room:
            self._kept[number] = item
            self._room -= size
        return item


def attribute_names(items: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys of items that can be attributes: names or numbers with 2 to 20 values, or any number of numbers.

    Args:
        items: items of a datalist.

    Example:
        >>> attribute_names([{"image": "a", "label": 0, "scanner": "A"}, {"image": "b", "label": 1, "scanner": "B"}])
        ['scanner']
    """
    found = []
    for key in dict.fromkeys(key for item in items for key in item if key not in _NO_ATTRIBUTES):
        known = [item[key] for item in items if not is_missing(item.get(key))]
        plain = [value for value in known if isinstance(value, str | int | float)]
        numbers = len(plain) == len(known) and not any(isinstance(value, str | bool) for value in plain)
        if len(set(plain)) in _VALUES or (numbers and len(set(plain)) > 1):
            found.append(key)
    return found


def with_dicom_tags(items: Sequence[Mapping[str, Any]], tags: Sequence[str]) -> list[dict[str, Any]]:
    """Items with tags of their image's DICOM header as attributes: numbers, an age in years, or text.

    Args:
        items: items of a datalist.
        tags: keywords of the DICOM standard, such as ``"Manufacturer"``.

    Returns:
        The items; an attribute is empty where there is no such tag or no DICOM file.

    Raises:
        ValueError: when the standard has no such keyword.
    """
    for tag in tags:
        if tag_for_keyword(tag) is None:
            raise ValueError(f"{tag!r} is no keyword of the DICOM standard; expected one such as 'Manufacturer'.")
    return [{**item, **_tags(item["image"], tags)} for item in items]


def _tags(file: str, tags: Sequence[str]) -> dict[str, float | str]:
    try:
        header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(tags))
    except (OSError, pydicom.errors.InvalidDicomError):
        return dict.fromkeys(tags, "")
    return {tag: _plain(header.get(tag, "")) for tag in tags}


def _plain(value: Any) -> float | str:
    """A number, or a text."""
    if isinstance(value, int | float | Decimal):
        return float(value)
    age = re.fullmatch(r"(\d{3})([DWMY])", str(value))
    return int(age[1]) / _IN_A_YEAR[age[2]] if age else str(value)
