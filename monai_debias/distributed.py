# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The processes that ``torchrun`` has started: each does its share of the work, and all get all results.

A share is a contiguous part, so that the shares one after the other are the whole in its order, however many there are
and whatever is left out of them. Without ``torchrun`` the only process has everything.
"""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed

__all__ = [
    "alone",
    "gathered",
    "in_first",
    "is_first",
    "join",
    "joined",
    "n_processes",
    "own_device",
    "own_share",
    "share_work",
]

Item = TypeVar("Item")
Result = TypeVar("Result")

_ALONE = ContextVar("alone", default=False)
_PATIENCE = timedelta(days=30)  # shares end at different times; torchrun ends all processes if one is gone


def n_processes() -> int:
    """How many processes share the work."""
    return distributed.get_world_size() if _is_joined() else 1


def is_first() -> bool:
    """Whether this is the process that writes and prints."""
    return not _is_joined() or distributed.get_rank() == 0


def own_share(items: Sequence[Item], least: int = 0) -> Sequence[Item]:
    """This process's part of some items; sizes differ by one at most.

    Args:
        items: all items, the same in each process.
        least: how many items each process needs.

    Raises:
        ValueError: when there are too few items.

    Example:
        >>> own_share([1, 2, 3])  # there is one process
        [1, 2, 3]
    """
    if not _is_joined():
        return items
    rank, n = distributed.get_rank(), n_processes()
    if len(items) < least * n:
        raise ValueError(f"{n} processes cannot share {len(items)} items, of which each needs {least}: start fewer.")
    return items[rank * len(items) // n : (rank + 1) * len(items) // n]


def gathered(results: Sequence[Result]) -> list[Result]:
    """The results of all processes, one share after the other; every process has to call it.

    Args:
        results: those of this process, of any number; they are pickled.

    Example:
        >>> gathered([1, 2, 3])
        [1, 2, 3]
    """
    return [result for part in _of_all(list(results)) for result in part]


def share_work(work: Callable[[Sequence[Item]], Iterable[Result]], items: Sequence[Item]) -> list[Result]:
    """Do a piece of work in all processes, each for its share.

    Args:
        work: gives the results for some items, any number of them.
        items: all items, the same in each process.

    Returns:
        The results for all items, in every process.

    Raises:
        Exception: what ``work`` raised in this process, else in the first of the others: an error ends all processes.

    Example:
        >>> share_work(lambda numbers: [number**2 for number in numbers], [1, 2, 3])
        [1, 4, 9]
    """
    if not _is_joined():
        return list(work(items))
    results, error = [], None
    try:
        results = list(work(own_share(items)))
    except Exception as raised:  # noqa: BLE001 # the other processes would wait for this one
        error = raised
    answers = _of_all((results, None if error is None else _sendable(error)))
    if error is not None:
        raise error
    for _, other in answers:
        if other is not None:
            raise other
    return [result for part, _ in answers for result in part]


def in_first(work: Callable[[], Result]) -> Result:
    """Do something in the first process only, and give its result to all.

    Args:
        work: such as looking for a file that another process may be about to write.

    Example:
        >>> in_first(lambda: 3)
        3
    """
    return share_work(lambda ranks: [work() for rank in ranks if rank == 0], range(n_processes()))[0]


def own_device() -> torch.device:
    """The GPU of this process, if the machine has one; else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count())


def join() -> None:
    """Join the other processes, if ``torchrun`` has started several; once is enough."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and "RANK" in os.environ and not _is_joined():
        distributed.init_process_group("gloo", timeout=_PATIENCE)


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Join the other processes for the time of a block; those that have joined already stay so."""
    before = _is_joined()
    join()
    try:
        yield
    finally:
        if _is_joined() and not before:
            distributed.destroy_process_group()


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Share nothing in a block that only this process runs."""
    before = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(before)


def _is_joined() -> bool:
    return distributed.is_available() and distributed.is_initialized() and not _ALONE.get()


def _of_all(value: Any) -> list[Any]:
    """The values of all processes, by their rank."""
    values = [None] * n_processes()
    if len(values) == 1:
        return [value]
    distributed.all_gather_object(values, value)
    return values


def _sendable(error: Exception) -> Exception:
    """The error, or one with its message, if other processes could not read it."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 # our own
    except Exception:  # noqa: BLE001 # constructors of errors may do anything
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
