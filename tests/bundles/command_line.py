# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""``python -m monai.bundle`` in a process of its own, without the seconds in which each would import MONAI again."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

# each command is a fresh child of one server process, which has done nothing but import these
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    ["monai.bundle", "monai_debias.handlers", "monai_debias.demo", "torch.utils.tensorboard"]
)


def run_bundle(arguments: Sequence[str], folder: Path, log: Path, timeout: float = 300) -> int:
    """Run ``python -m monai.bundle`` with the arguments in a folder.

    Args:
        arguments: what is typed after ``monai.bundle``.
        folder: where it runs.
        log: file that its output, of both kinds, is appended to.
        timeout: seconds after which it is killed.

    Returns:
        Its exit code.

    Raises:
        TimeoutError: if it was killed.
    """
    process = _SERVER.Process(target=_run, args=(list(arguments), str(folder), str(log)))
    process.start()
    process.join(timeout)
    if process.is_alive():
        process.kill()
        process.join()
        raise TimeoutError(f"killed after {timeout} s: {' '.join(arguments)}")
    assert process.exitcode is not None
    return process.exitcode


def _run(arguments: list[str], folder: str, log: str) -> None:
    with open(log, "ab", buffering=0) as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    os.chdir(folder)
    sys.argv = ["monai.bundle", *arguments]
    runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
