# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Three processes that share work, for the tests of what they share."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from tests import processes


def in_three(work: Callable[[Path], Any], folder: Path) -> list[Any]:
    """Do something in three processes that have joined.

    Args:
        work: a function at the top level of its module; gets the folder.
        folder: where the processes meet.

    Returns:
        What each returned; an error for one that raised it.
    """
    folder.mkdir(exist_ok=True)
    method = processes.SERVER.get_start_method()
    torch.multiprocessing.start_processes(_work, (work, folder), nprocs=3, start_method=method)
    return [pickle.loads((folder / f"{rank}.pickle").read_bytes()) for rank in range(3)]  # noqa: S301


def _work(rank: int, work: Callable[[Path], Any], folder: Path) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=3)
    try:
        result: Any = work(folder)
    except Exception as error:  # noqa: BLE001 # the test looks at it
        result = error
    (folder / f"{rank}.pickle").write_bytes(pickle.dumps(result))
    distributed.barrier()
    os._exit(0)  # gloo's threads sometimes abort a process that takes itself apart in the usual way
