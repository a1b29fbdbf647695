# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Timing of the benchmarks, and tables of the times."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.csv_file import made_by, write
from benchmarks.tables import markdown

Variants = dict[str, tuple[Callable[[], object], int]]
Row = Mapping[str, Any]


def alternate(variants: Variants, rounds: int) -> dict[str, np.ndarray]:
    """Run all variants in turn, many times.

    Args:
        variants: by name, what to run and how many samples it handles at once.
        rounds: how often; one more round warms up and is not counted.

    Returns:
        Seconds per sample by name, shape (rounds,).
    """
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds + 1):
        for name, (run, n_samples) in variants.items():
            start = time.perf_counter()
            run()
            seconds[name].append((time.perf_counter() - start) / n_samples)
    return {name: np.array(values[1:]) for name, values in seconds.items()}


def compared(
    what: str, of: str, seconds: Mapping[str, np.ndarray], other: str, **more: Mapping[str, float]
) -> list[dict[str, Any]]:
    """A line for each variant: its median time, and the quartiles of its relation to another in the same round.

    Args:
        what: what is timed.
        of: the network or the size.
        seconds: by variant, shape (rounds,).
        other: the variant that the others are related to.
        more: further columns, by variant.
    """
    rows = []
    for name, values in seconds.items():
        low, middle, high = np.quantile(values / seconds[other], [0.25, 0.5, 0.75])
        row = {"table": what, "of": of, "variant": name, "seconds": np.median(values), "times": middle}
        rows.append({**row, "low": low, "high": high, **{key: values[name] for key, values in more.items()}})
    return rows


def shown(rows: Sequence[Row], digits: int = 2) -> str:
    """Markdown: the lines of one table and network, with all their columns."""
    first = rows[0]
    more = [key for key in first if key not in ("table", "of", "variant", "seconds", "times", "low", "high")]
    lines = [
        [
            row["variant"],
            f"{1e3 * row['seconds']:.3g}",
            f"{row['times']:.{digits}f}",
            f"{row['low']:.{digits}f} … {row['high']:.{digits}f}",
            *("" if np.isnan(row[key]) else f"{row[key]:.{digits}f}" for key in more),
        ]
        for row in rows
    ]
    return markdown(
        [f"{first['table']}, {first['of']}", "ms", f"times {rows[0]['variant']}", "quartiles", *more], lines
    )


def side_by_side(rows: Sequence[Row], what: str, columns: Sequence[str] = ("times",), once: Sequence[str] = ()) -> str:
    """Markdown for a guide: the variants of a table but the first, with columns of each network side by side.

    Args:
        rows: of a CSV, or as they were measured.
        what: the table.
        columns: of each network, "times" under its name.
        once: columns that all networks share.
    """
    own = [row for row in rows if row["table"] == what]
    networks = list(dict.fromkeys(row["of"] for row in own))
    found = {(row["of"], row["variant"]): row for row in own}
    variants = list(dict.fromkeys(row["variant"] for row in own))[1:]
    head = ["variant", *once, *(of if key == "times" else key for of in networks for key in columns)]
    lines = [
        [
            variant,
            *(f"{float(found[networks[0], variant][key]):.2f}" for key in once),
            *(
                f"{float(found[of, variant][key]):.2f}" if (of, variant) in found else ""
                for of in networks
                for key in columns
            ),
        ]
        for variant in variants
    ]
    return markdown(head, lines)


def record(rows: Sequence[Row], file: str, threads: int | None = None, device: str = "cpu") -> None:
    """Write the lines with what made them; no file, if its name is empty."""
    if file:
        origin = {**made_by(device), "threads": threads or torch.get_num_threads()}
        write(Path(file), [{**origin, **row} for row in rows])
