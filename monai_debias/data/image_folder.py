# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A folder per class of ultrasound files -> MONAI datalist."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from monai_debias.data.datalist import DATALIST_NAME, ECHO_VIEWS, refuse_existing, save_datalist
from monai_debias.data.find_files import find_files
from monai_debias.data.left_out import (
    LEFT_OUT_NAME,
    LeftOut,
    read_or_leave_out,
    refuse_left_out,
    report_left_out,
)
from monai_debias.data.splits import split_in_three
from monai_debias.parameters import BOOL, NONE, PATH, SEED, STRING, Number, SequenceOf, expects

__all__ = ["build_folder_datalist"]


class _File(NamedTuple):
    """A file of the data set; the section is "" if there are no split folders."""

    section: str
    class_name: str
    path: Path
    below_class: str  # its path below the class folder


_SPLIT_FOLDERS = {
    "train": "training",
    "training": "training",
    "val": "validation",
    "validation": "validation",
    "test": "test",
}


@expects(
    dataset_dir=PATH,
    patient_regex=NONE | STRING,
    classes=NONE | STRING | SequenceOf(STRING, least=2),
    validation_fraction=Number("(0, 1)"),
    test_fraction=Number("(0, 1)"),
    seed=SEED,
    overwrite=BOOL,
    strict=BOOL,
)
def build_folder_datalist(
    dataset_dir: str,
    patient_regex: str | None = None,
    classes: str | Sequence[str] | None = None,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.2,
    seed: int = 0,
    overwrite: bool = False,
    strict: bool = False,
) -> str:
    r"""Write the ``datalist.json`` of a data-set directory that has a folder per class.

    Layout: ``dataset_dir/CLASS/…/file``, split by patient; or ``dataset_dir/SPLIT/CLASS/…/file`` with SPLIT
    ``training``, ``validation`` and ``test`` (or ``train``, ``val``; more test sets as ``test_…``), which is kept.
    Files are what :class:`~monai_debias.apps.ultrasound.reader.UltrasoundReader` reads. Each is opened, and its last
    frame decoded. What is not ultrasound or cannot be read is left out of the datalist; the log says how many files
    that are, and ``left_out.csv``, beside the datalist, lists them with the reasons.

    **Patients.** Without ``patient_regex``, every file must be DICOM with a Patient ID, of which the first 12
    hexadecimal digits of the SHA-256 go into the datalist. That hides the ID from a casual reader, no more: who has a
    list of candidates can find the one that fits. The paths in the datalist are as telling as you named the files.

    Args:
        dataset_dir: the directory; ``datalist.json`` is written there.
        patient_regex: regular expression that finds the patient in the path below the class folder, with ``/``, which
            for files directly in it is the file name; its first group is the patient. Examples: ``"^(p\d+)_"`` for
            ``p012_frame3.png``, ``"^([^/]+)/"`` for a folder per patient; ``"(.*)"`` makes each file a patient. If
            given, it counts for DICOM files, too.
        classes: class names in the order of their labels (or one string with commas); default: the views PLAX, PSAX,
            A2C, A4C in this order, then all others sorted.
        validation_fraction: share of validation, if there are no split folders.
        test_fraction: share of test, if there are no split folders.
        seed: seed of the split, if there are no split folders.
        overwrite: whether an existing ``datalist.json`` may be replaced.
        strict: whether a file that would be left out is an error; then there is no new datalist.

    Returns:
        The path of the datalist.

    Raises:
        FileNotFoundError: if the directory does not exist, or the folder of a class has no files.
        FileExistsError: if there is a ``datalist.json`` already and ``overwrite`` is False.
        LeftOutError: if ``strict`` and a file would be left out, or if no file of a class is left.
        ValueError: if there are no class folders or only one, no information about patients, fewer patients than
            splits, a section with a single class, or a patient in two splits.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for view in ("A4C", "PLAX"):
        ...         Path(root, view).mkdir()
        ...         for patient in range(5):
        ...             np.save(Path(root, view, f"p{patient}_0.npy"), np.zeros((8, 8), dtype=np.uint8))
        ...     Path(build_folder_datalist(root, patient_regex="^(p[0-9]+)_")).name
        'datalist.json'
    """
    directory = Path(dataset_dir).expanduser().absolute()
    if not directory.is_dir():
        raise FileNotFoundError(f"the data-set directory {directory} does not exist")
    refuse_existing(directory, overwrite)
    class_folders, left_out = _find_classes(directory)
    searched = [_find_files(section, folder) for section, folder in class_folders]
    files = [file for found, _ in searched for file in found]
    left_out += [entry for _, of_folder in searched for entry in of_folder]
    labels = _class_order({folder.name for _, folder in class_folders}, classes, directory)
    pattern = _compile(patient_regex)
    read = [read_or_leave_out(partial(_read_patient, file, pattern), file.path) for file in files]
    left_out += [result for result in read if isinstance(result, LeftOut)]
    found = [(file, result) for file, result in zip(files, read, strict=True) if not isinstance(result, LeftOut)]
    report_left_out(directory, left_out, len(found), strict)
    _check_classes([file for file, _ in found], labels, left_out)
    _check_patients(found, patient_regex)
    sections: dict[str, list[dict[str, Any]]] = {}
    for file, patient in found:
        item = {"image": str(file.path), "label": labels.index(file.class_name), "patient_id": patient}
        sections.setdefault(file.section, []).append(item)
    if "" in sections:
        sections = split_in_three(sections[""], validation_fraction, test_fraction, seed)
    n_patients = len({patient for _, patient in found})
    description = f"{len(found)} ultrasound files of {n_patients} patients, a folder per class"
    return str(save_datalist(directory, sections, labels, description, overwrite))


