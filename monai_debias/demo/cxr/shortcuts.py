# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What of a film may go with its class, and how strongly: markers outside the lungs, and how the film was taken.

A cue is the class that something on a film names. Markers name any class, since each class has a hospital. Scanner,
exposure and polarity name one of two: 0, the first class, or 1, any of the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from monai_debias.demo.cues import assign_cues
from monai_debias.demo.cxr.hospitals import EXTERNAL_HOSPITAL, HOSPITALS, Hospital
from monai_debias.demo.cxr.scanners import EXTERNAL_SCANNER, SCANNERS, Exposure, Scanner, draw_exposure

__all__ = [
    "MARKERS",
    "SHORTCUTS",
    "Cues",
    "Technique",
    "check_strengths",
    "draw_cues",
    "draw_technique",
    "names_class",
    "with_markers",
]

Cues = dict[str, int]

MARKERS = {
    "lettering": ("font", "side", "side_place"),
    "caption": ("captions", "caption_place"),
    "borders": ("shutters",),
    "electrodes": ("electrodes",),
}
"""Kinds of markers, and the attributes of a hospital that are of this kind."""

SHORTCUTS = ("hospital", *MARKERS, "scanner", "exposure", "polarity")
"""All that may go with the class; ``"hospital"`` is all kinds of markers together."""


class Technique(NamedTuple):
    """How a film was taken.

    Attributes:
        scanner: its detector and processing.
        exposure: dose, grey scale, and the patient's thickness.
        inverted: whether the file of a MONOCHROME1 scanner says MONOCHROME2, so that readers show air white.
    """

    scanner: Scanner
    exposure: Exposure
    inverted: bool


def names_class(shortcut: str, label: int) -> int:
    """The cue that names a class."""
    return label if shortcut == "hospital" or shortcut in MARKERS else min(label, 1)


def check_strengths(strengths: Mapping[str, float], classes: int) -> None:
    """Refuse names of no shortcut, and strengths below chance.

    Raises:
        ValueError: when there is such a one, or none at all.
    """
    unknown = [name for name in strengths if name not in SHORTCUTS]
    if unknown or not strengths:
        raise ValueError(f"bias names {unknown or 'no shortcut'}, expected one or more of {', '.join(SHORTCUTS)}.")
    for shortcut, strength in strengths.items():
        values = 1 + names_class(shortcut, classes - 1)
        if strength < 1 / values:
            raise ValueError(
                f"bias of {shortcut} is {strength}, expected at least 1 / {values}: it names one of {values}, and that "
                "is chance."
            )


def draw_cues(
    strengths: Mapping[str, float], classes: int, patients: int, mode: str, source: Sequence[int], group: int
) -> list[tuple[Cues, ...]]:
    """Draw what everything on the films of a section names.

    Args:
        strengths: share of films whose cue names their class, for each shortcut; each is independent of the others.
            Without one for the hospital it is drawn at random, the same in all sections of the patients.
        classes: number of classes.
        patients: number of patients, each with a film of each class.
        mode: ``"same"``, ``"random"`` or ``"reversed"``, see :func:`~monai_debias.demo.cues.assign_cues`.
        source: three integers that are the section's own, the cohort's seed first.
        group: number of the patients' group.

    Returns:
        The cues of each patient's films, in the order of the classes.
    """

    def drawn(shortcut: str, mode: str, strength: float, source: Sequence[int]) -> list[int]:
        labels = [names_class(shortcut, label) for _ in range(patients) for label in range(classes)]
        return assign_cues(labels, max(labels) + 1, mode, strength, np.random.default_rng(source)).tolist()

    found = {}
    if "hospital" not in strengths:
        found["hospital"] = drawn("hospital", "random", 1.0, [source[0], 0, 0, 0, 1 + group])
    for shortcut, strength in strengths.items():
        found[shortcut] = drawn(shortcut, mode, strength, [*source, SHORTCUTS.index(shortcut)])
    films = [dict(zip(found, cues, strict=True)) for cues in zip(*found.values(), strict=True)]
    return [tuple(films[n : n + classes]) for n in range(0, len(films), classes)]


def with_markers(cues: Cues | None) -> tuple[Hospital, dict[str, str]]:
    """The hospital of a film, with markers of others where their cues differ, and whose each kind of marker is.

    Args:
        cues: of the film; None for the external hospital.
    """
    if cues is None:
        return EXTERNAL_HOSPITAL, dict.fromkeys(MARKERS, EXTERNAL_HOSPITAL.name)
    whose = {kind: HOSPITALS[cues.get(kind, cues["hospital"])] for kind in MARKERS}
    mixed = {field: getattr(whose[kind], field) for kind, fields in MARKERS.items() for field in fields}
    return HOSPITALS[cues["hospital"]]._replace(**mixed), {kind: hospital.name for kind, hospital in whose.items()}


def draw_technique(cues: Cues | None, rng: np.random.Generator) -> Technique:
    """Draw how a film was taken. What has no cue is independent of the class; whatever the cues, ``rng`` goes as far.

    Args:
        cues: of the film; None for the external scanner.
        rng: source of what is drawn.
    """
    if cues is None:
        return Technique(EXTERNAL_SCANNER, draw_exposure(EXTERNAL_SCANNER, rng), inverted=False)
    drawn = int(rng.integers(len(SCANNERS)))
    scanner = SCANNERS[cues.get("scanner", drawn)]
    exposure = draw_exposure(scanner, rng)
    if "exposure" in cues:
        least, greatest = scanner.gamma
        dark = cues["exposure"] == 0  # the greater half, and the other classes have the bright one
        exposure = exposure._replace(gamma=(exposure.gamma + (greatest if dark else least)) / 2)
    return Technique(scanner, exposure, inverted=cues.get("polarity", 0) == 1)
