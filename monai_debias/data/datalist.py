# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The ``datalist.json`` of a data-set directory: MONAI's section layout, checked on writing and on reading."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monai_debias.constraints import BOOL, ITEMS, NONE, PATH, STRING, Instance, MappingOf, SequenceOf
from monai_debias.data.splits import check_splits
from monai_debias.files import write_json
from monai_debias.parameters import expects

__all__ = [
    "DATALIST_NAME",
    "ITEM_KEY",
    "PATH_KEYS",
    "keys_without_path",
    "load_datalist",
    "read_datalist",
    "refuse_existing",
    "resolve_paths",
    "save_datalist",
    "section_problems",
    "test_sections",
]

DATALIST_NAME = "datalist.json"
#: keys of an item that hold a path, relative to the data-set directory in the file
PATH_KEYS = ("image", "mask")
#: key of a loaded item that holds its place in the file, such as "training 17": a name for messages that tells nothing
#: of the patient
ITEM_KEY = "item"

_HOW_TO_BUILD = (
    "build one with `python -m monai_debias datalist folder {directory}` (own images, in a folder for each class), or "
    "see `python -m monai_debias datalist` and `python -m monai_debias demo-data` for the data sets that it knows."
)


@expects(dataset_dir=PATH, section=STRING, class_names=NONE | SequenceOf(STRING, least=1))
def load_datalist(
    dataset_dir: str | os.PathLike, section: str, class_names: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Load one section of the ``datalist.json`` of a data-set directory.

    The file is a JSON object in MONAI's (decathlon) style: ``description``, ``labels`` ({"0": "benign", …}) and one
    list of items for each section, such as ``training``, ``validation``, ``test`` or several whose names begin with
    ``test_``. An item has ``image``, ``label``, ``patient_id`` (str), and may have ``mask`` and other keys.
    The label is a class (int); or where several can be there at once a list with 1, 0 or null for each of ``labels``,
    null or -1 where it is not known. A path that is null or empty counts as none, thus some items may have a mask
    and others not.

    Args:
        dataset_dir: the directory; the paths in the file (keys of ``PATH_KEYS``) are relative to it.
        section: name of the section.
        class_names: what the classes are called by the network that is to learn them, in the order of its outputs; the
            ``labels`` of the file must be the same.

    Returns:
        The items, with the paths resolved to strings, the patient as a string, a list of labels as an array (K,) of
        float32 with -1 for null, and the place in the file (such as
        ``"training 17"``, from 0) under the key ``"item"``.

    Raises:
        FileNotFoundError: if the directory, its ``datalist.json`` or a file of the section is missing.
        ValueError: if the directory is empty, the JSON is not of this layout, the section does not exist, is empty, has
            a single class, or names an image twice; if the file's labels are not ``class_names``.

    Example:
        >>> import tempfile
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
            f'--class_names "{list(labels.values())}"), or bring both to one order.'
        )
    where = f"section {section!r} of {directory / DATALIST_NAME}"
    _check_items(content[section], labels, where)
    items = [resolve_paths(item, directory) for item in content[section]]
    _check_files(items, where)
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


@expects(
    dataset_dir=PATH,
    sections=MappingOf(ITEMS, key=STRING),
    labels=SequenceOf(STRING) | MappingOf(STRING),
    description=Instance(str, name="a string"),
    overwrite=BOOL,
)
def save_datalist(
    dataset_dir: str | os.PathLike,
    sections: Mapping[str, Sequence[Mapping[str, Any]]],
    labels: Sequence[str] | Mapping[Any, str],
    description: str,
    overwrite: bool = False,
) -> Path:
    """Write the ``datalist.json`` of a data-set directory, after checking that it can be used.

    Args:
        dataset_dir: an existing directory.
        sections: items of each section, see :func:`load_datalist`; their paths are absolute or relative to the
            directory.
        labels: names of the classes, in the order of their labels, or a dict from label to name.
        description: one line about the data set.
        overwrite: whether an existing ``datalist.json`` may be replaced.

    Returns:
        The path of the file.

    Raises:
        FileExistsError: if there is a ``datalist.json`` already and ``overwrite`` is False.
        FileNotFoundError: if the directory or the file of an item is missing.
        ValueError: if there is no section, a section is empty or has a single class, an item lacks a key or has an
            unknown label, an image occurs twice in a section, or a patient is in two sections, see
            :func:`~monai_debias.data.splits.check_splits`.

    Example:
        See :func:`load_datalist`.

        >>> save_datalist("no/such/directory", {}, ("benign", "malignant"), "")
        Traceback (most recent call last):
        FileNotFoundError: the data-set directory no/such/directory does not exist.
    """
    directory = Path(dataset_dir).expanduser()
    if not directory.is_dir():
        raise FileNotFoundError(f"the data-set directory {directory} does not exist.")
    target = refuse_existing(directory, overwrite)
    if not sections:
        raise ValueError("there are no sections to save.")
    names = dict(labels) if isinstance(labels, Mapping) else dict(enumerate(labels))
    names = {str(label): name for label, name in names.items()}
    content: dict[str, Any] = {"description": description, "labels": names}
    for section, items in sections.items():
        if section in ("description", "labels"):
            raise ValueError(f"a section cannot be named {section!r}.")
        content[section] = [
            {key: _relative(value, directory) if key in PATH_KEYS else value for key, value in _own(item).items()}
            for item in items
        ]
        _check_items(content[section], names, f"section {section!r}")
        _check_files([resolve_paths(item, directory) for item in content[section]], f"section {section!r}")
    check_splits(sections)
    write_json(target, content)
    return target


