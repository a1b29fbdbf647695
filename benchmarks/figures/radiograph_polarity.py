# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Draw docs/images/radiograph_polarity.png: one film as two scanners store it, read by MONAI and by RadiographReader.

Run from the root of the repository, with the extra ``dev`` installed (the film is in the package pydicom-data):
``python -m benchmarks.figures.radiograph_polarity``.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pydicom
from matplotlib.axes import Axes
from monai.data import PydicomReader
from pydicom.data import get_testdata_file

from monai_debias.apps.radiography import RadiographReader
from monai_debias.data import FileReadWarning

ROOT = Path(__file__).parents[2]

FILM = get_testdata_file("RG1_UNCR.dcm")
COLOURS = {"MONOCHROME1": "#c2410c", "MONOCHROME2": "#0f766e"}


def other_polarity(path: Path) -> Path:
    """Write the film as a scanner does that stores bone as large values."""
    ds = pydicom.dcmread(FILM)
    white = int(ds.WindowCenter) + int(ds.WindowWidth) // 2
    ds.PixelData = (white - ds.pixel_array).astype(np.uint16).tobytes()
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.WindowCenter = int(ds.WindowCenter) + 1  # a window is not symmetric, PS3.3 C.11.2.1.2.1
    ds.save_as(path)
    return path


def by_monai(path: Path) -> np.ndarray:
    """Read by a reader of MONAI, and scale to [0, 1] as its ScaleIntensityd does."""
    reader = PydicomReader(swap_ij=False)
    values = np.asarray(reader.get_data(reader.read(path))[0], dtype=np.float32).squeeze()
    return (values - values.min()) / (values.max() - values.min())


def by_us(path: Path) -> np.ndarray:
    """Read as this package does."""
    reader = RadiographReader()
    return reader.get_data(reader.read(path))[0]


def draw_film(axis: Axes, film: np.ndarray, title: str) -> None:
    """Draw every fourth row and column."""
    axis.imshow(film[::4, ::4], cmap="gray", vmin=0, vmax=1)
    axis.set_title(title, fontsize=11)
    axis.set_xticks([])
    axis.set_yticks([])


def draw_greys(axis: Axes, films: dict[str, np.ndarray]) -> None:
    """Draw how often each grey occurs; the second line is dashed, so that one below it can be seen."""
    for (name, film), style in zip(films.items(), ("-", "--"), strict=True):
        counts, edges = np.histogram(film, bins=80, range=(0, 1), density=True)
        label = f"{name}, mean {film.mean():.2f}"
        axis.plot(edges[:-1] + 1 / 160, counts, style, color=COLOURS[name], linewidth=2.2, label=label)
    axis.set_xlabel("black  →  white", fontsize=10)
    axis.set_yticks([])
    axis.set_ylim(top=axis.get_ylim()[1] * 1.3)
    axis.legend(frameon=False, fontsize=10, loc="upper left")
    axis.spines[["top", "right", "left"]].set_visible(False)


def main() -> None:
    """Read both files with both readers, and draw what comes out."""
    figure, axes = plt.subplots(2, 3, figsize=(11, 7.2), constrained_layout=True)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", FileReadWarning)  # the film has no spacing
        files = {"MONOCHROME1": Path(FILM), "MONOCHROME2": other_polarity(Path(folder) / "other.dcm")}
        for row, (reader, read) in zip(axes, (("PydicomReader", by_monai), ("RadiographReader", by_us)), strict=True):
            films = {name: read(path) for name, path in files.items()}
            for axis, (name, film) in zip(row, films.items(), strict=False):
                draw_film(axis, film, f"stored as {name}")
            row[0].set_ylabel(reader, fontsize=12)
            draw_greys(row[2], films)
            print(reader, *(f"{name}: mean {film.mean():.3f}" for name, film in films.items()))
    path = ROOT / "docs" / "images" / "radiograph_polarity.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
