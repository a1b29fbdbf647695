# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Reads the ``datalist.json`` of a data-set directory: MONAI's layout in sections."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monai_debias.constraints import NONE, PATH, STRING, SequenceOf
from monai_debias.data.datalist_items import (
    DATALIST_NAME,
    ITEM_KEY,
    check_files,
    check_items,
    resolve_paths,
    warn_of_absent_labels,
)
from monai_debias.parameters import expects

__all__ = ["load_datalist", "read_datalist", "test_sections"]

_HOW_TO_BUILD = (
    "build one with `monai-debias datalist folder {directory}` (own images, in a folder for each class), or "
    "see `monai-debias datalist` and `monai-debias demo-data` for the data sets that they know."
)


@expects(dataset_dir=PATH, section=STRING, class_names=NONE | SequenceOf(STRING, least=1))
def load_datalist(
    dataset_dir: str | os.PathLike, section: str, class_names: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Load one section of the ``datalist.json`` of a data-set directory.

    The file is a JSON object in MONAI's (decathlon) style: ``description``, ``labels`` ({"0": "benign", …}) and one
    list of items for each section, such as ``training``, ``validation``, ``test`` or several whose names begin with
    ``test_``. An item has ``image``, ``label``, ``patient_id`` (str), and may have ``mask`` and other keys.
    The label is a class (int) or, where several can be true at once, a list with 1, 0 or null for each of ``labels``,
    null or -1 where it is not known. A path that is null or empty counts as none, so that some items may have a mask
    and others not.

    Args:
        dataset_dir: the directory; the paths in the file (keys of ``PATH_KEYS``) are relative to it.
        section: name of the section.
        class_names: names of the classes in the order of the network's outputs; the ``labels`` of the file must be the
            same.

    Returns:
        The items, with the paths resolved to strings, the patient as a string, a list of labels as an array (K,) of
        float32 with -1 for null, and the place in the file (such as ``"training 17"``, counted from 0) under the key
        ``"item"``.

    Raises:
        FileNotFoundError: if the directory, its ``datalist.json`` or a file of the section is missing.
        ValueError: if the directory is empty, the JSON is not of this layout, the section does not exist, is empty, has
            a single class, or names an image twice; if the file's labels are not ``class_names``.

    Example:
        >>> import tempfile
        >>> from monai_debias.data import save_datalist
        >>> items = [{"image": f"{n}.png", "label": n, "patient_id": f"p{n}"} for n in (0, 1)]
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     for item in items:
        ...         _ = Path(directory, item["image"]).write_bytes(b"")
        ...     _ = save_datalist(directory, {"training": items}, ("benign", "malignant"), "two images")
        ...     [item["label"] for item in load_datalist(directory, "training")]
        [0, 1]
    """
    directory = Path(dataset_dir).expanduser()
    content = read_datalist(directory / DATALIST_NAME)
    sections = [name for name, value in content.items() if isinstance(value, list)]
    if section not in sections:
        raise ValueError(
            f"{directory / DATALIST_NAME} has no section {section!r}; it has: {', '.join(sections) or 'none'}."
        )
    labels = content.get("labels") or {}
    if class_names is not None and labels != {str(k): name for k, name in enumerate(class_names)}:
        raise ValueError(
            f"{directory / DATALIST_NAME} has the classes {', '.join(labels.values())}, but the network is made for "
            f"{', '.join(class_names)}; train with the data's class_names (a bundle: "
            f'--class_names "{list(labels.values())}"), or give both the same names in the same order.'
        )
    where = f"section {section!r} of {directory / DATALIST_NAME}"
    check_items(content[section], labels, where)
    warn_of_absent_labels(content[section], labels, where)
    items = [resolve_paths(item, directory) for item in content[section]]
    check_files(items, where)
    return [
        {**item, **_array(item["label"]), "patient_id": str(item["patient_id"]), ITEM_KEY: f"{section} {number}"}
        for number, item in enumerate(items)
    ]


@expects(dataset_dir=PATH)
def test_sections(dataset_dir: str | os.PathLike) -> list[str]:
    """List the sections of a ``datalist.json`` to test on: those whose names begin with ``test``.

    Args:
        dataset_dir: the directory of the ``datalist.json``.

    Returns:
        Names of the sections, in the order of the file.

    Raises:
        FileNotFoundError: if the directory or its ``datalist.json`` is missing.
        ValueError: if the directory is empty, the JSON is not of this layout, or there is no such section.

    Example:
        >>> test_sections("no/such/directory")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        FileNotFoundError: the data-set directory no/such/directory does not exist; build one with ...
    """
    directory = Path(dataset_dir).expanduser()
    content = read_datalist(directory / DATALIST_NAME)
    sections = [name for name, value in content.items() if isinstance(value, list)]
    found = [name for name in sections if name.startswith("test")]
    if not found:
        raise ValueError(f"{directory / DATALIST_NAME} has no section that begins with 'test'; it has {sections}.")
    return found


def read_datalist(path: Path) -> dict[str, Any]:
    """Read the file, and check that it is JSON of the layout; its items are checked by :func:`section_problems`.

    Args:
        path: the file, in the data-set directory.

    Returns:
        The content, in which ``labels`` is a dict.

    Raises:
        FileNotFoundError: if the directory or the file is missing.
        ValueError: if the directory is empty, or the JSON is not of this layout.
    """
    directory = path.parent
    how = _HOW_TO_BUILD.format(directory=directory)
    if not directory.is_dir():
        raise FileNotFoundError(f"the data-set directory {directory} does not exist; {how}")
    if not any(directory.iterdir()):
        raise ValueError(f"the data-set directory {directory} is empty; {how}")
    if not path.is_file():
        raise FileNotFoundError(f"the data-set directory {directory} has no {path.name}; {how}")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))  # Windows editors write a byte order mark
    except ValueError as error:  # of the JSON, or of the encoding
        raise ValueError(f"{path} is not valid JSON ({error}); {how}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a JSON {type(content).__name__}, expected an object with sections; {how}")
    labels = content.setdefault("labels", {}) or {}
    if not (isinstance(labels, dict) and all(isinstance(name, str) for name in labels.values())):
        raise ValueError(f'{path} has the labels {labels!r:.60}, expected an object of names like {{"0": "benign"}}.')
    return {**content, "labels": labels}


def _array(label: Any) -> dict[str, Any]:
    """A list of labels as an array, which can be stacked into a batch; no entry for a class."""
    if not isinstance(label, list):
        return {}
    return {"label": np.array([-1 if entry is None else entry for entry in label], dtype=np.float32)}
