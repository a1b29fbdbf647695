# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""All records of one virtual patient, as the devices of each section write them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from monai_debias.demo.ecg.devices import VARIANTS, Recording, record
from monai_debias.demo.ecg.dicom import write_dicom
from monai_debias.demo.ecg.findings import Findings
from monai_debias.demo.ecg.one_record import simulate
from monai_debias.demo.ecg.patients import draw_patient
from monai_debias.demo.ecg.wfdb_file import write_wfdb
from monai_debias.files import write_json

__all__ = ["PatientRecords", "write_patient"]

USUAL, TELLING, EXTERNAL = VARIANTS


class PatientRecords(NamedTuple):
    """What is to be written of one patient.

    Attributes:
        out: the cohort's folder, with a folder for each section, and ``written``.
        seed: that of the cohort.
        rate: samples a second of the usual device.
        suffix: ``".hea"`` for WFDB or ``".dcm"`` for DICOM.
        group: the patient's group, such as ``"train"``, and its number among the groups.
        number: the patient's number in the group.
        findings: of each record.
        told: of each record whether it has the label that the shortcuts go with.
        cues: for each section that shows the patient and each shortcut, of each record whether it says so; None instead
            of the shortcuts' where the device is the external one.
        shortcuts: their names.
    """

    out: str
    seed: int
    rate: int
    suffix: str
    group: tuple[str, int]
    number: int
    findings: tuple[Findings, ...]
    told: tuple[bool, ...]
    cues: Mapping[str, Mapping[str, tuple[bool, ...]] | None]
    shortcuts: tuple[str, ...]

    @property
    def patient_id(self) -> str:
        """Name of the patient in files and headers."""
        return f"demo-{self.group[0]}-{self.number + 1:04d}"

    @property
    def record(self) -> Path:
        """File that lists the patient's items; it is written after everything else."""
        return Path(self.out, "written", f"{self.patient_id}.json")


def write_patient(records: PatientRecords) -> None:
    """Simulate and write a patient's records, then the file with (section, datalist item) pairs.

    Args:
        records: what is to be written; files of an interrupted call are replaced.
    """
    source = [records.seed, 1 + records.group[1], records.number]
    patient = draw_patient(np.random.default_rng(source))
    items: list[tuple[str, dict[str, Any]]] = []
    for number, findings in enumerate(records.findings):
        leads = simulate(patient, findings, records.rate, np.random.default_rng([*source, number]))
        for section, cues in records.cues.items():
            if cues is None:
                wanted, default, says = dict.fromkeys(records.shortcuts, EXTERNAL), EXTERNAL, None
            else:
                says = {name: cues[name][number] for name in records.shortcuts}
                wanted, default = {name: TELLING if said else USUAL for name, said in says.items()}, USUAL
            recording = record(leads, records.rate, wanted, default, [*source, number])
            image = f"{section}/{records.patient_id}_{number + 1}{records.suffix}"
            _write(recording, records, image, default)
            item: dict[str, Any] = {"image": image, "label": findings.labels, "patient_id": records.patient_id}
            item |= {"valid": _intervals(recording), "device": default, "shortcuts": says}
            aligned = None if says is None else all(said == records.told[number] for said in says.values())
            items.append((section, {**item, "bias_aligned": aligned}))
    write_json(records.record, items)


def _write(recording: Recording, records: PatientRecords, image: str, device: str) -> None:
    path = Path(records.out, image)
    if records.suffix == ".dcm":
        write_dicom(path, recording, f"{device} device", records.patient_id, [str(records.seed), image])
    else:
        write_wfdb(path, recording)


def _intervals(recording: Recording) -> list[list[float]]:
    """Where all leads show the heart, [start, end) in seconds."""
    edges = np.flatnonzero(np.diff(recording.valid, prepend=False, append=False)).reshape(-1, 2)
    return [[round(float(edge) / recording.rate, 6) for edge in pair] for pair in edges]
