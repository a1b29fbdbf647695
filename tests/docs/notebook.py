# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.docs.notebook FILE`` runs the cells of a notebook in this process, and ends at the first error."""

from __future__ import annotations

import sys

import matplotlib
import nbformat
from IPython.terminal.interactiveshell import TerminalInteractiveShell

from tests.preloaded_python import preloaded_python


def main(path: str) -> None:
    """Run a notebook in its folder, with a ``sys.executable`` that starts soon."""
    matplotlib.use("module://matplotlib_inline.backend_inline")  # as Jupyter sets it
    shell = TerminalInteractiveShell.instance(colors="NoColor", simple_prompt=True)
    with preloaded_python() as python:
        sys.executable = str(python)
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                shell.run_cell(cell.source).raise_error()


if __name__ == "__main__":
    main(sys.argv[1])
