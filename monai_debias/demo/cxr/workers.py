# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The processes that write a cohort's patients; they end with the process that started them, even if it is killed."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

import torch

from monai_debias.demo.cxr.one_patient import PatientFilms, write_patient

__all__ = ["write_patients"]


def write_patients(plan: Sequence[PatientFilms], workers: int | None) -> Iterator[None]:
    """Write the films of many patients.

    Args:
        plan: what is to be written of each.
        workers: number of processes; None = one per available processor; one is this process itself.

    Yields:
        None, after each patient.
    """
    workers = min(len(plan), workers or _processors())
    if workers <= 1:
        yield from map(write_patient, plan)
        return
    # forked children share the CT and start at once
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
    with ProcessPoolExecutor(workers, context, _start) as pool:
        for future in as_completed([pool.submit(write_patient, films) for films in plan]):
            yield future.result()


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start() -> None:
    torch.set_num_threads(1)  # a forked process cannot use the threads of the first one
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Without it the processes of a killed one wait for work, and keep its lock, for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
