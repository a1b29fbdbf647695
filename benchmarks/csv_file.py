# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A CSV file of results: a line for each run, with the commit, date, processor and versions that made it."""

from __future__ import annotations

import csv
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from monai_debias.files import write_csv

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
MADE_BY = ("commit", "date", "processor", "versions")
RUN = ("method", "seed", "strength")  # columns that tell a run


def made_by(device: str = "cpu") -> dict[str, str]:
    """How a line was made: commit, date, processor (with the GPU, if that does the work), versions."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "monai", "numpy"))
    versions = f"Python {platform.python_version()}, {packages}"
    return {"commit": commit(), "date": date.today().isoformat(), "processor": processor(device), "versions": versions}


def commit() -> str:
    """The commit that is checked out, with a plus where package, bundles or benchmarks differ.

    If the files are not in a git repository, it is the environment variable ``COMMIT``, or "unknown".
    """

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    try:
        places = ("benchmarks", "bundles", "monai_debias", ":!benchmarks/results")
        changed = git("status", "--porcelain", "--", *places)
        return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):  # an archive or a copy instead of a clone
        return os.environ.get("COMMIT", "unknown")


def processor(device: str) -> str:
    """The name of the processor, as the system tells it."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def read(file: Path) -> list[dict[str, str]]:
    """The lines so far."""
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def append(file: Path, row: dict[str, Any], key: Sequence[str] = RUN) -> None:
    """Add a line, in place of one with the same key columns; the file is written completely or not at all.

    Raises:
        ValueError: when the file has other columns; it stays as it is.
    """
    there = read(file)
    if there and there[0].keys() != row.keys():
        different = sorted(there[0].keys() ^ row.keys())
        raise ValueError(f"{file} is of another version: columns {different} differ. Move it away to start a new file.")
    others = [line for line in there if any(line.get(column) != str(row.get(column)) for column in key)]
    write(file, [*others, row])


def write(file: Path, rows: list[dict[str, Any]]) -> None:
    """Write all lines, in place of an older file."""
    write_csv(file, list(rows[0]), [[row[column] for column in rows[0]] for row in rows])
