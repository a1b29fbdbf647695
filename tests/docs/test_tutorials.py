# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Each tutorial runs to its end on the smaller cohort that its first cell sets; what is committed shows results."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests import processes

ROOT = Path(__file__).resolve().parents[2]
TUTORIALS = sorted((ROOT / "tutorials").glob("*.ipynb"))
BY_JUPYTER = "into_your_training"


def cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture(name="copied")
def fixture_copied(tmp_path) -> Path:
    ignored = shutil.ignore_patterns("scratch")
    return Path(shutil.copytree(ROOT / "tutorials", tmp_path / "tutorials", ignore=ignored))


@pytest.mark.parametrize("path", [path for path in TUTORIALS if path.stem != BY_JUPYTER], ids=lambda path: path.stem)
def test_it_runs(path, copied, tmp_path):
    """In a process that need not import torch and MONAI again, and neither need the commands that it types."""
    assert "TUTORIAL_QUICK" in cells(nbformat.read(path, as_version=4))[0].source
    log = tmp_path / "log.txt"
    process = processes.start(["tests.docs.notebook", path.name], copied, log, TUTORIAL_QUICK=1)
    assert processes.exit_code(process) == 0, log.read_text(encoding="utf-8", errors="replace")[-6000:]


def test_jupyter_runs_one(copied, monkeypatch):
    monkeypatch.setenv("TUTORIAL_QUICK", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(copied / f"{BY_JUPYTER}.ipynb", as_version=4)
    folder = {"metadata": {"path": str(copied)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=folder).execute()


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_what_is_committed_was_run_in_order_and_shows_pictures(path):
    notebook = nbformat.read(path, as_version=4)
    assert [cell.execution_count for cell in cells(notebook)] == list(range(1, len(cells(notebook)) + 1))
    outputs = [output for cell in cells(notebook) for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 2
    said = "".join(output.get("text", "") for output in outputs)
    assert not re.search(r"(/home/|/root/|/tmp/|site-packages)", said)


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_it_opens_with_a_picture_and_ends_with_what_to_try_next(path):
    notebook = nbformat.read(path, as_version=4)
    assert "![" in notebook.cells[0].source
    assert "## Next" in notebook.cells[-1].source
    links = re.findall(r"\]\((\.\./[^)#\s]+)", "".join(cell.source for cell in notebook.cells))
    assert links
    assert [link for link in links if not (path.parent / link).exists()] == []
