# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""From the directory of a published data set to its ``datalist.json``, whatever the modality."""

from __future__ import annotations

import functools
import inspect
import logging
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from monai_debias.constraints import BOOL, NONE, PATH, SEED, STRING, Number, OneOf, SequenceOf
from monai_debias.data.cohort import (
    Cohort,
    Record,
    as_items,
    drop_shared_patients,
    in_sections,
    join_masks,
    require_labels,
)
from monai_debias.data.datalist_items import listed_names
from monai_debias.data.datalist_writer import refuse_existing, save_datalist
from monai_debias.data.left_out import LeftOut, refuse_left_out, report_left_out
from monai_debias.files import make_writable

__all__ = ["COMMON_OPTIONS", "SPLIT_OPTIONS", "BuildOptions", "cohort_commands", "existing_directory", "write_cohort"]

# what a builder of cohorts takes, of every modality
COMMON_OPTIONS = {
    "dataset_dir": PATH,
    "class_names": NONE | STRING | SequenceOf(STRING),
    "task": NONE | OneOf("softmax", "multi_label"),
    "out": NONE | PATH,
    "validation_fraction": Number("(0, 1)"),
    "test_fraction": Number("(0, 1)"),
    "seed": SEED,
    "allow_missing": BOOL,
    "overwrite": BOOL,
}
SPLIT_OPTIONS = ("validation_fraction", "test_fraction", "seed")  # which a cohort with a split of its own does not need


class BuildOptions(NamedTuple):
    """How a datalist is made from records.

    Attributes:
        class_names: the labels to classify, in their order, or one string with commas; None for those of the cohort.
        task: ``"softmax"`` or ``"multi_label"``; None as the cohort is meant.
        out: where the datalist is written, a folder that is made if it is not there; None for the data-set directory.
        validation_fraction: share of validation, where the authors have none.
        test_fraction: share of test, where the authors have no split.
        seed: seed of the choice of patients.
        allow_missing: whether missing or damaged files are left out.
        overwrite: whether an existing datalist may be replaced.
        uncertain: what an uncertain label counts as; None refuses it.
    """

    class_names: str | Sequence[str] | None
    task: str | None
    out: str | None
    validation_fraction: float = 0.1
    test_fraction: float = 0.2
    seed: int = 0
    allow_missing: bool = False
    overwrite: bool = False
    uncertain: str | None = None


def existing_directory(dataset_dir: str) -> Path:
    """The absolute path of a data-set directory.

    Args:
        dataset_dir: as the user writes it.

    Raises:
        FileNotFoundError: if it does not exist.
    """
    directory = Path(dataset_dir).expanduser().absolute()
    if not directory.is_dir():
        raise FileNotFoundError(f"the data-set directory {directory} does not exist.")
    return directory


