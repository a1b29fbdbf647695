# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The echo demo cohort: phantoms of four heart views as real ultrasound DICOM files, with a planted shortcut.

Semi-synthetic: cartoon hearts seen through simulated ultrasound physics, inside the screens of fictitious scanners.
There is no patient data in it, and weights trained on it are not for clinical use. The shortcut is a cue on the screen,
outside the sector, that names a view: in the training set it is the item's own view with probability ``bias``, as when
a clinic's presets and protocols follow the view.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from monai_debias.constraints import BOOL, NONE, PATH, SEED, Integer, Number, SequenceOf
from monai_debias.demo.cues import assign_cues
from monai_debias.demo.echo.anatomy import VIEWS
from monai_debias.demo.echo.dicom import write_echo_dicom
from monai_debias.demo.echo.overlay import draw_screen, overlay_frames
from monai_debias.demo.echo.patients import draw_heart, draw_pose, draw_window
from monai_debias.demo.echo.phantom import render_clip
from monai_debias.demo.echo.scanners import SCANNERS, draw_sector
from monai_debias.demo.echo.sector import ScanConverter
from monai_debias.files import new_folder
from monai_debias.parameters import expects
from monai_debias.processes import in_processes

__all__ = ["SECTIONS", "build_echo_cohort"]

# Section of the datalist -> (group of patients, how the cue relates to the view).
SECTIONS = {
    "training": ("train", "same"),
    "validation": ("val", "same"),
    "test_same": ("test", "same"),
    "test_random": ("test", "random"),
    "test_reversed": ("test", "reversed"),
}
_GROUPS = ("train", "val", "test")
_FRAME_TIME = 100.0  # ms: eight frames are about one beat

_DESCRIPTION = (
    "Semi-synthetic echo demo cohort of monai-debias: parametric phantoms of four views with simulated ultrasound "
    "physics on the screens of fictitious scanners. No patient data; weights trained on it are not for clinical use. "
    "The three test sections show the same patients and the same sector pixels with different cues on the screen. "
    "'overlay' is the view that the cue names, 'bias_aligned' whether it is the item's own, 'sector' the true sector "
    "mask (PNG, 255 inside), meant for evaluation only."
)


class _Patient(NamedTuple):
    """One unit of work: a patient's four clips, once per section that shows the patient."""

    out: str
    seed: int
    group: str
    number: int
    frames: int
    cues: dict[str, tuple[int, ...]]  # section -> cue of each view


