# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What an item of a ``datalist.json`` is, and what can be wrong with a section of them."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "DATALIST_NAME",
    "ITEM_KEY",
    "PATH_KEYS",
    "as_written",
    "check_files",
    "check_items",
    "keys_without_path",
    "labels_not_there",
    "listed_names",
    "resolve_paths",
    "section_problems",
    "warn_of_absent_labels",
]

DATALIST_NAME = "datalist.json"
#: keys of an item that hold a path, relative to the data-set directory in the file
PATH_KEYS = ("image", "mask")
#: key of a loaded item that holds its place in the file, such as "training 17": a name for messages that reveals
#: nothing about the patient
ITEM_KEY = "item"


def resolve_paths(item: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """Return the item with full paths, and without those that are null or empty; ``~`` is expanded.

    Args:
        item: an item of the file.
        directory: the data-set directory.
    """
    own = as_written(item)
    return {key: str(directory / Path(own[key]).expanduser()) if key in PATH_KEYS else own[key] for key in own}


def as_written(item: Mapping[str, Any]) -> dict[str, Any]:
    """The item as the file holds it: without its place and paths that are null or empty, and with labels as a list.

    Args:
        item: an item of a section, as it is loaded or as it is to be saved.
    """
    own = {k: v for k, v in item.items() if k != ITEM_KEY and not (k in PATH_KEYS and v in (None, ""))}
    if isinstance(own.get("label"), np.ndarray):
        own["label"] = [None if entry == -1 else int(entry) for entry in own["label"]]
    return own


def keys_without_path(item: Mapping[str, Any]) -> list[str]:
    """The keys that should hold a path but hold something else.

    Args:
        item: an item of the file.
    """
    return [key for key in PATH_KEYS if item.get(key) is not None and not isinstance(item[key], str | os.PathLike)]


def labels_not_there(items: Sequence[Any], labels: Mapping[str, str]) -> list[str]:
    """The labels, as keys of the file's names, that no item of a section has.

    Args:
        items: the items of the section, as they are in the file.
        labels: the file's names of the classes.
    """
    there = {label for item in items if isinstance(item, Mapping) for label in _labels_of(item.get("label"))}
    return [label for label in labels if label not in there]


def warn_of_absent_labels(items: Sequence[Any], labels: Mapping[str, str], where: str) -> None:
    """Log the names of the labels that no item of a section has, see :func:`labels_not_there`.

    Args:
        items: the items of the section, as they are in the file.
        labels: the file's names of the classes.
        where: name of the section in messages.
    """
    absent = [labels[label] for label in labels_not_there(items, labels)]
    if absent:
        logging.getLogger(__name__).warning("%s has no %s", where, ", ".join(absent))


def listed_names(names: str | Sequence[str] | None) -> list[str] | None:
    """Names as a list, which the command line may give as one string with commas; None stays None.

    Args:
        names: the names.
    """
    if names is None:
        return None
    return [name.strip() for name in (names.split(",") if isinstance(names, str) else names)]


def section_problems(items: Sequence[Any], labels: Mapping[str, str], where: str) -> Iterator[tuple[int | None, str]]:
    """List what is wrong with a section, apart from its files.

    Args:
        items: the items of the section, as they are in the file.
        labels: the file's names of the classes.
        where: name of the section in messages.

    Yields:
        The number of the item, or None for the section as a whole, and a sentence that says what is wrong.
    """
    if not items:
        yield None, f"{where} has no items"
    problems = [_item_problem(item, labels) for item in items]
    yield from ((number, f"item {number} of {where} {problem}") for number, problem in enumerate(problems) if problem)
    sound = [item for item, problem in zip(items, problems, strict=True) if not problem]
    repeated = [image for image, count in Counter(str(item["image"]) for item in sound).items() if count > 1]
    if repeated:
        yield None, f"{len(repeated)} images occur more than once in {where}, such as {_first(repeated)}"
    found = {str(item["label"]) for item in sound}
    if len({isinstance(item["label"], list) for item in sound}) > 1:
        yield None, f"{where} has both classes and lists of labels, expected one of the two for all items"
    elif sound and not any(_is_known(item["label"]) for item in sound):
        yield None, f"{where} has no label that is known"
    elif len(found) == 1 and found <= labels.keys() and len(labels) > 1:  # a list of one class is for joining
        only = f"{where} has a single class, {labels[found.pop()]!r}, in {len(sound)} items"
        yield None, f"{only}; training and evaluating a classifier take two or more"


def check_items(items: Sequence[Any], labels: Mapping[str, str], where: str) -> None:
    """Raise a ValueError with the first problem of a section, see :func:`section_problems`."""
    for _, problem in section_problems(items, labels, where):
        raise ValueError(f"{problem}.")


def check_files(items: Sequence[Mapping[str, Any]], where: str) -> None:
    """Raise a FileNotFoundError if a file of a section is missing; its items have full paths."""
    paths = [str(item[key]) for item in items for key in PATH_KEYS if key in item]
    missing = [path for path in paths if not os.path.isfile(path)]
    if missing:
        hint = " Write paths with / instead of \\." if any("\\" in path for path in missing) else ""
        raise FileNotFoundError(
            f"{len(missing)} of {len(paths)} files of {where} are missing, such as {_first(missing)}.{hint}"
        )


def _item_problem(item: Any, labels: Mapping[str, str]) -> str | None:
    """Say what an item lacks, or what is wrong with its label; None if nothing is."""
    if not isinstance(item, Mapping):
        return f"is a JSON {type(item).__name__}, expected an object with image, label and patient_id"
    missing = [key for key in ("image", "label", "patient_id") if item.get(key) in (None, "")]
    if missing:
        return f"has no {' and no '.join(missing)}"
    wrong = keys_without_path(item)
    if wrong:
        return f"has the {wrong[0]} {item[wrong[0]]!r}, expected a path"
    label = item["label"]
    if isinstance(label, list):
        if len(label) == len(labels) and all(entry in (0, 1, -1, None) for entry in label):
            return None
        return f"has the label {label!r:.80}, expected 1, 0 or null for each of {', '.join(labels.values())}"
    if isinstance(label, str) or str(label) not in labels:
        return (
            f"has the label {label!r}, expected one of {', '.join(labels) or 'the labels, of which the file has none'}"
        )
    return None


def _is_known(label: Any) -> bool:
    return not isinstance(label, list) or any(entry in (0, 1) for entry in label)


def _labels_of(label: Any) -> list[str]:
    """The keys, among the file's labels, that an item has: its class, or every label that is 1."""
    if isinstance(label, list):
        return [str(number) for number, entry in enumerate(label) if entry == 1]
    return [str(label)]


def _first(paths: Sequence[str]) -> str:
    return ", ".join(paths[:3])
