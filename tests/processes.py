# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Commands in processes of their own, without the seconds in which each would import torch and MONAI again."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import socket
import sys
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

# each process is a fresh child of one server process, which has done nothing but import these
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "monai.bundle",
        "monai_debias.apps.ultrasound",
        "monai_debias.demo",
        "monai_debias.engines",
        "monai_debias.handlers",
        "torch._dynamo",  # the first optimizer imports it
        "torch.utils.tensorboard",
    ]
)


def start(command: Sequence[object], folder: Path, log: Path, **environment: object) -> BaseProcess:
    """Begin to run ``python -m`` with a command.

    Args:
        command: a module and its arguments.
        folder: where it runs.
        log: file to which its output and its errors are appended.
        environment: further environment variables.

    Returns:
        The process.
    """
    variables = {name: str(value) for name, value in environment.items()}
    process = SERVER.Process(target=_run, args=([str(word) for word in command], str(folder), str(log), variables))
    process.start()
    return process


def exit_code(process: BaseProcess, timeout: float = 300) -> int:
    """Wait for the end of a process.

    Args:
        process: what :func:`start` has returned.
        timeout: seconds after which it is killed.

    Returns:
        Its exit code.

    Raises:
        TimeoutError: if it was killed.
    """
    process.join(timeout)
    if process.is_alive():
        process.kill()
        process.join()
        raise TimeoutError(f"killed after {timeout} s")
    assert process.exitcode is not None
    return process.exitcode


def run(command: Sequence[object], folder: Path, log: Path) -> int:
    """Run ``python -m`` with a command, as :func:`start` does; returns its exit code."""
    return exit_code(start(command, folder, log))


def run_two(command: Sequence[object], folder: Path, log: Path) -> list[int]:
    """Run a command in two processes that find each other, as under ``torchrun``; returns their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free.getsockname()[1], "WORLD_SIZE": 2}
    return [exit_code(p) for p in [start(command, folder, log, RANK=r, LOCAL_RANK=r, **place) for r in range(2)]]


def _run(command: list[str], folder: str, log: str, environment: dict[str, str]) -> None:
    with open(log, "ab", buffering=0) as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    # a stream remembers of its file whether it can be sought in, and these files are others than those of before
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        setattr(sys, name, open(descriptor, "w", buffering=1, closefd=False))  # noqa: SIM115 # until the process ends
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = command
    try:
        runpy.run_module(command[0], run_name="__main__", alter_sys=True)
    except Exception as error:  # noqa: BLE001 # whatever it is, it is shown
        sys.excepthook(type(error), error, error.__traceback__)  # as Python does in a process of its own
        raise SystemExit(1) from None