def _find_classes(directory: Path) -> tuple[list[tuple[str, Path]], list[LeftOut]]:
    """Return (section, folder) of each class, the section "" without split folders, and what is in none of them."""
    folders, outside = _subfolders(directory)
    if not folders:
        raise ValueError(f"{directory} has no folders; expected one for each class, or for each split")
    others = [folder.name for folder in folders if _section(folder) is None]
    if len(others) == len(folders):
        return [("", folder) for folder in folders], outside
    if others:
        raise ValueError(f"{directory} has split folders and others ({', '.join(others[:3])}); use one of the layouts")
    sections = [_section(folder) or "" for folder in folders]
    if len(set(sections)) < len(sections):
        raise ValueError(f"{directory} has two folders for one split: {', '.join(folder.name for folder in folders)}")
    found = []
    for split, section in zip(folders, sections, strict=True):
        classes, outside_of_split = _subfolders(split)
        found += [(section, folder) for folder in classes]
        outside += outside_of_split
    return found, outside


def _section(folder: Path) -> str | None:
    """Return the section that a folder of this name stands for, None for a class folder."""
    return folder.name if folder.name.startswith("test_") else _SPLIT_FOLDERS.get(folder.name)


def _subfolders(directory: Path) -> tuple[list[Path], list[LeftOut]]:
    """Return the folders for classes or splits, and what lies beside them."""
    entries = [path for path in sorted(directory.iterdir()) if path.name not in (DATALIST_NAME, LEFT_OUT_NAME)]
    folders = [path for path in entries if path.is_dir() and not path.name.startswith(".")]
    outside = sorted(set(entries) - set(folders))
    return folders, [LeftOut(str(path), "not ultrasound", "is not in the folder of a class") for path in outside]


def _find_files(section: str, folder: Path) -> tuple[list[_File], list[LeftOut]]:
    found = find_files(folder)
    below = [(path, path.relative_to(folder).as_posix()) for path in map(Path, found.files)]
    return [_File(section, folder.name, path, below_class) for path, below_class in below], found.left_out


def _class_order(found: set[str], classes: str | Sequence[str] | None, directory: Path) -> list[str]:
    if len(found) < 2:
        raise ValueError(f"{directory} has {len(found)} class ({', '.join(found) or 'none'}); a classifier needs two")
    if classes is None:
        return [view for view in ECHO_VIEWS if view in found] + sorted(found - set(ECHO_VIEWS))
    order = [name.strip() for name in (classes.split(",") if isinstance(classes, str) else classes)]
    if sorted(order) != sorted(found):
        raise ValueError(
            f"classes are {', '.join(order)}, but the folders of {directory} are {', '.join(sorted(found))}"
        )
    return order


def _compile(patient_regex: str | None) -> re.Pattern[str] | None:
    if patient_regex is None:
        return None
    try:
        pattern = re.compile(patient_regex)
    except re.error as error:
        raise ValueError(f"patient_regex {patient_regex!r} is no regular expression: {error}") from error
    if pattern.groups < 1:
        raise ValueError(f"patient_regex {patient_regex!r} has no group; put the patient in parentheses: '^(p[0-9]+)_'")
    return pattern


def _read_patient(file: _File, pattern: re.Pattern[str] | None) -> str:
    """Read a file to its end, and return its patient, "" if it is unknown."""
    from monai_debias.apps.ultrasound.reader import UltrasoundReader

    reader = UltrasoundReader(frames=-1)  # the last frame, which a file that was cut short does not have
    opened = reader.read(file.path)
    reader.get_data(opened)
    if pattern is not None:
        match = pattern.search(file.below_class)
        return match.group(1) or "" if match else ""
    patient_id = opened.content.patient_id
    return hashlib.sha256(patient_id.encode()).hexdigest()[:12] if patient_id else ""


def _check_classes(found: Sequence[_File], labels: Sequence[str], left_out: Sequence[LeftOut]) -> None:
    empty = set(labels) - {file.class_name for file in found}
    if empty:
        refuse_left_out(left_out, f"no file of {', '.join(sorted(empty))} is left")


def _check_patients(found: Sequence[tuple[_File, str]], patient_regex: str | None) -> None:
    unknown = [str(file.path) for file, patient in found if not patient]
    if unknown:
        reason = "have no Patient ID" if patient_regex is None else f"do not fit the patient_regex {patient_regex!r}"
        raise ValueError(
            f"{len(unknown)} of {len(found)} files {reason}, such as {', '.join(unknown[:3])}, so it is unknown which "
            "belong to one patient. Pass a patient_regex with a group that finds the patient in the file name, such as "
            "'^(p[0-9]+)_'; '(.*)' makes each file a patient of its own"
        )
