# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A folder per class of DICOM, PNG, JPEG or NumPy ultrasound -> MONAI datalist."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from monai.utils import OptionalImportError

from monai_debias.data.datalist import DATALIST_NAME, ECHO_VIEWS, save_datalist
from monai_debias.data.splits import split_by_patient
from monai_debias.data.ultrasound_reader import UltrasoundFile, UltrasoundReader

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


def build_folder_datalist(
    dataset_dir: str,
    patient_regex: str | None = None,
    classes: str | Sequence[str] | None = None,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.2,
    seed: int = 0,
    overwrite: bool = False,
) -> str:
    r"""Write the ``datalist.json`` of a data-set directory that has a folder per class.

    Layout: ``dataset_dir/CLASS/…/file``, split by patient; or ``dataset_dir/SPLIT/CLASS/…/file`` with SPLIT
    ``training``, ``validation`` and ``test`` (or ``train``, ``val``; more test sets as ``test_…``), which is kept.
    Files are what :class:`~monai_debias.data.ultrasound_reader.UltrasoundReader` reads. Each is opened, and its last
    frame decoded; any that cannot be read stops the builder. Names that begin with a dot are passed over.

    **Patients.** Without ``patient_regex``, every file must be DICOM with a Patient ID, of which the first 12
    hexadecimal digits of the SHA-256 go into the datalist. That hides the ID from a casual reader, no more: who has a
    list of candidates can find the one that fits. The paths in the datalist are as telling as you named the files.

    Args:
        dataset_dir: the directory; ``datalist.json`` is written there.
        patient_regex: regular expression that finds the patient in the path below the class folder (with ``/``; for
            files directly in it: the file name); its first group is the patient. Examples: ``"^(p\d+)_"`` for
            ``p012_frame3.png``, ``"^([^/]+)/"`` for a folder per patient; ``"(.*)"`` makes each file a patient. If
            given, it counts for DICOM files, too.
        classes: class names in the order of their labels (or one string with commas); default: the views PLAX, PSAX,
            A2C, A4C in this order, then all others sorted.
        validation_fraction: share of validation, if there are no split folders.
        test_fraction: share of test, if there are no split folders.
        seed: seed of the split, if there are no split folders.
        overwrite: whether an existing ``datalist.json`` may be replaced.

    Returns:
        The path of the datalist.

    Raises:
        FileNotFoundError: if the directory does not exist.
        FileExistsError: if there is a ``datalist.json`` already and ``overwrite`` is False.
        ValueError: if there are no class folders or only one, files that cannot be read as ultrasound, no information
            about patients, fewer patients than splits, a section with a single class, or a patient in two splits.

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
    if (directory / DATALIST_NAME).exists() and not overwrite:
        # before the files are read, which may take long
        raise FileExistsError(f"{directory / DATALIST_NAME} exists already; pass overwrite=True to replace it")
    files = _find_files(directory)
    labels = _class_order({file.class_name for file in files}, classes, directory)
    patients = _read_patients(files, patient_regex)
    sections: dict[str, list[dict[str, Any]]] = {}
    for file, patient in zip(files, patients, strict=True):
        item = {"image": str(file.path), "label": labels.index(file.class_name), "patient_id": patient}
        sections.setdefault(file.section, []).append(item)
    if "" in sections:
        training_fraction = 1 - validation_fraction - test_fraction
        fractions = {"training": training_fraction, "validation": validation_fraction, "test": test_fraction}
        sections = split_by_patient(sections[""], fractions, seed)
    description = f"{len(files)} ultrasound files of {len(set(patients))} patients, a folder per class"
    return str(save_datalist(directory, sections, labels, description, overwrite))


def _find_files(directory: Path) -> list[_File]:
    folders = _subfolders(directory)
    if not folders:
        raise ValueError(f"{directory} has no folders; expected one for each class, or for each split")
    others = [folder.name for folder in folders if _section(folder) is None]
    if len(others) == len(folders):
        return [file for folder in folders for file in _files_below(folder, "")]
    if others:
        raise ValueError(f"{directory} has split folders and others ({', '.join(others[:3])}); use one of the layouts")
    sections = [_section(folder) or "" for folder in folders]
    if len(set(sections)) < len(sections):
        raise ValueError(f"{directory} has two folders for one split: {', '.join(folder.name for folder in folders)}")
    return [
        file
        for split, section in zip(folders, sections, strict=True)
        for folder in _subfolders(split)
        for file in _files_below(folder, section)
    ]


def _section(folder: Path) -> str | None:
    """Return the section that a folder of this name stands for, None for a class folder."""
    return folder.name if folder.name.startswith("test_") else _SPLIT_FOLDERS.get(folder.name)


def _subfolders(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.is_dir() and not path.name.startswith("."))


def _files_below(folder: Path, section: str) -> list[_File]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = [_File(section, folder.name, path, path.relative_to(folder).as_posix()) for path in paths]
    files = [file for file in files if not any(part.startswith(".") for part in file.below_class.split("/"))]
    if not files:
        raise ValueError(f"the folder {folder} has no files")
    return files


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


def _read_patients(files: Sequence[_File], patient_regex: str | None) -> list[str]:
    """Open every file and return its patient."""
    pattern = None if patient_regex is None else re.compile(patient_regex)
    if pattern is not None and pattern.groups < 1:
        raise ValueError(f"patient_regex {patient_regex!r} has no group; put the patient in parentheses: '^(p[0-9]+)_'")
    reader = UltrasoundReader(frames=-1)  # the last frame, which a file that was cut short does not have
    patients: list[str] = []
    unreadable: list[str] = []
    for file in files:
        try:
            opened = reader.read(file.path)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about the spacing, which a datalist does not hold
                reader.get_data(opened)
        except (ValueError, OSError, OptionalImportError) as error:
            unreadable.append(str(error))
            continue
        if pattern is None:
            patients.append(_hashed_patient_id(opened))
        else:
            match = pattern.search(file.below_class)
            patients.append(match.group(1) or "" if match else "")
    if unreadable:
        raise ValueError(
            f"{len(unreadable)} of {len(files)} files cannot be used; repair them or move them away:\n"
            + "\n".join(unreadable[:5])
            + ("\n…" if len(unreadable) > 5 else "")
        )
    unknown = [str(file.path) for file, patient in zip(files, patients, strict=True) if not patient]
    if unknown:
        reason = "have no Patient ID" if pattern is None else f"do not fit the patient_regex {patient_regex!r}"
        raise ValueError(
            f"{len(unknown)} of {len(files)} files {reason}, such as {', '.join(unknown[:3])}, so it is unknown which "
            "belong to one patient. Pass a patient_regex with a group that finds the patient in the file name, such as "
            "'^(p[0-9]+)_'; '(.*)' makes each file a patient of its own"
        )
    return patients


def _hashed_patient_id(file: UltrasoundFile) -> str:
    patient_id = file.content.patient_id
    return hashlib.sha256(patient_id.encode()).hexdigest()[:12] if patient_id else ""
