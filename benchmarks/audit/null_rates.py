# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How often the tests of the audit accuse a network that has no shortcut, in simulations without images.

python -m benchmarks.audit.null_rates --repetitions 1000

The p-values of what the network reads from attributes and from exchanged parts, where scores of the images of a patient
are alike, attributes go with the class, donors are shared, and there is nothing to find: the shares of p ≤ α should be
α. For comparison, the same with an effect.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import fire
import numpy as np

from benchmarks.csv_file import RESULTS, made_by, write
from monai_debias.audit.association import attribute_columns, strongest_association
from monai_debias.audit.exchange import Exchanged, donor_pairs

Simulation = Callable[[np.random.Generator, float], float]
N_RANDOM = 999


def attribute(patients: int, images: int, classes: int, values: int, of_patient: bool, one_class: bool) -> Simulation:
    """An attribute with some values, of a patient or of an image, that goes with the class."""

    def simulate(rng: np.random.Generator, effect: float) -> float:
        patient = np.repeat(np.arange(patients), images)
        y = np.repeat(rng.integers(0, classes, patients), images)
        y = y if one_class else rng.integers(0, classes, len(patient))
        a = np.where(rng.random(len(y)) < 0.5, y % values, rng.integers(0, values, len(y)))
        a = a[patient * images] if of_patient else a
        scores = np.repeat(rng.normal(size=(patients, classes)) * 1.5, images, 0) + rng.normal(size=(len(y), classes))
        scores[np.arange(len(y)), y] += 2
        scores[np.arange(len(y)), a % classes] += effect
        columns = attribute_columns(a.astype(str), patient)[1]
        found = strongest_association(
            columns, scores, y, patient, n_permutations=N_RANDOM, seed=int(rng.integers(2**32))
        )
        return 1.0 if found is None else found.p

    return simulate


def exchange(patients: int, images: int, classes: int) -> Simulation:
    """Parts that move the scores, but not by their class."""

    def simulate(rng: np.random.Generator, effect: float) -> float:
        patient = np.repeat(np.arange(patients), images)
        y = rng.integers(0, classes, len(patient))
        part = np.repeat(rng.normal(size=(patients, classes)), images, 0) * 1.5 + rng.normal(size=(len(y), classes))
        part[np.arange(len(y)), y] += effect
        pairs = donor_pairs(y, patient, np.arange(len(y)), rng)
        if pairs is None:
            return 1.0
        base = rng.normal(size=patients)[patient[pairs.receiver]] + rng.normal(size=len(pairs.receiver))
        true = y[pairs.receiver]
        own = np.stack([base + part[donor, true] for donor in (pairs.same, pairs.other)], 1)
        return Exchanged(pairs, own, own > 0, own <= 0, patient[pairs.receiver]).p(rng, N_RANDOM)

    return simulate


SIMULATIONS = {
    "attribute of 60 patients, one image each, 2 classes": attribute(60, 1, 2, 2, True, True),
    "attribute of 60 patients, 4 images each of 4 classes": attribute(60, 4, 4, 4, True, False),
    "attribute of 240 images of 60 patients, 4 classes": attribute(60, 4, 4, 4, False, False),
    "attribute of 100 patients, 3 images each of one class": attribute(100, 3, 3, 3, True, True),
    "exchange, 40 patients, one image each, 2 classes": exchange(40, 1, 2),
    "exchange, 60 patients, 4 images each, 4 classes": exchange(60, 4, 4),
    "exchange, 200 patients, one image each, 10 classes": exchange(200, 1, 10),
}


def main(repetitions: int = 1000, effect: float = 1.0, out: str = str(RESULTS / "audit_null_rates.csv")) -> None:
    """Simulate, print and write the shares of p-values of at most 0.05 and 0.01.

    Args:
        repetitions: how many data sets are drawn for each line; the line with an effect takes a tenth.
        effect: by how much the scores follow attribute or part, in standard deviations of their noise.
        out: the CSV.
    """
    rows, origin = [], made_by()
    for k, (name, simulate) in enumerate(SIMULATIONS.items()):
        rng = np.random.default_rng(k)
        null = np.array([simulate(rng, 0.0) for _ in range(repetitions)])
        found = np.array([simulate(rng, effect) for _ in range(max(20, repetitions // 10))])
        row = {"simulation": name, "repetitions": repetitions, "null_0.05": f"{(null <= 0.05).mean():.4f}"}
        row |= {
            "null_0.01": f"{(null <= 0.01).mean():.4f}",
            "effect": effect,
            "found_0.01": f"{(found <= 0.01).mean():.3f}",
        }
        rows.append({**row, **origin})
        print(row, flush=True)
    write(Path(out).resolve(), rows)


if __name__ == "__main__":
    fire.Fire(main)
