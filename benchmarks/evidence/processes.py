# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Processes that train side by side."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process


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
