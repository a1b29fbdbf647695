# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""TMED-2 as the BackMix authors lay it out: folders of stills and masks -> MONAI datalist."""

from __future__ import annotations

import csv
import os
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from monai_debias.apps.ultrasound.reader import UltrasoundReader
from monai_debias.apps.ultrasound.views import ECHO_VIEWS
from monai_debias.constraints import BOOL, NONE, PATH, SEED, Number
from monai_debias.data.datalist_writer import refuse_existing, save_datalist
from monai_debias.data.folder_search import candidate
from monai_debias.data.left_out import (
    LEFT_OUT_NAME,
    LeftOut,
    read_or_leave_out,
    refuse_left_out,
    report_left_out,
)
from monai_debias.data.splits import split_in_three
from monai_debias.files import make_writable
from monai_debias.parameters import expects

__all__ = ["build_tmed2_datalist"]

_SPLIT_FOLDERS = {"train": "training", "val": "validation", "test": "test"}


@expects(
    image_dir=PATH,
    mask_dir=PATH,
    out=NONE | PATH,
    bad_masks=NONE | PATH,
    patients=NONE | PATH,
    validation_fraction=Number("(0, 1)"),
    test_fraction=Number("(0, 1)"),
    seed=SEED,
    overwrite=BOOL,
    strict=BOOL,
)
def build_tmed2_datalist(
    image_dir: str,
    mask_dir: str,
    out: str | None = None,
    bad_masks: str | None = None,
    patients: str | None = None,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.2,
    seed: int = 0,
    overwrite: bool = False,
    strict: bool = False,
) -> str:
    """Write the ``datalist.json`` of TMED-2 in the layout of the BackMix authors.

    Layout: stills ``image_dir/NNNN_VIEW.npy`` with VIEW one of PLAX, PSAX, A2C, A4C, and masks of the same name in
    ``mask_dir``; or the same within the sub-folders ``train``, ``val`` and ``test`` of both, which then are the splits.
    (The authors' own folders: ``TMED2/{train,val,test}`` and ``TMED2/masking2/{train,val,test}``.) Access to the data
    is by application: https://tmed.cs.tufts.edu.

    Each still is read. What is not a still or cannot be read is left out of the datalist; the log says how many files
    that are, and ``left_out.csv``, next to the datalist, lists them with the reasons.

    **Patients.** What NNNN stands for is not stated publicly. Without ``patients`` it is taken as the patient, which is
    doubtful: 576 patients cannot have 17,270 images if each has one image of a name. If NNNN is a running number, then
    a random split puts images of one patient into several splits; a warning says so. Pass ``patients`` to avoid this.

    Args:
        image_dir: folder of the stills.
        mask_dir: folder of the masks, 1 in the ultrasound sector. Images without a mask are kept; BackMix leaves them
            as they are.
        out: folder for ``datalist.json``, made if it is not there; default: the one that holds both others.
        bad_masks: text file with one image name per line (with or without ``.npy``): these images are listed without
            their mask. (The authors leave these images out.)
        patients: CSV file with the columns ``file`` (name of the still) and ``patient_id``, with a row for each still.
        validation_fraction: share of validation, if there are no split folders.
        test_fraction: share of test, if there are no split folders.
        seed: seed of the split, if there are no split folders.
        overwrite: whether an existing ``datalist.json`` may be replaced.
        strict: whether a file that would be left out is an error; then there is no new datalist.

    Returns:
        The path of the datalist.

    Raises:
        FileNotFoundError: if a folder or file is missing.
        FileExistsError: if there is a ``datalist.json`` already and ``overwrite`` is False.
        LeftOutError: if ``strict`` and a file would be left out, or if no still is left.
        ValueError: if there are no stills, a name is not NNNN_VIEW.npy or has an unknown view, no still has a mask, a
            still lacks a patient in ``patients``, no line of ``bad_masks`` names a still, a section has a single class,
            or a patient is in two splits.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for folder in ("images", "masks"):
        ...         Path(root, folder).mkdir()
        ...         for number in range(1000, 1010):
        ...             for view in ECHO_VIEWS:
        ...                 np.save(Path(root, folder, f"{number}_{view}.npy"), np.ones((8, 8)))
        ...     with warnings.catch_warnings():
        ...         warnings.simplefilter("ignore")
        ...         Path(build_tmed2_datalist(f"{root}/images", f"{root}/masks")).name
        'datalist.json'
    """
    images, masks = Path(image_dir).expanduser().absolute(), Path(mask_dir).expanduser().absolute()
    directory = Path(out).expanduser() if out else Path(os.path.commonpath([images, masks]))
    for folder in (images, masks):
        if not folder.is_dir():
            raise FileNotFoundError(f"the folder {folder} does not exist.")
    ours = [
        refuse_existing(directory, overwrite),
        directory / LEFT_OUT_NAME,
        *(Path(path) for path in (patients, bad_masks) if path),
    ]
    make_writable(directory)
    found, left_out = _find_stills(images, ours)
    stills = [path for paths in found.values() for path in paths]
    report_left_out(directory, left_out, len(stills), strict)
    if not stills:
        refuse_left_out(left_out, "no still is left")
    patient_of = _read_patients(patients, stills) if patients else _guess_patients(stills)
    bad = _read_bad_masks(bad_masks, stills) if bad_masks else set()
    items = {path: _item(path, masks / path.relative_to(images), path.stem not in bad, patient_of) for path in stills}
    if not any("mask" in item for item in items.values()):
        raise ValueError(f"none of the {len(stills)} stills has a mask of the same name in {masks}.")
    if "" not in found:
        sections = {section: [items[path] for path in paths] for section, paths in found.items()}
    else:
        sections = split_in_three(list(items.values()), validation_fraction, test_fraction, seed)
    n_masks = sum("mask" in item for item in items.values())
    description = f"TMED-2 stills by view: {len(items)} images, {n_masks} with a sector mask"
    return str(save_datalist(directory, sections, ECHO_VIEWS, description, overwrite))


