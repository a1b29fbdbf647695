# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What fictitious hospitals leave at the borders of a film: letters in their own type, shutters, electrodes."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["EXTERNAL_HOSPITAL", "HOSPITALS", "Hospital"]

Place = tuple[float, float]


class Hospital(NamedTuple):
    """Where a film was taken.

    Attributes:
        name: of the hospital and the room.
        view: View Position in the DICOM header.
        font: a font that matplotlib brings.
        side: ``"R"`` on the patient's right or ``"L"`` on the left.
        side_place: column and row of its middle, as shares of the film.
        captions: words of which one is on the film; ``""`` is none.
        caption_place: the same for the caption, which is written upwards.
        shutters: least and largest width of the black borders, as shares of the film.
        electrodes: least and largest number of electrodes with lines over the shoulders.
    """

    name: str
    view: str
    font: str
    side: str
    side_place: Place
    captions: tuple[str, ...]
    caption_place: Place
    shutters: tuple[float, float]
    electrodes: tuple[int, int]


HOSPITALS = (
    Hospital("Alder clinic", "PA", "DejaVuSans-Bold.ttf", "R", (0.07, 0.09), ("",), (0, 0), (0, 0.015), (0, 0)),
    Hospital("Birch", "AP", "DejaVuSerif.ttf", "R", (0.06, 0.09), ("AP SUPINE",), (0.95, 0.2), (0.02, 0.05), (1, 3)),
    Hospital(
        "Alder ward", "AP", "DejaVuSans-Bold.ttf", "R", (0.07, 0.09), ("PORTABLE",), (0.95, 0.2), (0, 0.03), (0, 2)
    ),
)
"""The k-th one goes with the k-th class of a task when the shortcut holds."""

EXTERNAL_HOSPITAL = Hospital(
    "Cedar", "PA", "DejaVuSansMono-Bold.ttf", "L", (0.93, 0.1), ("", "ERECT", "MOBILE"), (0.05, 0.18), (0, 0.06), (0, 2)
)
"""That of the external test; its captions and electrodes say nothing about the class."""
