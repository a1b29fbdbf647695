# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Writes the ``datalist.json`` of a data-set directory, after checking that it can be read and used."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_debias.constraints import BOOL, ITEMS, NONE, PATH, STRING, Instance, MappingOf, SequenceOf
from monai_debias.data.datalist_items import (
    DATALIST_NAME,
    PATH_KEYS,
    as_written,
    check_files,
    check_items,
    resolve_paths,
    warn_of_absent_labels,
)
from monai_debias.data.splits import check_splits
from monai_debias.files import write_json
from monai_debias.parameters import expects

__all__ = ["refuse_existing", "save_datalist"]


@expects(
    dataset_dir=PATH,
    sections=MappingOf(ITEMS, key=STRING),
    labels=SequenceOf(STRING) | MappingOf(STRING),
    description=Instance(str, name="a string"),
    overwrite=BOOL,
    overlaps=NONE | MappingOf(STRING, key=STRING),
)
def save_datalist(
    dataset_dir: str | os.PathLike,
    sections: Mapping[str, Sequence[Mapping[str, Any]]],
    labels: Sequence[str] | Mapping[Any, str],
    description: str,
    overwrite: bool = False,
    overlaps: Mapping[str, str] | None = None,
) -> Path:
    """Write the ``datalist.json`` of a data-set directory, after checking that it can be used.

    Args:
        dataset_dir: an existing directory.
        sections: items of each section, see :func:`~monai_debias.data.datalist.load_datalist`; their paths are absolute
            or relative to the directory.
        labels: names of the classes, in the order of their labels, or a dict from label to name.
        description: one line about the data set.
        overwrite: whether an existing ``datalist.json`` may be replaced.
        overlaps: other cohorts that have some of the same images, and why, for whoever joins the two.

    Returns:
        The path of the file.

    Raises:
        FileExistsError: if there is a ``datalist.json`` already and ``overwrite`` is False.
        FileNotFoundError: if the directory or the file of an item is missing.
        ValueError: if there is no section, a section is empty or has a single class, an item lacks a key or has an
            unknown label, an image occurs twice in a section, or a patient is in two sections, see
            :func:`~monai_debias.data.splits.check_splits`.

    Example:
        See :func:`~monai_debias.data.datalist.load_datalist`.

        >>> save_datalist("no/such/directory", {}, ("benign", "malignant"), "")
        Traceback (most recent call last):
        FileNotFoundError: the data-set directory no/such/directory does not exist.
    """
    directory = Path(dataset_dir).expanduser()
    if not directory.is_dir():
        raise FileNotFoundError(f"the data-set directory {directory} does not exist.")
    target = refuse_existing(directory, overwrite)
    if not sections:
        raise ValueError("sections is empty, expected one or more, such as training with a list of items.")
    names = dict(labels) if isinstance(labels, Mapping) else dict(enumerate(labels))
    names = {str(label): name for label, name in names.items()}
    content: dict[str, Any] = {"description": description, "labels": names}
    content |= {"overlaps": dict(overlaps)} if overlaps else {}
    for section, items in sections.items():
        if section in ("description", "labels", "overlaps"):
            raise ValueError(f"a section cannot be named {section!r}, which is another key of the file; rename it.")
        content[section] = [
            {key: _relative(value, directory) if key in PATH_KEYS else value for key, value in as_written(item).items()}
            for item in items
        ]
        check_items(content[section], names, f"section {section!r}")
        check_files([resolve_paths(item, directory) for item in content[section]], f"section {section!r}")
        warn_of_absent_labels(content[section], names, f"section {section!r} of {target}")
    check_splits(sections)
    write_json(target, content)
    return target


def refuse_existing(directory: Path, overwrite: bool) -> Path:
    """Check that a datalist may be written; builders do so before they read the files, which may take long.

    Args:
        directory: the data-set directory.
        overwrite: whether an existing ``datalist.json`` may be replaced.

    Returns:
        The path of the ``datalist.json``.

    Raises:
        FileExistsError: if there is one and ``overwrite`` is False.
    """
    target = directory / DATALIST_NAME
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists already; pass overwrite=True (--overwrite) to replace it.")
    return target


def _relative(path: Any, directory: Path) -> str:
    """Return the path relative to the directory, with forward slashes; also for files outside of it."""
    if not os.path.isabs(path):
        return Path(path).as_posix()
    return Path(os.path.relpath(path, directory)).as_posix()
