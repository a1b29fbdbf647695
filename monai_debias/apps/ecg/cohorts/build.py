# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""From the directory of a public cohort of ECGs to its ``datalist.json``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from monai_debias.apps.ecg.cohorts.chapman import chapman
from monai_debias.apps.ecg.cohorts.cinc2020 import cinc2020
from monai_debias.apps.ecg.cohorts.cpsc2018 import CPSC2018
from monai_debias.apps.ecg.cohorts.ptbxl import LABEL_SETS, ptbxl
from monai_debias.apps.ecg.cohorts.tianchi import tianchi
from monai_debias.constraints import Integer, OneOf
from monai_debias.data.cohort import Cohort
from monai_debias.data.cohort_builder import (
    COMMON_OPTIONS,
    BuildOptions,
    cohort_commands,
    existing_directory,
    write_cohort,
)
from monai_debias.parameters import expects

__all__ = ["COLUMNS", "build_ecg_datalist", "build_ptbxl_datalist", "ecg_commands"]

# where the labels are in a table of the cohort, it is described by a function of its directory
_COHORTS: dict[str, Callable[[Path], Cohort]] = {
    "cinc2020": cinc2020,
    "cpsc2018": lambda directory: CPSC2018,
    "chapman": chapman,
    "tianchi": tianchi,
}
_TITLES = {
    "cinc2020": "the PhysioNet/CinC challenges 2020 and 2021",
    "cpsc2018": "CPSC2018",
    "chapman": "the Chapman-Shaoxing and Ningbo database",
    "tianchi": "the Tianchi competition 2019",
}


COLUMNS: dict[str, tuple[str, ...]] = {
    "cinc2020": ("site", "sex", "age", "sampling_rate"),
    "cpsc2018": (),
    "chapman": ("sex", "age", "sampling_rate"),
    "tianchi": ("sex", "age"),
}


@expects(cohort=OneOf(*_COHORTS), **COMMON_OPTIONS)
def build_ecg_datalist(
    cohort: str,
    dataset_dir: str,
    class_names: str | Sequence[str] | None = None,
    task: str | None = None,
    out: str | None = None,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.2,
    seed: int = 0,
    allow_missing: bool = False,
    overwrite: bool = False,
) -> str:
    r"""Write the ``datalist.json`` of a public cohort of ECGs, from its folders as they are published.

    These cohorts have no split of their own. ``left_out.csv``, next to the datalist, names each record that is not
    used, with the reason. The layout of each cohort, the keys of its items and its terms are in docs/cohorts_ecg.md.

    Args:
        cohort: its name.
        dataset_dir: its directory.
        class_names: the labels to classify, in their order, or one string with commas; default: those of the cohort. A
            cohort may know more labels than it has by default, which the error about an unknown one lists.
        task: ``"multi_label"``, or ``"softmax"`` if a record has exactly one of the classes, others being left out;
            default: as the cohort is meant.
        out: folder for ``datalist.json``, made if it is not there; default: ``dataset_dir``.
        validation_fraction: share of validation.
        test_fraction: share of test.
        seed: seed of the choice of patients.
        allow_missing: whether listed records that are missing or damaged are left out; by default they are an error.
        overwrite: whether an existing ``datalist.json`` may be replaced.

    Returns:
        The path of the datalist.

    Raises:
        FileNotFoundError: if the directory, or a table or folder in it, is missing; it says what was expected.
        FileExistsError: if there is a ``datalist.json`` already and ``overwrite`` is False.
        LeftOutError: if listed records are missing or damaged and ``allow_missing`` is False, or if no record is left.
        ValueError: if a table lacks a column or has a value that it cannot have, or no record has a class.
        OptionalImportError: if headers have to be read and wfdb is not installed.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     rows = [f"A{n:04d},{1 + n % 9},," for n in range(90)]
        ...     lines = "\n".join(["Recording,First_label,Second_label,Third_label", *rows])
        ...     _ = Path(root, "REFERENCE.csv").write_text(lines)
        ...     for n in range(90):
        ...         _ = Path(root, f"A{n:04d}.mat").write_bytes(b"")
        ...     Path(build_ecg_datalist("cpsc2018", root)).name
        'datalist.json'
    """
    options = BuildOptions(class_names, task, out, validation_fraction, test_fraction, seed, allow_missing, overwrite)
    directory = existing_directory(dataset_dir)
    return write_cohort(cohort, _COHORTS[cohort](directory), directory, options, "records")


@expects(
    labels=OneOf(*LABEL_SETS),
    sampling_rate=Integer("[100, 500]"),
    **{
        name: COMMON_OPTIONS[name]
        for name in ("dataset_dir", "class_names", "task", "out", "allow_missing", "overwrite")
    },
)
def build_ptbxl_datalist(
    dataset_dir: str,
    labels: str = "superclass",
    sampling_rate: int = 100,
    class_names: str | Sequence[str] | None = None,
    task: str | None = None,
    out: str | None = None,
    allow_missing: bool = False,
    overwrite: bool = False,
) -> str:
    """Write the ``datalist.json`` of PTB-XL, for one task of its benchmark and with the folds that it recommends.

    Folds 1 to 8 are the training section, 9 validation and 10 test. An item has the record, label and patient, and
    ``site``, ``device``, ``nurse``, ``validated_by``, ``sex`` and ``age`` as attributes. As in the benchmark, a record
    with no statement of the task is left out, and a statement counts whatever its likelihood. ``left_out.csv``, next
    to the datalist, names each record that is not used. The layout and the terms are in docs/cohorts_ecg.md.

    N. Strodthoff et al., "Deep Learning for ECG Analysis: Benchmarks and Insights from PTB-XL", IEEE JBHI 25 (2021).

    Args:
        dataset_dir: its directory.
        labels: the task: ``"superclass"`` (5 labels), ``"subclass"`` (23), ``"diagnostic"`` (44), ``"form"`` (19),
            ``"rhythm"`` (12) or ``"all"`` statements (71).
        sampling_rate: of the files to use, 100 or 500 Hz.
        class_names: some of these labels, in their order, or one string with commas; default: all.
        task: ``"multi_label"``, or ``"softmax"`` if a record has exactly one of the classes, others being left out;
            default: multi_label.
        out: folder for ``datalist.json``, made if it is not there; default: ``dataset_dir``.
        allow_missing: whether records that are listed but missing are left out; by default they are an error.
        overwrite: whether an existing ``datalist.json`` may be replaced.

    Returns:
        The path of the datalist.

    Raises:
        FileNotFoundError: if the directory or a table in it is missing; it says what was expected.
        FileExistsError: if there is a ``datalist.json`` already and ``overwrite`` is False.
        LeftOutError: if listed records are missing and ``allow_missing`` is False, or if no record is left.
        ValueError: if a table lacks a column or has a value that it cannot have, or no record has a class.

    Example:
        >>> build_ptbxl_datalist("no/such/folder", labels="rhythm")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        FileNotFoundError: the data-set directory ...no/such/folder does not exist.
    """
    options = BuildOptions(class_names, task, out, allow_missing=allow_missing, overwrite=overwrite)
    directory = existing_directory(dataset_dir)
    return write_cohort("ptbxl", ptbxl(directory, labels, sampling_rate), directory, options, "records")


def ecg_commands() -> dict[str, Callable[..., str]]:
    """The builder of each cohort as a command of the command line, by the cohort's name."""
    return {"ptbxl": build_ptbxl_datalist, **cohort_commands(build_ecg_datalist, _TITLES, COLUMNS)}
