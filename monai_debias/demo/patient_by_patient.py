# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A cohort written patient by patient, so that an interrupted call goes on with the patients that are missing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from monai.utils import optional_import

from monai_debias.processes import in_processes

__all__ = ["write_patients"]

tqdm, has_tqdm = optional_import("tqdm", name="tqdm")


class Patient(Protocol):
    """What is to be written of a patient."""

    @property
    def record(self) -> Path:
        """The file that is written last: JSON, pairs of a section and an item of the datalist."""


OnePatient = TypeVar("OnePatient", bound=Patient)


def write_patients(
    plan: Sequence[OnePatient],
    write: Callable[[OnePatient], None],
    sections: Iterable[str],
    workers: int | None,
    progress: bool,
    what: str,
) -> dict[str, list[dict[str, Any]]]:
    """Write the patients that are missing, and join the records of all.

    Args:
        plan: all patients.
        write: writes a patient; a function at the top level of its module.
        sections: names of the sections of the datalist.
        workers: number of processes; None = one per available processor.
        progress: whether to show a progress bar (with tqdm).
        what: what the bar says.

    Returns:
        The items of each section, in the order of the patients.
    """
    missing = [patient for patient in plan if not patient.record.exists()]
    steps = in_processes(write, missing, workers)
    if progress and has_tqdm:
        steps = tqdm(steps, total=len(plan), initial=len(plan) - len(missing), desc=what, unit="patient")
    for _ in steps:
        pass
    items: dict[str, list[dict[str, Any]]] = {section: [] for section in sections}
    for patient in plan:
        for section, item in json.loads(patient.record.read_text(encoding="utf-8")):
            items[section].append(item)
    return items
