# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""All films of one virtual patient: a film for each class from one projection, with the markers of each section."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from monai_debias.demo.cxr.chest_ct import Field, load_chest_ct
from monai_debias.demo.cxr.dicom import write_film
from monai_debias.demo.cxr.film import expose
from monai_debias.demo.cxr.findings import TASKS, finding
from monai_debias.demo.cxr.markers import add_markers
from monai_debias.demo.cxr.patients import draw_patient
from monai_debias.demo.cxr.projection import Rays, project
from monai_debias.demo.cxr.shortcuts import Cues, Technique, draw_technique, names_class, with_markers
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
        cues: for each section that shows the patient, of each film what its cues name; None in an external one.
        shortcuts: the cues that were asked for.
    """

    out: str
    task: str
    seed: int
    size: int
    group: tuple[str, int]
    number: int
    cues: dict[str, tuple[Cues, ...] | None]
    shortcuts: tuple[str, ...]

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
    items: list[tuple[str, dict[str, Any]]] = []
    for label, name in enumerate(TASKS[films.task]):
        for k, (section, (film, technique)) in enumerate(_exposed(films, rays, label, source).items()):
            cues = _of_class(films.cues[section], label)
            hospital, markers = with_markers(cues)
            film = add_markers(film, rays.mask, hospital, np.random.default_rng([*source, label, k]))
            scanner = technique.scanner
            if technique.inverted:
                film, scanner = 1 - film, scanner._replace(photometric="MONOCHROME2")
            image = f"{section}/{films.patient_id}_{name}.dcm"
            uid_source = [str(films.seed), films.task, section, films.patient_id, name]
            write_film(out / image, film, rays.pixel, scanner, hospital, films.patient_id, uid_source)
            item = {"image": image, "label": label, "patient_id": films.patient_id, "mask": mask}
            item |= {"hospital": hospital.name, **markers, "scanner": scanner.model}
            item |= {"exposure": round(technique.exposure.gamma, 3)}
            item |= {"polarity": "inverted" if technique.inverted else "correct"}
            aligned = None if cues is None else all(cues[s] == names_class(s, label) for s in films.shortcuts)
            items.append((section, {**item, "bias_aligned": aligned}))
    write_json(films.record, items)


def _exposed(films: PatientFilms, rays: Rays, label: int, source: list[int]) -> dict[str, tuple[Field, Technique]]:
    """The film of a class in each section: the finding and the noise are the same, the technique may differ."""
    techniques = {}
    for section, cues in films.cues.items():
        rng = np.random.default_rng([*source, label])
        techniques[section] = draw_technique(_of_class(cues, label), rng)
    attenuation = rays.attenuation + finding(TASKS[films.task][label], rays, rng)
    taken = {
        technique: expose(attenuation, rays.pixel, technique.scanner, technique.exposure, deepcopy(rng))
        for technique in set(techniques.values())
    }
    return {section: (taken[technique], technique) for section, technique in techniques.items()}


def _of_class(cues: tuple[Cues, ...] | None, label: int) -> Cues | None:
    return None if cues is None else cues[label]
