# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""From the directory of a public cohort of chest radiographs to its ``datalist.json``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from monai_debias.apps.radiography.cohorts.bimcv import BIMCV
from monai_debias.apps.radiography.cohorts.brixia import BRIXIA
from monai_debias.apps.radiography.cohorts.chexpert import CHEXPERT
from monai_debias.apps.radiography.cohorts.covid_chestxray import COVID_CHESTXRAY
from monai_debias.apps.radiography.cohorts.covid_qu_ex import COVID_QU_EX
from monai_debias.apps.radiography.cohorts.nih import NIH
from monai_debias.apps.radiography.cohorts.rsna import RSNA
from monai_debias.apps.radiography.cohorts.tb_sets import MONTGOMERY, SHENZHEN
from monai_debias.apps.radiography.cohorts.tbx11k import TBX11K
from monai_debias.constraints import NONE, OneOf
from monai_debias.data.cohort import Cohort, Record
from monai_debias.data.cohort_builder import (
    COMMON_OPTIONS,
    BuildOptions,
    cohort_commands,
    existing_directory,
    write_cohort,
)
from monai_debias.parameters import expects

__all__ = ["COHORTS", "COLUMNS", "build_chest_datalist", "chest_commands"]

COHORTS: dict[str, Cohort] = {
    "bimcv": BIMCV,
    "brixia": BRIXIA,
    "chexpert": CHEXPERT,
    "covid-chestxray-dataset": COVID_CHESTXRAY,
    "covid-qu-ex": COVID_QU_EX,
    "montgomery": MONTGOMERY,
    "nih": NIH,
    "rsna": RSNA,
    "shenzhen": SHENZHEN,
    "tbx11k": TBX11K,
}
_HEADER = ("view", "view_position", "sex", "age", "polarity", "manufacturer")
COLUMNS: dict[str, tuple[str, ...]] = {
    "bimcv": ("site", "view", "view_position", "sex", "age", "polarity", "manufacturer", "modality", "bits"),
    "brixia": ("site", *_HEADER, "brixia_score", "severity"),
    "chexpert": ("site", "view", "view_position", "sex", "age"),
    "covid-chestxray-dataset": ("site", "view", "view_position", "sex", "age"),
    "covid-qu-ex": ("mask", "view"),
    "montgomery": ("mask", "site", "view", "sex", "age"),
    "nih": ("site", "view", "view_position", "sex", "age", "follow_up"),
    "rsna": ("site", *_HEADER),
    "shenzhen": ("mask", "site", "view", "sex", "age"),
    "tbx11k": ("view",),
}
_OTHER_VIEW = {"frontal": "lateral", "lateral": "frontal", "any": None}


@expects(
    cohort=OneOf(*COHORTS),
    uncertain=NONE | OneOf("missing", "positive", "negative"),
    views=OneOf("frontal", "lateral", "any"),
    **COMMON_OPTIONS,
)
def build_chest_datalist(
    cohort: str,
    dataset_dir: str,
    class_names: str | Sequence[str] | None = None,
    task: str | None = None,
    uncertain: str | None = None,
    views: str = "frontal",
    out: str | None = None,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.2,
    seed: int = 0,
    allow_missing: bool = False,
    overwrite: bool = False,
) -> str:
    """Write the ``datalist.json`` of a public cohort of chest radiographs, from its folders as they are published.

    The authors' split is kept; where it has no validation, or there is none, patients are drawn. ``left_out.csv``, next
    to the datalist, names each film that is not used, with the reason. The layout of each cohort, the keys of its items
    and its terms are in docs/cohorts_chest.md.

    Args:
        cohort: its name.
        dataset_dir: its directory.
        class_names: the labels to classify, in their order, or one string with commas; default: those of the cohort. A
            cohort may know more labels than it has by default, which the error about an unknown one lists.
        task: ``"softmax"`` if a film has exactly one of the classes, others being left out, or ``"multi_label"`` if it
            has any number of them; default: as the cohort is meant.
        uncertain: what a label counts as that the cohort calls uncertain, ``"positive"``, ``"negative"``, or
            ``"missing"``, which leaves it out of loss and metrics. By default there must be none.
        views: ``"frontal"`` leaves out films that are said to be lateral, ``"lateral"`` those said to be frontal.
        out: folder for ``datalist.json`` and joined masks, made if it is not there; default: ``dataset_dir``.
        validation_fraction: share of validation, where the authors have none.
        test_fraction: share of test, where the authors have no split.
        seed: seed of the choice of patients.
        allow_missing: whether films that are listed but missing or damaged are left out; by default they are an error.
        overwrite: whether an existing ``datalist.json`` may be replaced.

    Returns:
        The path of the datalist.

    Raises:
        FileNotFoundError: if the directory, or a table or folder in it, is missing; it says what was expected.
        FileExistsError: if there is a ``datalist.json`` already and ``overwrite`` is False.
        LeftOutError: if listed films are missing or damaged and ``allow_missing`` is False, or if no film is left.
        ValueError: if a table lacks a column or has a value that it cannot have, labels are uncertain and ``uncertain``
            is None, no film has a class, or a section would have a single class.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for folder in ("CXR_png", "ClinicalReadings"):
        ...         Path(root, folder).mkdir()
        ...     for number in range(40):
        ...         _ = Path(root, "CXR_png", f"CHNCXR_{number:04d}_{number % 2}.png").write_bytes(b"")
        ...     Path(build_chest_datalist("shenzhen", root)).name
        'datalist.json'
    """
    options = BuildOptions(
        class_names, task, out, validation_fraction, test_fraction, seed, allow_missing, overwrite, uncertain
    )
    directory = existing_directory(dataset_dir)
    return write_cohort(cohort, COHORTS[cohort], directory, options, "films", lambda record: _of_view(record, views))


def chest_commands() -> dict[str, Callable[..., str]]:
    """The builder of each cohort as a command of the command line, by the cohort's name."""
    return cohort_commands(build_chest_datalist, {name: cohort.title for name, cohort in COHORTS.items()}, COLUMNS)


def _of_view(record: Record, views: str) -> Record:
    view = record.attributes.get("view")
    if record.excluded or view != _OTHER_VIEW[views] or view is None:
        return record
    return replace(record, excluded=f"is a {view} film")
