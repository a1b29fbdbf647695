# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Does each method do what its paper says? Trains, evaluates, and keeps one line for each run.

    python benchmarks/evidence.py biased_mnist --seeds 5
    python benchmarks/evidence.py biased_mnist --methods plain,isnet --seeds 3 --strengths 0.9,0.98
    python benchmarks/evidence.py colored_mnist --seeds 5
    python benchmarks/evidence.py corrupted_labels --seeds 5
    python benchmarks/evidence.py echo_demo --seeds 3
    python benchmarks/evidence.py biased_mnist --quick

A run whose line is in the CSV already is not run again: an interrupted command goes on where it was. Two runs at a
time share the cores, one thread each; seconds are processor time, of the training and of the whole run. The Markdown
page and the figures are made from the CSV.
"""

from __future__ import annotations

import csv
import os
import subprocess
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import fire
import torch
from testbeds import TESTBEDS
from testbeds.report import report

ROOT = Path(__file__).resolve().parent


def commit() -> str:
    """The commit that is checked out, with a mark where files of the package or the benchmarks differ from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    changed = git("status", "--porcelain", "--", ".", "../monai_debias", ":!results")
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def one_run(testbed: str, method: str, seed: int, strength: float, quick: bool) -> dict[str, Any]:
    """In a process of its own: a line of the results."""
    torch.set_num_threads(1)
    module = TESTBEDS[testbed]
    print(f"{method}, seed {seed}, strength {strength}", flush=True)
    budget, start = module.QUICK if quick else module.Budget(), time.process_time()
    row = {"method": method, "seed": seed, "strength": strength, **module.run(method, seed, strength, budget)}
    return {**row, "run_seconds": time.process_time() - start}


def processes(workers: int) -> ProcessPoolExecutor:
    """That train, and that end with the command, also if it is killed."""
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_end_with_the_command)


def _end_with_the_command() -> None:
    command = parent_process()
    assert command is not None  # a worker has one

    def wait() -> None:
        command.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def method_names(module: Any, methods: str | Sequence[str]) -> list[str]:
    """Names from the command line, of which a testbed has all."""
    chosen = methods.split(",") if isinstance(methods, str) else list(methods)
    unknown = [name for name in chosen if name not in module.METHODS]
    if unknown:
        testbed = module.__name__.rpartition(".")[2]
        raise ValueError(f"unknown methods {unknown}; {testbed} has {', '.join(module.METHODS)}.")
    return chosen


def read(file: Path) -> list[dict[str, str]]:
    """The lines of the results so far."""
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def append(file: Path, row: dict[str, Any]) -> None:
    """One more line, and the head in front of the first; a file with other columns stays as it is."""
    there = read(file)
    if there and there[0].keys() != row.keys():
        different = sorted(there[0].keys() ^ row.keys())
        raise ValueError(f"{file} is of another version: columns {different} differ. Move it away to start anew.")
    with file.open("a", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, list(there[0] if there else row))
        if not there:
            writer.writeheader()
        writer.writerow(row)


def main(
    testbed: str,
    methods: str | tuple[str, ...] | None = None,
    seeds: int = 5,
    strengths: float | tuple[float, ...] | None = None,
    out: str = str(ROOT / "results"),
    workers: int = 2,
    quick: bool = False,
) -> None:
    """Run what is missing, and render the table and the figure of the testbed.

    Args:
        testbed: biased_mnist, colored_mnist, corrupted_labels or echo_demo.
        methods: names of the testbed's table METHODS, separated by commas; None for the main ones.
        seeds: how many; 0 is the first.
        strengths: of the bias or noise, one or several separated by commas; None for the testbed's own. biased_mnist:
            the share of the training images whose mark is that of their class; echo_demo: of the training clips whose
            overlay names their view; corrupted_labels: the rate of the noise.
        out: folder of the CSV, the table and the figure.
        workers: how many runs at a time.
        quick: a smoke test on a few images, whose numbers mean nothing.
    """
    start, folder = time.monotonic(), Path(out).resolve()
    if testbed not in TESTBEDS:
        raise ValueError(f"unknown testbed {testbed!r}; there are {', '.join(TESTBEDS)}.")
    module = TESTBEDS[testbed]
    chosen = method_names(module, methods or module.MAIN)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{testbed}{'_quick' if quick else ''}.csv"
    done = {(row["method"], int(row["seed"]), float(row["strength"])) for row in read(file)}
    asked = module.STRENGTHS if strengths is None else strengths
    asked = [float(strength) for strength in (asked if isinstance(asked, tuple | list) else [asked])]
    jobs = [(name, seed, strength) for seed in range(seeds) for strength in asked for name in chosen]
    jobs = [job for job in jobs if job not in done]
    made_by = commit()
    os.environ["PYTHONWARNINGS"] = "ignore"
    with processes(workers) as pool:
        futures = [pool.submit(one_run, testbed, *job, quick) for job in jobs]
        for n, future in enumerate(as_completed(futures), 1):
            row = {"commit": made_by, **future.result()}
            append(file, row)
            minutes = (time.monotonic() - start) / 60
            print(f"[{n}/{len(jobs)}, {minutes:.1f} min] {row['method']}, seed {row['seed']}: done", flush=True)
    print(report(module, read(file), file.with_suffix("")))


if __name__ == "__main__":
    fire.Fire(main)
