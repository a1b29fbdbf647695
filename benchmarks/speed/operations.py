# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How many operations a training step has: what a GPU waits for where it is faster than Python."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.speed.isnet import Step, training_steps
from benchmarks.speed.networks import NETWORKS, ON_TWO_CORES
from benchmarks.speed.timing import record, side_by_side
from benchmarks.tables import markdown
from monai_debias import without_waiting
from monai_debias.relevance import kernels
from monai_debias.relevance.some_rows import SomeRows

TABLE = "operations of a training step"
GOAL = 2.6  # operations of a selective step in those of a plain one
SIZE, BATCH, N_CLASSES = 64, 8, 3  # the number of operations depends on neither of the first two


_NOTHING = frozenset({"empty", "empty_like", "empty_strided", "new_empty"})  # memory is taken, nothing is computed


class Operations(TorchDispatchMode):
    """Counts the operations that torch dispatches inside, forward and backward; not views and the taking of memory."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Count and compute an operation."""
        if SomeRows in types:
            return NotImplemented  # it comes back as operations on what has memory
        name = operation.overloadpacket.__name__
        if not operation.is_view and name not in _NOTHING:
            self.counts[name] += 1
        return operation(*args, **kwargs or {})


def operations_of(run: Step) -> Counter[str]:
    """The operations by name of a function, after a call that is not counted, as a GPU gets them.

    There values are gathered in a step and looked at later, by the CPU, and a formula is not computed in blocks.
    """
    at_once, without_waiting.AT_ONCE = without_waiting.AT_ONCE, frozenset()
    block, kernels.BLOCK = kernels.BLOCK, sys.maxsize
    try:
        with without_waiting.gathered():
            run()
            with Operations() as operations:
                run()
    finally:
        without_waiting.AT_ONCE, kernels.BLOCK = at_once, block
    return operations.counts


def operations_speed(networks: Sequence[str] = ON_TWO_CORES, most_frequent: int = 0, csv: str = "") -> None:
    """Count the operations of whole training steps; views are not counted; an operation on many tensors is one.

    Args:
        networks: which networks are trained.
        most_frequent: how many of the operations by name are shown for each variant.
        csv: file of a line for each variant; none if empty.
    """
    rows: list[dict[str, Any]] = []
    for name in networks:
        torch.manual_seed(0)
        steps = training_steps(NETWORKS[name](SIZE, N_CLASSES), SIZE, BATCH, N_CLASSES, original=True)
        del steps["selective, every 4th iteration"]  # one in four is a selective step, the others are plain
        counts = {variant: operations_of(run) for variant, run in steps.items()}
        plain = counts["plain"].total()
        for variant, found in counts.items():
            row = {"table": TABLE, "of": name, "variant": variant, "operations": found.total()}
            rows.append({**row, "times": found.total() / plain})
            print(f"{name}, {variant}: {found.total()}, {found.total() / plain:.2f} x", flush=True)
            if most_frequent:
                print("   ", dict((found - counts["plain"]).most_common(most_frequent)))
    record(rows, csv)
    print("\n".join([*quoted(rows), "", *goals(rows)]))


def goals(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Whether a selective step has at most 2.6 times the operations of a plain one."""
    selective = {row["of"]: float(row["times"]) for row in rows if row["variant"] == "selective"}
    return [
        f"- at most {GOAL} times a plain step, {name}: {'reached' if times <= GOAL else 'missed'} ({times:.2f})"
        for name, times in selective.items()
    ]


def quoted(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The table that docs/isnet.md quotes."""
    plain = {row["of"]: f"{int(row['operations'])}" for row in rows if row["variant"] == "plain"}
    ours = side_by_side(rows, TABLE)
    head = markdown(["variant", *plain], [["plain, operations", *plain.values()]])
    return ["\n".join([*head.splitlines(), *ours.splitlines()[2:]])]
