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

ROOT = Path(__file__).resolve().parents[2]
TUTORIALS = sorted((ROOT / "tutorials").glob("*.ipynb"))


def cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_it_runs(path, tmp_path, monkeypatch):
    monkeypatch.setenv("TUTORIAL_QUICK", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    shutil.copytree(ROOT / "tutorials", tmp_path / "tutorials", ignore=shutil.ignore_patterns("scratch"))
    notebook = nbformat.read(tmp_path / "tutorials" / path.name, as_version=4)
    assert "TUTORIAL_QUICK" in cells(notebook)[0].source
    folder = {"metadata": {"path": str(tmp_path / "tutorials")}}
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
