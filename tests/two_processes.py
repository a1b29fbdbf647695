# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Two processes of a distributed training, for tests of several parts: starting them takes longer than their steps."""

from __future__ import annotations

import gc
import importlib
import os
from pathlib import Path

import torch
from torch import distributed

from tests import processes

# modules with a function ``train(rank, folder)``, which leaves its results in the folder
PARTS = (
    "relevance.lrp_ddp",
    "engines.mixup_ddp",
    "losses.losses_ddp",
    "handlers.metric_ddp",
    "handlers.relevance_cuts_ddp",
)


def start(folder: Path) -> None:
    """Run the steps of all parts in two processes."""
    method = processes.SERVER.get_start_method()
    torch.multiprocessing.start_processes(_train, (2, str(folder)), nprocs=2, start_method=method)


def _train(rank: int, world_size: int, folder: str) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=world_size)
    try:
        for part in PARTS:
            importlib.import_module(f"tests.{part}").train(rank, Path(folder))
            gc.collect()  # a reducer's thread waits for the process group, so the reducer must go first
        distributed.barrier()
    finally:
        distributed.destroy_process_group()
    os._exit(0)  # gloo's threads sometimes abort a process that takes itself apart in the usual way
