# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How often ``monai-debias check`` calls chance a confounder, and how often its intervals hold the true value.

Labels, attributes and properties are simulated, with patients whose images are more alike than others'. Where nothing
goes with the label, 5 % of the p-values should be at most 0.05; of several at once, the corrected ones in 5 % of the
data sets. ``python -m benchmarks.confounding_null`` writes ``results/confounding_null.csv``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fire
import numpy as np
from numpy.typing import NDArray

from benchmarks.csv_file import made_by
from monai_debias.audit.confounding.columns import Column
from monai_debias.audit.confounding.predictability import predictabilities
from monai_debias.audit.confounding.utility import mutual_information, utilities
from monai_debias.files import write_csv

RESULTS = Path(__file__).parent / "results" / "confounding_null.csv"
PATIENTS = 80
ATTRIBUTES = 4
# images of a patient; how alike labels and attributes of a patient are, from 0 to 1; does the number go with the label?
DESIGNS = {
    "one image": (1, 0.0, 0.0),
    "several images, alike": (6, 1.0, 1.0),
    "several images, labels alike": (6, 1.0, 0.3),
    "several images, half alike": (6, 0.5, 0.5),
    "several images, not alike": (6, 0.0, 0.0),
}
Ints = NDArray[np.int64]


def simulated(design: str, seed: int, bound: float = 0.0) -> tuple[Ints, Ints, list[Ints]]:
    """Patients, labels and attributes with four values; the first is the label for a share ``bound`` of patients."""
    most, label_alike, attribute_alike = DESIGNS[design]
    rng = np.random.default_rng(seed)
    sizes = np.minimum(rng.geometric(0.4, PATIENTS), most)
    patients = np.repeat(np.arange(PATIENTS), sizes)
    labels = _clustered(patients, 2, label_alike, rng)
    attributes = [_clustered(patients, 4, attribute_alike, rng) for _ in range(ATTRIBUTES)]
    attributes[0] = np.where(rng.random(PATIENTS)[patients] < bound, labels, attributes[0])
    return patients, labels, attributes


def _clustered(patients: Ints, values: int, alike: float, rng: np.random.Generator) -> Ints:
    """Values of images that are those of the patient with a probability, and else any."""
    of_patient = rng.integers(0, values, PATIENTS)[patients]
    return np.where(rng.random(len(patients)) < alike, of_patient, rng.integers(0, values, len(patients)))


def rows(n: int) -> Iterator[tuple[str, str, str, int, float, float]]:
    """For each design and measure the share of data sets, with its standard error."""
    for design in DESIGNS:
        p: dict[str, list[float]] = {"information": [], "AUC": []}
        corrected: dict[str, list[float]] = {"information": [], "AUC": []}
        for seed in range(n):
            patients, labels, attributes = simulated(design, seed)
            columns = [Column(str(k), codes, ("a", "b", "c", "d")) for k, codes in enumerate(attributes)]
            found = {
                "information": utilities(columns, {"": labels}, patients, 199, seed),
                "AUC": predictabilities(columns, {"": labels}, patients, 99, seed),
            }
            for measure, lines in found.items():
                p[measure] += [line.p for line in lines]
                corrected[measure].append(min(line.adjusted_p for line in lines))
        for measure in p:
            yield design, measure, "p <= 0.05", n, *_share(np.array(p[measure]) <= 0.05)
            yield design, measure, "any corrected p <= 0.05", n, *_share(np.array(corrected[measure]) <= 0.05)
        for bound in (0.3, 0.7):
            covered = [_covered(design, seed, bound) for seed in range(n)]
            yield design, "information", f"interval holds the truth, bound {bound}", n, *_share(np.array(covered))


def _covered(design: str, seed: int, bound: float) -> bool:
    patients, labels, attributes = simulated(design, seed, bound)
    (line,) = utilities([Column("0", attributes[0], ("a", "b", "c", "d"))], {"": labels}, patients, 199, seed)
    a = np.full(4, (1 - bound) / 4)
    joint = np.stack([a, a], axis=1) / 2
    joint[0, 0] += bound / 2
    joint[1, 1] += bound / 2
    return line.low <= float(mutual_information(joint)) <= line.high


def _share(events: NDArray[np.bool_]) -> tuple[float, float]:
    share = float(events.mean())
    return round(share, 4), round(float(np.sqrt(share * (1 - share) / len(events))), 4)


def main(data_sets: int = 400) -> None:
    """Write the CSV file."""
    origin = made_by()
    names = ("design", "measure", "event", "data_sets", "share", "standard_error", *origin)
    write_csv(RESULTS, names, ((*row, *origin.values()) for row in rows(data_sets)))


if __name__ == "__main__":
    fire.Fire(main)
