# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Several datalists as one, for a training on mixed sources and a test on sources that the network has never seen."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_debias.constraints import BOOL, NONE, PATH, SEED, STRING, MappingOf, Number, OneOf, SequenceOf
from monai_debias.data.datalist import read_datalist
from monai_debias.data.datalist_items import DATALIST_NAME, check_items, listed_names, resolve_paths
from monai_debias.data.datalist_writer import refuse_existing, save_datalist
from monai_debias.data.splits import split_in_three
from monai_debias.files import make_writable
from monai_debias.parameters import expects

__all__ = ["merge_datalists"]

_Items = list[tuple[str, dict[str, Any]]]


@expects(
    datalists=SequenceOf(PATH, least=1) | STRING,
    out=PATH,
    split_by=OneOf("section", "patient", "site"),
    test_sites=NONE | STRING | SequenceOf(STRING),
    class_names=NONE | STRING | SequenceOf(STRING) | MappingOf(STRING, key=STRING),
    validation_fraction=Number("(0, 1)"),
    test_fraction=Number("(0, 1)"),
    seed=SEED,
    overwrite=BOOL,
)
def merge_datalists(
    datalists: Sequence[str] | str,
    out: str,
    split_by: str = "section",
    test_sites: Sequence[str] | str | None = None,
    class_names: Sequence[str] | Mapping[str, str] | str | None = None,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.2,
    seed: int = 0,
    overwrite: bool = False,
) -> str:
    """Join datalists in one ``datalist.json``; the images stay where they are.

    An item gets the keys ``cohort`` and ``site``, if it has none: the name of its data-set directory, and its cohort.
    Patients of different cohorts are different patients: "7" of ``nih`` becomes "nih: 7".

    A network that is trained on several sources can tell them apart, and where the sources have different classes, it
    can tell the class by the source. What it has learned of the disease is seen on sources that it was not trained on:
    ``split_by="site"`` puts whole sites into the section ``test_external``.

    Args:
        datalists: data-set directories, or their JSON files, or one string with commas. All have one class for each
            image, or all have lists of the same labels.
        out: directory for the new ``datalist.json``; it is made if it is not there.
        split_by: ``"section"`` keeps the section of each item, ``"patient"`` draws training, validation and test anew,
            ``"site"`` does so for all sites but those of ``test_sites``.
        test_sites: with ``split_by="site"``, the sites to test on: values of ``site`` or of ``cohort``.
        class_names: the classes, in the order of their labels, which leaves out items of others; or a dictionary from
            the names in the datalists to those of the classes, such as
            ``{"No Finding": "normal", "Normal": "normal", "COVID-19": "COVID-19"}``. Default: all classes, in the order
            in which they come.
        validation_fraction: share of validation, where patients are drawn.
        test_fraction: share of test, where patients are drawn.
        seed: seed of the draw.
        overwrite: whether an existing ``datalist.json`` may be replaced.

    Returns:
        The path of the new datalist.

    Raises:
        FileNotFoundError: if a directory or datalist is missing, or the file of an item.
        FileExistsError: if there is a ``datalist.json`` in ``out`` already and ``overwrite`` is False.
        ValueError: if the datalists do not fit together, a class or site occurs in none of them, no site is left to
            train on, or a section would have a single class.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for cohort in ("north", "south"):
        ...         Path(root, cohort).mkdir()
        ...         items = [{"image": f"{n}.png", "label": n % 2, "patient_id": str(n)} for n in range(40)]
        ...         for item in items:
        ...             _ = Path(root, cohort, item["image"]).write_bytes(b"")
        ...         _ = save_datalist(Path(root, cohort), {"training": items}, ("healthy", "sick"), "")
        ...     path = merge_datalists([f"{root}/north", f"{root}/south"], root, "site", ["south"])
        ...     {name: len(part) for name, part in read_datalist(Path(path)).items() if isinstance(part, list)}
        {'training': 28, 'validation': 4, 'test': 8, 'test_external': 40}
    """
    directory = Path(out).expanduser().absolute()
    refuse_existing(directory, overwrite)
    given = datalists.split(",") if isinstance(datalists, str) else datalists
    paths = [_datalist_file(path) for path in given]
    contents = {path: read_datalist(path) for path in paths}
    if len(contents) < len(paths):
        raise ValueError(f"{Counter(paths).most_common(1)[0][0]} is given twice: name each datalist once.")
    _warn_of_overlaps(contents)
    names = class_names if isinstance(class_names, Mapping) else listed_names(class_names)
    items, labels = _joined(contents, names)
    sections = _split(items, split_by, listed_names(test_sites), validation_fraction, test_fraction, seed)
    cohorts = Counter(item["cohort"] for _, item in items)
    description = "joined: " + ", ".join(f"{count} of {cohort}" for cohort, count in cohorts.items())
    make_writable(directory)
    return str(save_datalist(directory, sections, labels, description, overwrite))


