# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The command ``python -m benchmarks.evidence``: it runs what is missing, and makes the page from all lines.

It is not in ``__main__.py``, since the processes that train could not import it from there.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch

from benchmarks.csv_file import RESULTS, commit, read
from benchmarks.evidence.processes import record
from benchmarks.evidence.report import report
from benchmarks.evidence.testbed import Row, testbed_of
from benchmarks.evidence.testbeds import TESTBEDS
from benchmarks.methods import named


def main(
    testbed: str,
    methods: str | tuple[str, ...] | None = None,
    seeds: int = 5,
    strengths: float | tuple[float, ...] | None = None,
    out: str = str(RESULTS),
    workers: int = 2,
    quick: bool = False,
    again: bool = False,
) -> None:
    """Run what is missing, and render the table and the figure of the testbed.

    Args:
        testbed: biased_mnist, colored_mnist, corrupted_labels, echo_demo, chest_xray, chest_xray_densenet121,
            ecg_noise, ecg_swapped, ecg_flow_mixup, ecg_device, or colour_corner_ with resnet, densenet, efficientnet
            or vit.
        methods: names of the testbed's methods, separated by commas; None for the main ones.
        seeds: how many; 0 is the first.
        strengths: of the bias or noise, one or several separated by commas; None for the testbed's own. biased_mnist:
            the share of the training images whose mark is that of their class; echo_demo: of the training clips whose
            overlay names their view; chest_xray: of the training films with the markers of the hospital of their
            class; ecg_device: of the training records whose device agrees with the label; corrupted_labels, ecg_noise,
            ecg_swapped and ecg_flow_mixup: the rate of the noise.
        out: folder of the CSV, the table and the figure.
        workers: how many runs at a time.
        quick: a smoke test on a few images, whose numbers mean nothing.
        again: whether to repeat runs of other commits, too; each new line replaces an old one.
    """
    chosen = testbed_of(testbed, TESTBEDS)
    names = named(methods or chosen.main, chosen.methods)
    folder = Path(out).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{testbed}{'_quick' if quick else ''}.csv"
    lines = [row for row in read(file) if not again or row["commit"] == commit()]
    done = {(row["method"], int(row["seed"]), float(row["strength"])) for row in lines}
    asked = chosen.strengths if strengths is None else strengths
    asked = [float(strength) for strength in (asked if isinstance(asked, tuple | list) else [asked])]
    jobs = [(name, seed, strength) for seed in range(seeds) for strength in asked for name in names]
    record(one_run, [(testbed, *job, quick) for job in jobs if job not in done], file, workers)
    print(report(chosen, read(file), file.with_suffix("")))


def one_run(testbed: str, method: str, seed: int, strength: float, quick: bool) -> Row:
    """In a process of its own: a line of the results."""
    torch.set_num_threads(1)
    chosen = TESTBEDS[testbed]
    print(f"{method}, seed {seed}, strength {strength}", flush=True)
    budget, start = chosen.quick if quick else chosen.budget, time.process_time()
    row = {"method": method, "seed": seed, "strength": strength, **chosen.run(method, seed, strength, budget)}
    return {**row, "run_seconds": time.process_time() - start}
