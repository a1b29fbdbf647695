# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The demo cohort of ECGs: records of virtual patients as WFDB and DICOM files, with devices that give a label away.

Semi-synthetic: the heart is a moving dipole, the devices are those of real cohorts in kind. No record is a patient's,
and weights trained on it are not for clinical use. The shortcut is a habit of the device: in the training set it goes
with one label with probability ``bias``, as when the patients of a coronary unit are recorded by the unit's own device.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from monai_debias.constraints import BOOL, NONE, PATH, SEED, Integer, MappingOf, Number, OneOf, SequenceOf
from monai_debias.data.label_noise import corrupt_labels
from monai_debias.demo.cues import assign_cues
from monai_debias.demo.ecg.devices import HABITS
from monai_debias.demo.ecg.findings import LABELS, draw_findings
from monai_debias.demo.ecg.one_patient import PatientRecords, write_patient
from monai_debias.demo.ecg.wfdb_file import require_wfdb
from monai_debias.demo.patient_by_patient import write_patients
from monai_debias.demo.sections import GROUPS, SECTIONS
from monai_debias.demo.unfinished import unfinished_folder
from monai_debias.files import write_json
from monai_debias.parameters import expects

__all__ = ["build_ecg_cohort"]

_DICOM_EVERY = 5  # each fifth patient's files are DICOM
_LOWEST_RATE_WITH_HUM = 150

_DESCRIPTION = (
    "Semi-synthetic ECGs of monai-debias: a moving dipole as twelve leads see it. Not records of patients; weights "
    "trained on them are not for clinical use. test_same, test_random and test_reversed show the same hearts "
    "recorded by other devices; test_external comes from a third one. 'valid' is where all leads show the heart, "
    "[start, end) in seconds; 'shortcuts' what the device has of that which goes with shortcut_label; 'bias_aligned' "
    "whether all of it agrees with the true label. Where labels of the training section are wrong on purpose, "
    "'clean_label' is the true one."
)


@expects(
    out=PATH,
    bias=Number("[0.5, 1]") | MappingOf(Number("[0.5, 1]")),
    shortcut_label=OneOf(*LABELS),
    label_noise=Number("[0, 1]"),
    noise_mode=OneOf("flip", "swap"),
    seed=SEED,
    patients=SequenceOf(Integer("[1, inf)"), length=4),
    records=Integer("[1, inf)"),
    sampling_rate=Integer("[100, 800]"),
    workers=NONE | Integer("[1, inf)"),
    progress=BOOL,
)
def build_ecg_cohort(
    out: str | Path,
    bias: float | Mapping[str, float] = 0.95,
    shortcut_label: str = "ST depression",
    label_noise: float = 0.0,
    noise_mode: str = "flip",
    seed: int = 0,
    patients: tuple[int, int, int, int] = (1000, 150, 200, 150),
    records: int = 2,
    sampling_rate: int = 500,
    workers: int | None = None,
    progress: bool = True,
) -> Path:
    """Write the demo cohort of ECGs: WFDB and DICOM files of ten seconds and twelve leads, and ``datalist.json``.

    Every record has any of eleven labels, several at once. Records of a patient show the same heart with findings of
    their own, so that nothing about the patient tells a label. Patients of training, validation, test and external test
    differ; the three paired test sections are the same hearts and differ only in the device.

    ======================  ==================================================================================
    section                 a shortcut is in
    ======================  ==================================================================================
    training, validation,   the share ``bias`` of the records with ``shortcut_label`` and the share
    test_same               1 − ``bias`` of the others
    test_random             half of the records, whatever they show
    test_reversed           the records without the label, and no others
    test_external           none of them: one more device, the same for all
    ======================  ==================================================================================

    =====================  ==========================  ==========================  =====================
    shortcut               device of the label         the usual one               the external one
    =====================  ==========================  ==========================  =====================
    ``calibration_pulse``  1 mV for 0.2 s in the       no pulse in it              0.5 mV for 0.1 s
                           0.6 s before the heart
    ``padding``            the last value until the    zeros                       the signal, mirrored
                           record's end
    ``lead_off``           a chest lead at the rail    a chest lead at zero        an open wire's hum
                           for a second or two
    ``mains_hum``          50 Hz, 0.05 mV              none                        60 Hz, 0.02 mV
    ``filter``             40 Hz                       150 Hz                      100 Hz
    ``sampling_rate``      half of ``sampling_rate``   ``sampling_rate``           twice that
    ``gain_step``          20 µV                       2.5 µV                      5 µV
    =====================  ==========================  ==========================  =====================

    The first three lie where no heart is seen, and ``valid`` leaves them out; the others are in the signal itself. A
    call that was interrupted is continued by the same call.

    Args:
        out: directory to create; it may exist if it is empty.
        bias: strength of the shortcut, from 0.5 (chance: none) to 1; one number for ``calibration_pulse``, or a number
            for each of several shortcuts, which then are independent of each other. On the command line:
            ``--bias "{padding: 0.9, mains_hum: 0.8}"``.
        shortcut_label: the label that the shortcuts go with.
        label_noise: rate of wrong labels in the training section, see :func:`~monai_debias.data.corrupt_labels`; all
            other sections have the true ones.
        noise_mode: ``"flip"`` or ``"swap"``, as there.
        seed: everything follows from it, whatever the number of workers.
        patients: number of training, validation, test and external patients.
        records: of each patient.
        sampling_rate: samples a second, an even number.
        workers: number of processes; ``None`` = one per available processor.
        progress: whether to show a progress bar (with tqdm).

    Returns:
        The directory.

    Raises:
        FileExistsError: when ``out`` exists and is not an empty directory, when another process is writing it, or when
            it was begun with other settings.
        OptionalImportError: when the package wfdb is not installed.
        ValueError: when a number is out of its range, a shortcut is unknown, or ``sampling_rate`` cannot hold the mains
            hum.

    Example:
        >>> import tempfile
        >>> small = {"patients": (1, 1, 1, 1), "sampling_rate": 100, "workers": 1, "progress": False}
        >>> folder = build_ecg_cohort(tempfile.mkdtemp(), **small)
        >>> sorted(entry.name for entry in (folder / "training").iterdir())
        ['demo-train-0001_1.dcm', 'demo-train-0001_2.dcm']
    """
    strengths = dict(bias) if isinstance(bias, Mapping) else {"calibration_pulse": bias}
    _check(strengths, sampling_rate)
    require_wfdb()  # before anything is written
    groups = dict(zip(GROUPS, patients, strict=True))
    settings = {"bias": strengths, "shortcut_label": shortcut_label, "label_noise": label_noise}
    settings |= {"noise_mode": noise_mode, "seed": seed, "patients": list(patients), "records": records}
    settings |= {"sampling_rate": sampling_rate}
    with unfinished_folder(out, settings) as partial:
        for folder in (*SECTIONS, "written"):
            (partial / folder).mkdir(exist_ok=True)
        plan = [
            patient
            for group in GROUPS
            for patient in _plan(
                str(partial), group, groups[group], strengths, shortcut_label, seed, records, sampling_rate
            )
        ]
        sections = write_patients(plan, write_patient, SECTIONS, workers, progress, "ECGs")
        _write_datalist(partial, sections, settings)
        shutil.rmtree(partial / "written")
    return Path(out)