def write_cohort(
    name: str,
    cohort: Cohort,
    directory: Path,
    options: BuildOptions,
    what: str,
    narrow: Callable[[Record], Record] = lambda record: record,
) -> str:
    """Write the ``datalist.json`` of a published data set, and ``left_out.csv`` next to it.

    Args:
        name: the cohort's name on the command line, the attribute ``cohort`` of its items.
        cohort: the data set.
        directory: its directory.
        options: how the datalist is made.
        what: what an image is called, such as ``"films"``.
        narrow: excludes a record that is not wanted, or returns it as it is.

    Returns:
        The path of the datalist.

    Raises:
        FileNotFoundError: if a table or folder of the data set, or all of its files, are missing.
        FileExistsError: if there is a ``datalist.json`` already that may not be replaced.
        LeftOutError: if listed files are missing or damaged and that is not allowed, or no file is left.
        ValueError: if a table has what it cannot have, or the sections would not do, see
            :func:`~monai_debias.data.datalist_writer.save_datalist`.
    """
    target = directory if options.out is None else Path(options.out).expanduser().absolute()
    refuse_existing(target, options.overwrite)
    make_writable(target)
    names = listed_names(options.class_names) or list(cohort.class_names)
    if len(set(names)) < len(names):
        raise ValueError(f"class_names are {', '.join(names)}, expected each once.")
    for caveat in cohort.caveats:
        warnings.warn(caveat, stacklevel=4)
    described = [_described(record, name, cohort) for record in cohort.read(directory)]
    if not described:
        raise FileNotFoundError(f"{directory} has no {what} of {cohort.title} where they are expected.")
    require_labels(described, [name for name in names if name not in cohort.class_names])
    present, defects = _present([narrow(record) for record in described])
    twice = [str(image) for image, count in Counter(record.image for record in present).items() if count > 1]
    if twice:
        raise ValueError(
            f"{len(twice)} {what} of {cohort.title} are listed more than once, such as {', '.join(twice[:3])}."
        )
    if defects and not options.allow_missing:
        refuse_left_out(
            defects,
            f"{len(defects)} of {len(described)} {what} of {cohort.title} are missing or damaged; allow_missing=True "
            "(--allow_missing) leaves them out",
        )
    usable = join_masks(drop_shared_patients(present), target / "joined_masks")
    items, left_out = as_items(usable, names, options.task or cohort.task, options.uncertain)
    report_left_out(target, defects + left_out, len(items), strict=False)
    _log_counts(defects + left_out)
    sections = in_sections(items, options.validation_fraction, options.test_fraction, options.seed)
    n_masks = sum("mask" in item for item, _ in items)
    n_patients = len({item["patient_id"] for item, _ in items})
    with_masks = f", {n_masks} with a mask" if n_masks else ""
    description = f"{cohort.title}: {len(items)} {what} of {n_patients} patients{with_masks}"
    return str(save_datalist(target, sections, names, description, options.overwrite, cohort.overlaps))


def cohort_commands(
    build: Callable[..., str], titles: Mapping[str, str], columns: Mapping[str, Sequence[str]]
) -> dict[str, Callable[..., str]]:
    """A builder as one command of the command line for each cohort, by the cohort's name.

    Args:
        build: the builder, whose first argument is ``cohort``.
        titles: the name of each cohort in print.
        columns: the keys that items of each cohort have beside ``image``, ``label``, ``patient_id`` and ``cohort``.
    """
    return {cohort: _command(build, cohort, title, columns[cohort]) for cohort, title in titles.items()}


def _command(build: Callable[..., str], cohort: str, title: str, columns: Sequence[str]) -> Callable[..., str]:
    @functools.wraps(build)
    def command(*args: object, **kwargs: object) -> str:
        return build(cohort, *args, **kwargs)

    # the help is of these
    command.__signature__ = inspect.signature(functools.partial(build, cohort))  # type: ignore[attr-defined]
    text = (build.__doc__ or "").partition("\n")[2].replace("        cohort: its name.\n", "")
    known = f", and where they are known {', '.join(f'``{name}``' for name in columns)}" if columns else ""
    keys = f"Its items have ``image``, ``label``, ``patient_id`` and ``cohort``{known}."
    command.__doc__ = f"Write the ``datalist.json`` of {title}.\n\n    {keys}\n{text}"
    return command


def _described(record: Record, name: str, cohort: Cohort) -> Record:
    return replace(record, attributes={"cohort": name, "site": cohort.site, **record.attributes})


def _present(records: Sequence[Record]) -> tuple[list[Record], list[LeftOut]]:
    """The records whose file is there and sound, or that are excluded anyway; and the others, with the reasons."""
    present, defects = [], []
    for record in records:
        defect = "" if record.excluded else record.defect or ("" if record.image.is_file() else "is missing.")
        if defect:
            defects.append(LeftOut(str(record.image), "unreadable", defect))
        else:
            present.append(record)
    return present, defects


def _log_counts(left_out: Sequence[LeftOut]) -> None:
    counts = Counter(entry.reason.rstrip(".") for entry in left_out)
    if counts:
        logging.getLogger(__name__).warning(
            "left out: %s", ", ".join(f"{count} {reason!r}" for reason, count in counts.most_common(12))
        )
