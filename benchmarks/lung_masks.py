# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How good are the lung masks of the package's weights? On films of the demo cohort, and on a real film.

    python -m benchmarks.lung_masks

Writes benchmarks/results/lung_masks.csv. The cohort has another seed and other patients than the training of the
weights, and larger films.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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
Change = Callable[[torch.Tensor], torch.Tensor]
# of the grey scale or the size, in which the true mask stays
HARMLESS: dict[str, Change] = {
    "as it is": lambda film: film,
    "inverted": lambda film: 1 - film,
    "darker (gamma 3)": lambda film: film**3,
    "half the size": lambda film: film[..., ::2, ::2],
}
# what moves film and mask, both (…, rows, columns)
MOVES: dict[str, Change] = {
    "turned by 90 degrees": lambda both: both.rot90(1, (-2, -1)),
    "turned by 180 degrees": lambda both: both.rot90(2, (-2, -1)),
    "the upper half": lambda both: both[..., : both.shape[-2] // 2, :],
    "the left half": lambda both: both[..., : both.shape[-1] // 2],
    "small in a black frame": lambda both: torch.nn.functional.pad(both, (200, 200, 200, 200)),
}


def main(checkpoint: str | None = None, out: str = str(RESULTS)) -> None:
    """Measure, write the CSV and print the table.

    Args:
        checkpoint: other weights than those of the package.
        out: folder of the CSV.
    """
    finder = LungFinder(checkpoint)
    rows = [{**made_by(), "of": name, **measure(finder, pairs)} for name, pairs in sets(finder)]
    Path(out).mkdir(parents=True, exist_ok=True)
    write(Path(out) / "lung_masks.csv", rows)
    print(table(rows))


def sets(finder: LungFinder) -> Iterator[tuple[str, list[Pair]]]:
    """The films with their true masks, by name."""
    options: dict[str, Any] = {"bias": 1 / 3, "seed": 1, "patients": (1, 1, 16, 16), "size": 256, "workers": 1}
    folder = kept_cohort("cxr_lung_masks", lambda path: build_cxr_cohort(path, **options))
    known, external = (
        [(finder.load(Path(item["image"])), read_mask(Path(item["mask"]))) for item in load_datalist(folder, section)]
        for section in ("test_random", "test_external")
    )
    for name, pairs in (("demo cohort", known), ("demo cohort, external hospital and scanner", external)):
        for change in ("as it is", "inverted"):
            yield f"{name}, {change}", [(HARMLESS[change](film), mask) for film, mask in pairs]
    yield "demo cohort, a white lung", [(with_white_lung(film, mask), mask) for film, mask in known]
    for change, move in MOVES.items():
        moved = [(move(film), move(torch.from_numpy(mask)).numpy()) for film, mask in known]
        yield f"demo cohort, {change}", moved
    real = load_real_film()
    for name, harmless in HARMLESS.items():
        film = harmless(real)
        yield f"real film, {name}", [(film, visible_lungs(*film.shape[1:]))]


def with_white_lung(film: torch.Tensor, mask: NDArray[np.bool_]) -> torch.Tensor:
    """The film, in which the lung in the left half is white."""
    left = torch.from_numpy(mask)[None].clone()
    left[..., film.shape[2] // 2 :] = False
    return torch.where(left, 0.95, film)


def measure(finder: LungFinder, pairs: Iterable[Pair]) -> dict[str, float | None]:
    """Dice with the true masks, share of these that is inside, and the share of usable masks and their lowest Dice."""
    found = [(finder.find(film), true) for film, true in pairs]
    overlaps = [dice(mask.mask, true) for mask, true in found]
    usable = [overlap for overlap, (mask, _) in zip(overlaps, found, strict=True) if mask.usable]
    return {
        "n": len(found),
        "dice": float(np.mean(overlaps)),
        "lowest_dice": min(overlaps),
        "covered": float(np.mean([(mask.mask & true).sum() / true.sum() for mask, true in found])),
        "agreement": float(np.mean([mask.confidence for mask, _ in found])),
        "usable": len(usable) / len(found),
        "lowest_usable_dice": min(usable, default=None),
    }


def table(rows: Iterable[dict[str, Any]]) -> str:
    """Markdown, for docs/lung_masks.md."""
    columns = ("dice", "lowest_dice", "covered", "agreement")
    lines = [
        [
            row["of"],
            str(row["n"]),
            *(f"{float(row[column]):.3f}" for column in columns),
            f"{float(row['usable']):.0%}",
            f"{float(row['lowest_usable_dice']):.3f}" if row["lowest_usable_dice"] else "",
        ]
        for row in rows
    ]
    head = ["films", "n", "Dice", "lowest", "of the true mask inside", "agreement", "usable", "lowest of these"]
    return markdown(head, lines)


if __name__ == "__main__":
    fire.Fire(main)