def refuse_existing(directory: Path, overwrite: bool) -> Path:
    """Check that a datalist may be written, which a builder asks before it reads the files, since that may take long.

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
        content = json.loads(path.read_text(encoding="utf-8-sig"))  # Windows editors write the mark of UTF-8
    except ValueError as error:  # of the JSON, or of the encoding
        raise ValueError(f"{path} is not valid JSON ({error}); {how}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a JSON {type(content).__name__}, expected an object with sections; {how}")
    labels = content.setdefault("labels", {}) or {}
    if not (isinstance(labels, dict) and all(isinstance(name, str) for name in labels.values())):
        raise ValueError(f'{path} has the labels {labels!r:.60}, expected an object of names like {{"0": "benign"}}.')
    return {**content, "labels": labels}


def resolve_paths(item: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """Return the item with whole paths, and without those that are null or empty; ``~`` is expanded.

    Args:
        item: an item of the file.
        directory: the data-set directory.
    """
    own = _own(item)
    return {key: str(directory / Path(own[key]).expanduser()) if key in PATH_KEYS else own[key] for key in own}


def keys_without_path(item: Mapping[str, Any]) -> list[str]:
    """Which of the keys that are to hold a path hold something else.

    Args:
        item: an item of the file.
    """
    return [key for key in PATH_KEYS if item.get(key) is not None and not isinstance(item[key], str | os.PathLike)]


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


def section_problems(items: Sequence[Any], labels: Mapping[str, str], where: str) -> Iterator[tuple[int | None, str]]:
    """Go through what is wrong with a section, apart from its files.

    Args:
        items: the items of the section, as they are in the file.
        labels: the file's names of the classes.
        where: what messages call the section.

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
    elif len(found) == 1 and found <= labels.keys():
        only = f"{where} has a single class, {labels[found.pop()]!r}, in {len(sound)} items"
        yield None, f"{only}; to learn or to judge a classification takes two"


def _check_items(items: Sequence[Any], labels: Mapping[str, str], where: str) -> None:
    for _, problem in section_problems(items, labels, where):
        raise ValueError(f"{problem}.")


def _check_files(items: Sequence[Mapping[str, Any]], where: str) -> None:
    paths = [str(item[key]) for item in items for key in PATH_KEYS if key in item]
    missing = [path for path in paths if not os.path.isfile(path)]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of {len(paths)} files of {where} are missing, such as {_first(missing)}."
        )


def _relative(path: Any, directory: Path) -> str:
    """Return the path relative to the directory, with forward slashes; also for files beside the directory."""
    if not os.path.isabs(path):
        return Path(path).as_posix()
    return Path(os.path.relpath(path, directory)).as_posix()


def _own(item: Mapping[str, Any]) -> dict[str, Any]:
    """What the file holds of an item: not its place, no path that is null or empty, and labels as a list."""
    own = {k: v for k, v in item.items() if k != ITEM_KEY and not (k in PATH_KEYS and v in (None, ""))}
    if isinstance(own.get("label"), np.ndarray):
        own["label"] = [None if entry == -1 else int(entry) for entry in own["label"]]
    return own


def _array(label: Any) -> dict[str, Any]:
    """An entry with a list of labels as an array, which a batch stacks; none of a class."""
    if not isinstance(label, list):
        return {}
    return {"label": np.array([-1 if entry is None else entry for entry in label], dtype=np.float32)}


def _first(paths: Sequence[str]) -> str:
    return ", ".join(paths[:3])
