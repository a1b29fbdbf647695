# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Processes that train side by side, and the file that keeps what each found."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from benchmarks.csv_file import RUN, append, made_by
from benchmarks.evidence.testbed import Row
from monai_debias.processes import end_with_parent


def record(run: Callable[..., Row], jobs: Sequence[tuple], file: Path, workers: int, key: Sequence[str] = RUN) -> None:
    """Run all jobs, and keep the line of each as soon as it is there, so that nothing is lost with what comes later.

    Args:
        run: what a process does; returns a line.
        jobs: its arguments, for each run.
        file: the CSV. Nothing else may write to it meanwhile.
        workers: how many runs at a time.
        key: columns that tell the runs.

    Raises:
        Exception: what the first run raised that failed; those of the others are kept before.
    """
    start, origin, failed = time.monotonic(), made_by(), []
    os.environ["PYTHONWARNINGS"] = "ignore"
    with processes(workers) as pool:
        futures = [pool.submit(run, *job) for job in jobs]
        for n, future in enumerate(as_completed(futures), 1):
            if error := future.exception():
                failed.append(error)
                continue
            row = {**origin, **future.result()}
            append(file, row, key)
            minutes = (time.monotonic() - start) / 60
            print(f"[{n}/{len(jobs)}, {minutes:.1f} min] {row['method']}, seed {row['seed']}: done", flush=True)
    if failed:
        raise failed[0]


def processes(workers: int) -> ProcessPoolExecutor:
    """That train, and that end with the command, also if it is killed."""
    return ProcessPoolExecutor(workers, mp_context=get_context("forkserver"), initializer=end_with_parent)
