# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Processes that share a piece of work, and that end with the process that started them, even if it is killed."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

import torch

__all__ = ["available_processors", "end_with_parent", "in_processes", "loader_workers"]

Task = TypeVar("Task")
Result = TypeVar("Result")


def available_processors() -> int:
    """How many processors this process may use, which may be fewer than the machine has.

    The processes that ``torchrun`` has started on this machine have equal parts.
    """
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, here // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))


def loader_workers(device: torch.device) -> int:
    """How many processes a loader should have beside a training or an inference.

    On the CPU none, since the network needs every processor. Beside a GPU all processors of this process but the one
    that drives it, 8 at most: more have more to hand over than to prepare.

    Args:
        device: where the network is.

    Example:
        >>> loader_workers(torch.device("cpu"))
        0
    """
    return 0 if device.type == "cpu" else min(8, available_processors() - 1)


def in_processes(work: Callable[[Task], Result], tasks: Sequence[Task], workers: int | None) -> Iterator[Result]:
    """Do the same work for many tasks.

    Args:
        work: what is done for a task; a function at the top level of its module.
        tasks: its arguments.
        workers: number of processes; None = one per available processor; one is this process itself.

    Yields:
        The results, in the order of the tasks.
    """
    workers = min(len(tasks), workers or available_processors())
    if workers <= 1:
        yield from map(work, tasks)
        return
    # forked children start at once and share what was loaded before; spawned ones would each import torch first
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
    with ProcessPoolExecutor(workers, context, _start) as pool:
        yield from pool.map(work, tasks)


def end_with_parent() -> None:
    """Let this process end with the one that started it, which would otherwise leave it waiting for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # a child has one

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _start() -> None:
    torch.set_num_threads(1)  # a forked process cannot use the threads of the first one
    end_with_parent()
