# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""All films of one virtual patient: a film for each class from one projection, with the markers of each section."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from monai_debias.demo.cxr.chest_ct import load_chest_ct
from monai_debias.demo.cxr.dicom import write_film
from monai_debias.demo.cxr.film import expose
from monai_debias.demo.cxr.findings import TASKS, finding
from monai_debias.demo.cxr.hospitals import EXTERNAL_HOSPITAL, HOSPITALS
from monai_debias.demo.cxr.markers import add_markers
from monai_debias.demo.cxr.patients import draw_patient
from monai_debias.demo.cxr.projection import project
from monai_debias.demo.cxr.scanners import EXTERNAL_SCANNER, SCANNERS, draw_exposure
from monai_debias.files import write_json

__all__ = ["PatientFilms", "write_patient"]


class PatientFilms(NamedTuple):
    """What is to be written of one patient.

    Attributes:
        out: the cohort's folder, with a folder for each section, ``masks`` and ``written``.
        task: ``"covid"`` or ``"tb"``.
        seed: that of the cohort.
        size: rows and columns of a film.
        group: the patient's group, such as ``"train"``, and its number among the groups.
        number: the patient's number in the group.
        cues: for each section that shows the patient the class that each film's markers name; None in an external one.
    """

    out: str
    task: str
    seed: int
    size: int
    group: tuple[str, int]
    number: int
    cues: dict[str, tuple[int, ...] | None]

    @property
    def patient_id(self) -> str:
        """Name of the patient in files and headers."""
        return f"demo-{self.group[0]}-{self.number + 1:04d}"

    @property
    def record(self) -> Path:
        """File that lists the patient's items; it is written after everything else."""
        return Path(self.out, "written", f"{self.patient_id}.json")


def write_patient(films: PatientFilms) -> None:
    """Render and write a patient's mask and films, then the record with (section, datalist item) pairs.

    Args:
        films: what is to be written; files of an interrupted call are replaced.
    """
    source = [films.seed, 1 + films.group[1], films.number]
    rng, out = np.random.default_rng(source), Path(films.out)
    patient = draw_patient(rng)
    rays = project(load_chest_ct(), patient, rng, films.size)
    mask = f"masks/{films.patient_id}.png"
    Image.fromarray(rays.mask * 255).save(out / mask)
    external = None in films.cues.values()
    items: list[tuple[str, dict[str, Any]]] = []
    for label, name in enumerate(TASKS[films.task]):
        rng = np.random.default_rng([*source, label])
        scanner = EXTERNAL_SCANNER if external else SCANNERS[rng.integers(len(SCANNERS))]
        exposure = draw_exposure(scanner, rng)
        attenuation = rays.attenuation + finding(name, rays, rng)
        film = expose(attenuation, rays.pixel, scanner, exposure, rng)
        for k, (section, cues) in enumerate(films.cues.items()):
            hospital = EXTERNAL_HOSPITAL if cues is None else HOSPITALS[cues[label]]
            marked = add_markers(film, rays.mask, hospital, np.random.default_rng([*source, label, k]))
            image = f"{section}/{films.patient_id}_{name}.dcm"
            uid_source = [str(films.seed), films.task, section, films.patient_id, name]
            write_film(out / image, marked, rays.pixel, scanner, hospital, films.patient_id, uid_source)
            item = {"image": image, "label": label, "patient_id": films.patient_id, "mask": mask}
            item |= {"hospital": hospital.name, "scanner": scanner.model}
            items.append((section, {**item, "bias_aligned": None if cues is None else cues[label] == label}))
    write_json(films.record, items)