@expects(
    out=PATH,
    bias=Number("[0.25, 1]"),
    seed=SEED,
    patients=SequenceOf(Integer("[1, inf)"), length=3),
    frames=Integer("[1, inf)"),
    workers=NONE | Integer("[1, inf)"),
    progress=BOOL,
)
def build_echo_cohort(
    out: str | Path,
    bias: float = 0.95,
    seed: int = 0,
    patients: tuple[int, int, int] = (100, 25, 60),
    frames: int = 8,
    workers: int | None = None,
    progress: bool = True,
) -> Path:
    """Write the echo demo cohort: DICOM files in one folder per section, true sector masks and ``datalist.json``.

    Every patient contributes one clip of each view (PLAX, PSAX, A2C, A4C) from one scanner. Anatomy, acoustic window,
    scanner, sector, depth and settings are drawn independently of the view. Patients of training, validation and test
    differ; the three test sections are the same clips of the same patients and differ only in the cue on the screen.

    ======================  ==========================================================
    section                 the cue names
    ======================  ==========================================================
    training, validation,   the clip's own view with share ``bias``, else another
    test_same
    test_random             any view, whatever the clip shows
    test_reversed           one of the three other views, never its own
    ======================  ==========================================================

    Args:
        out: directory to create; it may exist if it is empty.
        bias: share of items whose cue names their own view, from 0.25 (chance: no shortcut) to 1.
        seed: everything follows from it, whatever the number of workers.
        patients: number of training, validation and test patients.
        frames: frames of a clip, one every 100 ms.
        workers: number of processes; ``None`` = one per available processor.
        progress: whether to print a line after each tenth of the work.

    Returns:
        The directory.

    Raises:
        FileExistsError: when ``out`` exists and is not an empty directory.
        ValueError: when a number is out of its range.

    Example:
        >>> import tempfile
        >>> from monai_debias.demo.echo.cohort import build_echo_cohort
        >>> folder = build_echo_cohort(tempfile.mkdtemp(), patients=(1, 1, 1), frames=1, workers=1, progress=False)
        >>> sorted(entry.name for entry in folder.iterdir())[:3]
        ['datalist.json', 'masks', 'test_random']
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out} exists and is not an empty directory; nothing was written, choose another one.")

    with new_folder(out) as partial:
        for folder in (*SECTIONS, "masks"):
            (partial / folder).mkdir()
        tasks = _plan(str(partial), bias, seed, dict(zip(_GROUPS, patients, strict=True)), frames)
        sections: dict[str, list[dict[str, Any]]] = {section: [] for section in SECTIONS}
        for done, items in enumerate(in_processes(_write_patient, tasks, workers), start=1):
            for section, item in items:
                sections[section].append(item)
            if progress and done * 10 // len(tasks) > (done - 1) * 10 // len(tasks):
                print(f"echo demo cohort: {done} of {len(tasks)} patients", file=sys.stderr, flush=True)
        datalist = {
            "description": _DESCRIPTION,
            "labels": {str(k): view for k, view in enumerate(VIEWS)},
            "bias": bias,
            "seed": seed,
            **sections,
        }
        (partial / "datalist.json").write_text(json.dumps(datalist, indent=1) + "\n", encoding="utf-8")
    return out


def _plan(out: str, bias: float, seed: int, patients: dict[str, int], frames: int) -> list[_Patient]:
    """All patients with the cues of their clips."""
    cues: dict[str, NDArray[np.int64]] = {}
    for k, (section, (group, mode)) in enumerate(SECTIONS.items()):
        labels = np.tile(np.arange(len(VIEWS)), patients[group])
        rng = np.random.default_rng([seed, 0, k])
        cues[section] = assign_cues(labels, len(VIEWS), mode, bias, rng).reshape(-1, len(VIEWS))
    return [
        _Patient(
            out, seed, group, i, frames, {s: tuple(cues[s][i].tolist()) for s in SECTIONS if SECTIONS[s][0] == group}
        )
        for group in _GROUPS
        for i in range(patients[group])
    ]


def _write_patient(task: _Patient) -> list[tuple[str, dict[str, Any]]]:
    """Render and write a patient's four clips in each section; returns (section, datalist item) pairs."""
    rng = np.random.default_rng([task.seed, 1 + _GROUPS.index(task.group), task.number])
    patient_id, out = f"demo-{task.group}-{task.number + 1:04d}", Path(task.out)
    scanner = SCANNERS[rng.integers(len(SCANNERS))]
    sector, heart, window = draw_sector(scanner, rng), draw_heart(rng), draw_window(rng)
    converter = ScanConverter(sector)
    mask = f"masks/{patient_id}.png"
    Image.fromarray(converter.mask * 255).save(out / mask)
    items = []
    for label, view in enumerate(VIEWS):
        pose = draw_pose(rng)
        screen = draw_screen(pose.depth, pose.phase, pose.heart_rate, _FRAME_TIME, rng)
        clip = render_clip(view, heart, window, pose, converter, rng, task.frames, _FRAME_TIME)
        for section, cues in task.cues.items():
            cue = VIEWS[cues[label]]
            image = f"{section}/{patient_id}_{view}.dcm"
            overlay = overlay_frames(scanner, sector, screen, cue, task.frames)
            shown = np.where(converter.mask[..., None], clip[..., None], overlay)
            uid_source = [str(task.seed), section, patient_id, view]
            write_echo_dicom(out / image, shown, scanner, converter, screen, patient_id, uid_source)
            item = {"image": image, "label": label, "patient_id": patient_id, "sector": mask}
            items.append((section, {**item, "overlay": cue, "bias_aligned": cue == view}))
    return items