def _check(strengths: Mapping[str, float], rate: int) -> None:
    unknown = sorted(strengths.keys() - HABITS.keys())
    if unknown or not strengths:
        raise ValueError(f"bias names {unknown or 'no shortcut'}, expected one or more of {', '.join(HABITS)}.")
    if rate % 2:
        raise ValueError(f"sampling_rate is {rate}, expected an even number.")
    if "mains_hum" in strengths and rate < _LOWEST_RATE_WITH_HUM:
        raise ValueError(
            f"sampling_rate is {rate}, which cannot hold a mains hum of 50 and 60 Hz; expected"
            f" {_LOWEST_RATE_WITH_HUM} or more."
        )


def _plan(
    out: str, group: str, patients: int, strengths: Mapping[str, float], label: str, seed: int, records: int, rate: int
) -> list[PatientRecords]:
    """What is to be written of each patient of a group."""
    k = GROUPS.index(group)
    rng = np.random.default_rng([seed, 0, k])
    findings = [tuple(draw_findings(rng) for _ in range(records)) for _ in range(patients)]
    told = np.array([[one.labels[LABELS.index(label)] for one in own] for own in findings])
    cues: dict[str, dict[str, np.ndarray] | None] = {}
    for n, (section, (shown, mode)) in enumerate(SECTIONS.items()):
        if shown == group:
            cues[section] = None if mode is None else _cues(told, mode, strengths, [seed, 0, len(GROUPS) + n])
    return [
        PatientRecords(
            out=out,
            seed=seed,
            rate=rate,
            suffix=".hea" if number % _DICOM_EVERY else ".dcm",
            group=(group, k),
            number=number,
            findings=findings[number],
            told=tuple(told[number].astype(bool).tolist()),
            cues={
                section: None if rows is None else {name: tuple(row[number].tolist()) for name, row in rows.items()}
                for section, rows in cues.items()
            },
            shortcuts=tuple(strengths),
        )
        for number in range(patients)
    ]


def _cues(told: np.ndarray, mode: str, strengths: Mapping[str, float], source: list[int]) -> dict[str, np.ndarray]:
    """For each shortcut, of each patient and record whether it is there, boolean (patients, records)."""
    return {
        name: assign_cues(told.ravel(), 2, mode, strength, np.random.default_rng([*source, list(HABITS).index(name)]))
        .reshape(told.shape)
        .astype(bool)
        for name, strength in strengths.items()
    }


def _write_datalist(folder: Path, sections: dict[str, list[dict[str, Any]]], settings: Mapping[str, Any]) -> None:
    """Write the items of all sections; the labels of the training are corrupted if that was asked for."""
    if settings["label_noise"]:
        training, rate, mode = sections["training"], settings["label_noise"], settings["noise_mode"]
        sections["training"] = corrupt_labels(training, rate, mode, len(LABELS), settings["seed"])
    labels = {str(k): name for k, name in enumerate(LABELS)}
    facts = {key: value for key, value in settings.items() if key not in ("patients", "records")}
    write_json(folder / "datalist.json", {"description": _DESCRIPTION, "labels": labels, **facts, **sections})
