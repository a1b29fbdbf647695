# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A folder per class of images, and perhaps a folder of masks -> MONAI datalist."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from monai.data import ImageReader

from monai_debias.constraints import BOOL, NONE, PATH, SEED, STRING, Number, SequenceOf
from monai_debias.data.class_folders import ClassFile, class_order, files_of, find_class_folders
from monai_debias.data.datalist_items import listed_names
from monai_debias.data.datalist_writer import refuse_existing, save_datalist
from monai_debias.data.dicom.dataset import patient_id
from monai_debias.data.folder_search import find_files, without_repeats
from monai_debias.data.left_out import LEFT_OUT_NAME, LeftOut, read_or_leave_out, refuse_left_out, report_left_out
from monai_debias.data.mask_folder import match_masks
from monai_debias.data.reader import ANY_READER, ImageFileReader, find_reader, looks_like_dicom
from monai_debias.data.splits import split_in_three
from monai_debias.parameters import expects

__all__ = ["build_folder_datalist"]


@expects(
    dataset_dir=PATH,
    patient_regex=NONE | STRING,
    class_names=NONE | STRING | SequenceOf(STRING),
    masks=NONE | PATH,
    reader=NONE | ANY_READER,
    validation_fraction=Number("(0, 1)"),
    test_fraction=Number("(0, 1)"),
    seed=SEED,
    overwrite=BOOL,
    strict=BOOL,
)
def build_folder_datalist(
    dataset_dir: str,
    patient_regex: str | None = None,
    class_names: str | Sequence[str] | None = None,
    masks: str | None = None,
    reader: ImageReader | str | None = None,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.2,
    seed: int = 0,
    overwrite: bool = False,
    strict: bool = False,
) -> str:
    r"""Write the ``datalist.json`` of a data-set directory that has a folder per class.

    Layout: ``dataset_dir/CLASS/…/file``, split by patient; or ``dataset_dir/SPLIT/CLASS/…/file`` with SPLIT
    ``training``, ``validation`` and ``test`` (or ``train``, ``val``; more test sets as ``test_…``), which is kept.
    Each file is opened and decoded. Whatever is not an image or cannot be read is left out of the datalist; the log
    says how many files these are, and ``left_out.csv``, next to the datalist, lists them with the reasons.

    **Masks.** In the folder ``masks``, which may be one in ``dataset_dir``, a mask has the path of its image, apart
    from the suffix: ``masks/CLASS/p01.png`` is that of ``dataset_dir/CLASS/p01.dcm``. An image may have none; the log
    counts and names these. A mask without an image goes into ``left_out.csv``.
    :func:`~monai_debias.data.check.check_datalist` checks whether the masks fit their images.

    **Patients.** Without ``patient_regex``, every file must be DICOM with a Patient ID; the first 12 hexadecimal digits
    of its SHA-256 are written to the datalist. That hides the ID from a casual reader, no more: anyone with a list of
    candidates can find the one that fits. The paths in the datalist reveal whatever your file names reveal.

    Args:
        dataset_dir: the directory; ``datalist.json`` is written there.
        patient_regex: regular expression that finds the patient in the path below the class folder, with ``/``, which
            for files directly in it is the file name; its first group is the patient. Examples: ``"^(p\d+)_"`` for
            ``p012_frame3.png``, ``"^([^/]+)/"`` for a folder per patient; ``"(.*)"`` makes each file a patient. If
            given, it is used for DICOM files, too.
        class_names: names of the class folders in the order of their labels (or one string with commas); default:
            alphabetical order.
        masks: folder of the masks; default: no masks.
        reader: the reader of the files, an image reader of MONAI, of this package or your own, or its dotted name, such
            as ``"monai.data.NibabelReader"``, with arguments if it needs any, as in
            ``"monai_debias.apps.radiography.RadiographReader(body_part='CHEST')"``; default:
            :class:`~monai_debias.data.reader.ImageFileReader`, which decodes the last frame to make sure that the file
            is complete. A reader whose images consist of several files has a method ``find_files``, such as
            :class:`~monai_debias.apps.ecg.ECGReader`, for which a WFDB record is its header.
        validation_fraction: share of validation, if there are no split folders.
        test_fraction: share of test, if there are no split folders.
        seed: seed of the split, if there are no split folders.
        overwrite: whether an existing ``datalist.json`` may be replaced.
        strict: whether a file that would be left out is an error; then there is no new datalist.

    Returns:
        The path of the datalist.

    Raises:
        FileNotFoundError: if the directory does not exist, or the folder of a class or of the masks has no files.
        FileExistsError: if there is a ``datalist.json`` already and ``overwrite`` is False.
        LeftOutError: if ``strict`` and a file would be left out, or if no file of a class is left.
        ValueError: if there are no class folders or only one, a link leads from one to a file of another, no
            information about patients, fewer patients than splits, a section with a single class, a patient in two
            splits, or no mask with the name of an image.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("benign", "malignant"):
        ...         Path(root, name).mkdir()
        ...         for patient in range(5):
        ...             np.save(Path(root, name, f"p{patient}_0.npy"), np.zeros((8, 8), dtype=np.uint8))
        ...     Path(build_folder_datalist(root, patient_regex="^(p[0-9]+)_")).name
        'datalist.json'
    """
    directory = Path(dataset_dir).expanduser().absolute()
    if not directory.is_dir():
        raise FileNotFoundError(f"the data-set directory {directory} does not exist.")
    datalist = refuse_existing(directory, overwrite)
    mask_folder = None if masks is None else Path(masks).expanduser().absolute()
    ours = [datalist, directory / LEFT_OUT_NAME, *([] if mask_folder is None else [mask_folder])]
    image_reader = find_reader(ImageFileReader(frames=-1) if reader is None else reader)
    pattern = _compile(patient_regex)

    folders, left_out = find_class_folders(directory, ours)
    names = listed_names(class_names)
    find = getattr(image_reader, "find_files", find_files)  # of a reader whose images consist of several files
    searched = [files_of(folder, find) for folder in folders]
    labels = class_order({folder.path.name for folder in folders}, names, directory)
    files, repeated = _one_label_each([file for found, _ in searched for file in found])
    read = [read_or_leave_out(partial(_read_patient, file, pattern, image_reader), file.path) for file in files]
    left_out += [*(entry for _, of_folder in searched for entry in of_folder), *repeated]
    left_out += [result for result in read if isinstance(result, LeftOut)]
    found = [(file, result) for file, result in zip(files, read, strict=True) if not isinstance(result, LeftOut)]
    mask_of: dict[Path, Path] = {}
    if mask_folder is not None:
        mask_of, others = match_masks([file.path for file, _ in found], directory, mask_folder, image_reader)
        left_out += others
    report_left_out(directory, left_out, len(found), strict)
    _require_each_class([file for file, _ in found], labels, left_out)
    _require_patients(found, patient_regex)

    sections: dict[str, list[dict[str, Any]]] = {}
    for file, patient in found:
        item = {"image": str(file.path), "label": labels.index(file.class_name), "patient_id": patient}
        mask = {"mask": str(mask_of[file.path])} if file.path in mask_of else {}
        sections.setdefault(file.section, []).append({**item, **mask})
    if "" in sections:
        sections = split_in_three(sections[""], validation_fraction, test_fraction, seed)
    n_patients = len({patient for _, patient in found})
    with_masks = "" if mask_folder is None else f", {len(mask_of)} with a mask"
    description = f"{len(found)} images of {n_patients} patients, a folder per class{with_masks}"
    return str(save_datalist(directory, sections, labels, description, overwrite))


