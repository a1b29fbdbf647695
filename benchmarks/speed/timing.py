# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How the benchmarks take times."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np


def alternate(variants: dict[str, tuple[Callable[[], object], int]], rounds: int) -> dict[str, np.ndarray]:
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
