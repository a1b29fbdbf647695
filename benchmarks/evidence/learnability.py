# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Can the findings of the demo radiographs be learned where no marker tells the class?

    python -m benchmarks.evidence.learnability

Trains the plain network of the testbed chest_xray, with its budget, on films whose markers are those of random
hospitals: of both tasks, with three seeds. A demo cohort is of use where that gives neither chance nor 100 %. The
network is that of the last epoch, so that nothing is chosen.
"""

from __future__ import annotations

from pathlib import Path

import fire
import torch

from benchmarks.csv_file import RESULTS, read
from benchmarks.evidence.processes import record
from benchmarks.evidence.testbed import Row
from benchmarks.evidence.testbeds.chest_xray import QUICK, Budget, cohort, load, train
from benchmarks.tables import markdown, spread
from monai_debias.demo.cxr.findings import TASKS

SECTIONS = {"test_random": "test", "test_external": "external"}
KEY = ("task", "seed")  # columns that tell a run


def one_run(task: str, seed: int, quick: bool) -> Row:
    """In a process of its own: a line of the results."""
    torch.set_num_threads(1)
    budget, chance = QUICK if quick else Budget(), 1 / len(TASKS[task])
    trained, folder = train((), seed, chance, chance, budget, task=task), cohort(chance, budget, task)
    found = {column: trained.judge.accuracy(load(folder, section)) for section, column in SECTIONS.items()}
    row = {"method": "plain", "task": task, "seed": seed}
    return {**row, "validation": trained.validation.history[-1]["accuracy"], **found, "seconds": trained.seconds}


def main(seeds: int = 3, out: str = str(RESULTS), workers: int = 2, quick: bool = False) -> None:
    """Train what is missing, keep a line for each, and print a table.

    Args:
        seeds: how many; 0 is the first.
        out: folder of the CSV.
        workers: how many runs at a time.
        quick: a smoke test on a few images, whose numbers mean nothing.
    """
    file = Path(out).resolve() / f"learnability{'_quick' * quick}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    done = {(row["task"], int(row["seed"])) for row in read(file)}
    jobs = [(task, seed) for task in TASKS for seed in range(seeds)]
    record(one_run, [(*job, quick) for job in jobs if job not in done], file, workers, KEY)
    columns = ("validation", *SECTIONS.values())
    lines = [
        [task, *(spread([float(row[column]) for row in read(file) if row["task"] == task], min) for column in columns)]
        for task in TASKS
    ]
    print(markdown(["task", *columns], lines))


if __name__ == "__main__":
    fire.Fire(main)