def _one_label_each(files: Sequence[ClassFile]) -> tuple[list[ClassFile], list[LeftOut]]:
    """Keep one path to each file, and refuse a file to which links from several classes lead."""
    classes: dict[str, ClassFile] = {}
    for file in files:
        other = classes.setdefault(os.path.realpath(file.path), file)
        if other.class_name != file.class_name:
            raise ValueError(
                f"{other.path} and {file.path} are one file by a link, in the folders of two classes: remove one."
            )
    kept, repeated = without_repeats([file.path for file in files])
    paths = set(kept)
    return [file for file in files if file.path in paths], repeated


def _compile(patient_regex: str | None) -> re.Pattern[str] | None:
    if patient_regex is None:
        return None
    try:
        pattern = re.compile(patient_regex)
    except re.error as error:
        raise ValueError(f"patient_regex {patient_regex!r} is not a regular expression: {error}.") from error
    if pattern.groups < 1:
        raise ValueError(
            f"patient_regex {patient_regex!r} has no group; put the patient in parentheses: '^(p[0-9]+)_'."
        )
    return pattern


def _read_patient(file: ClassFile, pattern: re.Pattern[str] | None, reader: ImageReader) -> str:
    """Read a file to its end, and return its patient, "" if it is unknown."""
    reader.get_data(reader.read(file.path))
    if pattern is not None:
        match = pattern.search(file.below_class)
        return match.group(1) or "" if match else ""
    patient = patient_id(file.path) if looks_like_dicom(file.path) else ""
    return hashlib.sha256(patient.encode()).hexdigest()[:12] if patient else ""


def _require_each_class(found: Sequence[ClassFile], labels: Sequence[str], left_out: Sequence[LeftOut]) -> None:
    empty = set(labels) - {file.class_name for file in found}
    if empty:
        refuse_left_out(left_out, f"no file of {', '.join(sorted(empty))} is left")


def _require_patients(found: Sequence[tuple[ClassFile, str]], patient_regex: str | None) -> None:
    unknown = [str(file.path) for file, patient in found if not patient]
    if unknown:
        reason = "have no Patient ID" if patient_regex is None else f"do not fit the patient_regex {patient_regex!r}"
        raise ValueError(
            f"{len(unknown)} of {len(found)} files {reason}, such as {', '.join(unknown[:3])}, so it is unknown which "
            "belong to one patient. Pass a patient_regex with a group that finds the patient in the file name, such as "
            "'^(p[0-9]+)_'; '(.*)' makes each file a patient of its own."
        )
