# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How good are the lung masks of the package's weights? On films of the demo cohort, and on a real film.

    python -m benchmarks.lung_masks

Writes benchmarks/results/lung_masks.csv. The cohort has another seed and other patients than the training of the
weights, and larger films.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import fire
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.csv_file import RESULTS, made_by, write
from benchmarks.evidence.cohorts import kept_cohort
from benchmarks.real_film import load_real_film, visible_lungs
from benchmarks.tables import markdown
from benchmarks.wrong_masks import dice
from monai_debias.apps.radiography.lung_masks.finder import LungFinder
from monai_debias.data import load_datalist
from monai_debias.data.found_masks.mask_file import read_mask
from monai_debias.demo import build_cxr_cohort

Pair = tuple[torch.Tensor, NDArray[np.bool_]]
CHANGES = {
    "as it is": lambda film: film,
    "inverted": lambda film: 1 - film,
    "darker (gamma 3)": lambda film: film**3,
    "half the size": lambda film: film[:, ::2, ::2],
}


def main(checkpoint: str | None = None, out: str = str(RESULTS)) -> None:
    """Measure, write the CSV and print the table.

    Args:
        checkpoint: other weights than those of the package.
        out: folder of the CSV.
    """
    finder = LungFinder(checkpoint)
    rows = [{**made_by(), "of": name, **measure(finder, pairs)} for name, pairs in sets(finder)]
    write(Path(out) / "lung_masks.csv", rows)
    print(table(rows))


def sets(finder: LungFinder) -> Iterator[tuple[str, Iterable[Pair]]]:
    """The films with their true masks, by name."""
    options: dict[str, Any] = {"bias": 1 / 3, "seed": 1, "patients": (1, 1, 16, 16), "size": 256, "workers": 1}
    folder = kept_cohort("cxr_lung_masks", lambda path: build_cxr_cohort(path, **options))
    for section, what in (("test_random", "two hospitals"), ("test_external", "external hospital and scanner")):
        films = [(Path(item["image"]), Path(item["mask"])) for item in load_datalist(folder, section)]
        for change in ("as it is", "inverted"):
            pairs = [(CHANGES[change](finder.load(film)), read_mask(mask)) for film, mask in films]
            yield f"demo cohort, {what}, {change}", pairs
    for name, change in CHANGES.items():
        film = change(load_real_film())
        yield f"real film, {name}", [(film, visible_lungs(*film.shape[1:]))]


def measure(finder: LungFinder, pairs: Iterable[Pair]) -> dict[str, float]:
    """Dice with the true masks, the share of the true masks that is inside, and the share of usable masks."""
    found = [(finder.find(film), true) for film, true in pairs]
    overlaps = [dice(mask.mask, true) for mask, true in found]
    return {
        "n": len(found),
        "dice": float(np.mean(overlaps)),
        "lowest_dice": min(overlaps),
        "covered": float(np.mean([(mask.mask & true).sum() / true.sum() for mask, true in found])),
        "agreement": float(np.mean([mask.confidence for mask, _ in found])),
        "usable": float(np.mean([mask.usable for mask, _ in found])),
    }


def table(rows: Iterable[dict[str, Any]]) -> str:
    """Markdown, for docs/lung_masks.md."""
    lines = [
        [
            row["of"],
            str(row["n"]),
            *(f"{float(row[column]):.3f}" for column in ("dice", "lowest_dice", "covered", "agreement")),
            f"{float(row['usable']):.0%}",
        ]
        for row in rows
    ]
    return markdown(["films", "n", "Dice", "lowest", "of the true mask inside", "agreement", "usable"], lines)


if __name__ == "__main__":
    fire.Fire(main)
