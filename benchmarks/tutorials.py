# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Executes the notebooks and keeps their outputs in them: all, or ``python -m benchmarks.tutorials NAME …``."""

from __future__ import annotations

import time
from pathlib import Path

import fire
import nbformat
from nbclient import NotebookClient

TUTORIALS = Path(__file__).parents[1] / "tutorials"


def main(*names: str) -> None:
    """Execute ``tutorials/NAME.ipynb``, which stays as it is if a cell fails.

    Times of cells are not kept: they would differ each time.
    """
    for name in names or sorted(path.stem for path in TUTORIALS.glob("*.ipynb")):
        path, start = TUTORIALS / f"{name}.ipynb", time.monotonic()
        notebook = nbformat.read(path, as_version=4)
        print(f"{name}: executing", flush=True)
        resources = {"metadata": {"path": str(TUTORIALS)}}
        NotebookClient(notebook, kernel_name="python3", record_timing=False, resources=resources).execute()
        nbformat.write(notebook, path)
        print(f"{name}: {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    fire.Fire(main)