def _find_stills(images: Path, ours: Sequence[Path]) -> tuple[dict[str, list[Path]], list[LeftOut]]:
    """Return the readable stills of each section, "" without split folders, and what is left out."""
    splits = {name: images / name for name in _SPLIT_FOLDERS if (images / name).is_dir()}
    flat, left_out = _stills(images, ours)
    if splits and flat:
        raise ValueError(f"{images} has both stills and the split folders {', '.join(splits)}; use one of the layouts.")
    if splits and len(splits) < len(_SPLIT_FOLDERS):
        raise ValueError(
            f"{images} has only some of the split folders, {', '.join(splits)}; expected {', '.join(_SPLIT_FOLDERS)}."
        )
    found = {_SPLIT_FOLDERS[name]: _stills(folder, ours) for name, folder in splits.items()} or {"": (flat, left_out)}
    if not any(stills for stills, _ in found.values()):
        raise ValueError(f"{images} has no .npy files, neither directly nor in {', '.join(_SPLIT_FOLDERS)}.")
    readable = {}
    left_out = left_out + [entry for section, (_, others) in found.items() if section for entry in others]
    for section, (stills, _) in found.items():
        read = [read_or_leave_out(partial(_read_to_its_end, still), still) for still in stills]
        readable[section] = [entry for entry in read if isinstance(entry, Path)]
        left_out += [entry for entry in read if isinstance(entry, LeftOut)]
    return readable, left_out


def _stills(folder: Path, ours: Sequence[Path]) -> tuple[list[Path], list[LeftOut]]:
    """Return the ``.npy`` files of a folder, and its other files except ours."""
    own = {path.resolve() for path in ours}
    paths = [path for path in sorted(folder.iterdir()) if not path.is_dir() and path.resolve() not in own]
    found = [candidate(path) for path in paths]
    stills = [entry for entry in found if isinstance(entry, Path) and entry.suffix == ".npy"]
    others = [entry for entry in found if isinstance(entry, Path) and entry.suffix != ".npy"]
    left_out = [entry for entry in found if isinstance(entry, LeftOut)]
    return stills, left_out + [LeftOut(str(path), "unrelated", "is not a still in .npy.") for path in others]


def _read_to_its_end(still: Path) -> Path:
    reader = UltrasoundReader()
    reader.get_data(reader.read(still))
    return still


def _item(image: Path, mask: Path, mask_is_good: bool, patient_of: dict[str, str]) -> dict[str, Any]:
    view = image.stem.rpartition("_")[2]
    item: dict[str, Any] = {"image": str(image), "label": ECHO_VIEWS.index(view), "patient_id": patient_of[image.stem]}
    if mask_is_good and mask.is_file():
        item["mask"] = str(mask.absolute())
    return item


def _guess_patients(stills: Sequence[Path]) -> dict[str, str]:
    numbers = {path.stem: _split_name(path)[0] for path in stills}
    warnings.warn(
        f"NNNN of NNNN_VIEW.npy is taken as the patient ({len(set(numbers.values()))} for {len(stills)} images). This "
        "is a reconstruction; if it is a running number then patients end up in several splits. Pass `patients`, a CSV "
        "file with the columns file and patient_id.",
        stacklevel=3,
    )
    return numbers


def _read_patients(path: str, stills: Sequence[Path]) -> dict[str, str]:
    for still in stills:
        _split_name(still)
    with open(Path(path).expanduser(), newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        if not {"file", "patient_id"} <= set(rows.fieldnames or ()):
            raise ValueError(
                f"{path} has the columns {', '.join(rows.fieldnames or ())}, expected file and patient_id."
            )
        patient_of = {Path(row["file"]).stem: (row["patient_id"] or "").strip() for row in rows}
    missing = [still.name for still in stills if not patient_of.get(still.stem)]
    if missing:
        raise ValueError(
            f"{path} gives no patient for {len(missing)} of {len(stills)} stills: {', '.join(missing[:3])}."
        )
    return patient_of


def _read_bad_masks(path: str, stills: Sequence[Path]) -> set[str]:
    lines = Path(path).expanduser().read_text(encoding="utf-8").split("\n")
    bad = {line.strip().removesuffix(".npy") for line in lines if line.strip()}
    unknown = bad - {still.stem for still in stills}
    if bad and unknown == bad:
        raise ValueError(
            f"none of the {len(bad)} names in {path}, such as {sorted(bad)[0]!r}, is the name of a still; expected one "
            "name in each line, with or without .npy."
        )
    if unknown:
        warnings.warn(f"{len(unknown)} of the {len(bad)} names in {path} are not among the stills.", stacklevel=3)
    return bad


def _split_name(path: Path) -> tuple[str, str]:
    """Split NNNN_VIEW.npy into (NNNN, VIEW)."""
    number, _, view = path.stem.rpartition("_")
    if not number:
        raise ValueError(f"{path} is not named NNNN_VIEW.npy.")
    if view not in ECHO_VIEWS:
        raise ValueError(f"{path} has the unknown view {view!r}; the views are {', '.join(ECHO_VIEWS)}.")
    return number, view