def _datalist_file(path: str | os.PathLike) -> Path:
    file = Path(path).expanduser().absolute()
    return file if file.suffix == ".json" else file / DATALIST_NAME


def _joined(
    contents: Mapping[Path, Mapping[str, Any]], names: Mapping[str, str] | Sequence[str] | None
) -> tuple[_Items, list[str]]:
    """The items of all datalists with their sections and new labels, and the names of these."""
    found = list(dict.fromkeys(name for content in contents.values() for name in content["labels"].values()))
    new_name = dict(names) if isinstance(names, Mapping) else {name: name for name in names or found}
    unknown = [name for name in new_name if name not in found]
    if unknown:
        raise ValueError(f"no datalist has the class {', '.join(unknown)}; they have {', '.join(found)}.")
    labels = list(dict.fromkeys(new_name.values()))
    joined: _Items = []
    for path, content in contents.items():
        cohort = path.parent.name
        own = {label: new_name.get(name) for label, name in content["labels"].items()}
        for section, entries in content.items():
            if not isinstance(entries, list):
                continue
            check_items(entries, content["labels"], f"section {section!r} of {path}")
            for entry in entries:
                label = _label(entry["label"], own, labels, path)
                if label is None:
                    continue
                item = {"cohort": cohort, **resolve_paths(entry, path.parent), "label": label}
                item["site"] = item.get("site") or item["cohort"]
                joined.append((section, {**item, "patient_id": f"{item['cohort']}: {item['patient_id']}"}))
    if not joined:
        raise ValueError(f"no image has one of the classes {', '.join(new_name)}.")
    if len({isinstance(item["label"], list) for _, item in joined}) > 1:
        raise ValueError(
            "some datalists have one class for each image, others lists of labels: build all with the same task, such "
            "as --task softmax."
        )
    return joined, labels


def _label(label: Any, own: Mapping[str, str | None], labels: Sequence[str], path: Path) -> Any:
    """The new label of an item; None if it has none of the classes."""
    if not isinstance(label, list):
        name = own[str(label)]
        return None if name is None else labels.index(name)
    if set(own.values()) - {None} != set(labels):
        raise ValueError(
            f"{path} has not all of the labels {', '.join(labels)}: of a list of labels each has to be known; choose "
            "class_names that all datalists have."
        )
    values = dict(zip(own.values(), label, strict=True))
    return [values[name] for name in labels]


def _split(
    items: _Items,
    split_by: str,
    test_sites: Sequence[str] | None,
    validation_fraction: float,
    test_fraction: float,
    seed: int,
) -> dict[str, list[dict[str, Any]]]:
    if (split_by == "site") != bool(test_sites):
        raise ValueError("test_sites and split_by='site' belong together: give both or none.")
    if split_by == "section":
        sections: dict[str, list[dict[str, Any]]] = {}
        for section, item in items:
            sections.setdefault(section, []).append(item)
        return sections
    external = [item for _, item in items if {item["site"], item["cohort"]} & set(test_sites or ())]
    rest = [item for _, item in items if not {item["site"], item["cohort"]} & set(test_sites or ())]
    sites = Counter(str(item[key]) for _, item in items for key in ("site", "cohort"))
    unknown = [site for site in test_sites or () if site not in sites]
    if unknown:
        raise ValueError(f"no image is of the site {', '.join(unknown)}; the sites are {', '.join(sites)}.")
    if not rest:
        raise ValueError(f"all images are of {', '.join(test_sites or ())}: no site is left to train on.")
    split = split_in_three(rest, validation_fraction, test_fraction, seed)
    return {**split, "test_external": external} if external else split


def _warn_of_overlaps(contents: Mapping[Path, Mapping[str, Any]]) -> None:
    """Warn of cohorts that have some of the same images."""
    for path, content in contents.items():
        for name, why in (content.get("overlaps") or {}).items():
            for other, its in contents.items():
                if other != path and name in _cohorts(other, its):
                    warnings.warn(
                        f"{path} and {other} have some of the same images ({why}): neither is an external test of the "
                        "other.",
                        stacklevel=4,
                    )


def _cohorts(path: Path, content: Mapping[str, Any]) -> set[str]:
    items = [item for part in content.values() if isinstance(part, list) for item in part if isinstance(item, Mapping)]
    return {path.parent.name} | {str(item["cohort"]) for item in items if "cohort" in item}
