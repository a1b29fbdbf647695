# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What a folder holds: what is worth a try, and what is left out before anything is opened."""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
from pathlib import Path

import pytest

from monai_debias.data import find_files
from tests.samples import make_class_folders

EXAMPLES = {find_files: lambda folder: {"path": make_class_folders(folder)}}


def test_files_in_order_and_what_is_left_out(tmp_path, monkeypatch):
    for name in ("b/2.dcm", "b/1.840.113619.2", "a.PNG", "b/Thumbs.db", "b/.cache/x.dcm", "b/.hidden"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "empty.dcm").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / "circle").symlink_to("circle")
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        found = find_files(tmp_path)
    names = [str(Path(file).relative_to(tmp_path)) for file in found.files]
    assert names == ["a.PNG", "b/1.840.113619.2", "b/2.dcm", "b/Thumbs.db"]  # its reader says what it is
    assert {(Path(file).name, kind, reason) for file, kind, reason in found.left_out} == {
        (".cache", "unrelated", "is hidden, since its name begins with a dot."),
        (".hidden", "unrelated", "is hidden, since its name begins with a dot."),
        ("empty.dcm", "unreadable", "is empty."),
        ("pipe", "unrelated", "is a pipe (FIFO), expected a file."),
        ("socket", "unrelated", "is a socket, expected a file."),
        ("broken", "unreadable", "is a link to nowhere, which does not exist."),
        ("circle", "unreadable", "is a link that leads back to itself."),
    }


def test_masks_that_the_datalist_names_are_left_out(tmp_path):
    for name in ("images/1.png", "images/2.png", "masks/1.png", "masks/of_another.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    items = [{"image": "images/1.png", "mask": "masks/1.png"}, {"image": ["images/2.png"], "mask": None}, "3.png"]
    (tmp_path / "datalist.json").write_text(json.dumps({"test": items, "labels": {}}))
    found = find_files(tmp_path)
    names = [str(Path(file).relative_to(tmp_path)) for file in found.files]
    assert names == ["datalist.json", "images/1.png", "images/2.png", "masks/of_another.png"]
    assert found.left_out == [(str(tmp_path / "masks" / "1.png"), "unrelated", "is a mask, as datalist.json says.")]
    (tmp_path / "datalist.json").write_text("[of something else]")
    assert len(find_files(tmp_path).files) == 5


def test_links_to_folders_are_followed_once_and_never_in_a_circle(tmp_path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for folder in (root / "deep" / "er", elsewhere / "sub"):
        folder.mkdir(parents=True)
        (folder / "x.dcm").write_text("x")
    (root / "up").symlink_to(tmp_path)
    (root / "deep" / "self").symlink_to(root)
    (root / "one").symlink_to(elsewhere)
    (root / "two").symlink_to(elsewhere / "sub")
    (elsewhere / "back").symlink_to(root / "deep")
    found = find_files(root)
    assert [str(Path(file).relative_to(root)) for file in found.files] == ["deep/er/x.dcm", "one/sub/x.dcm"]
    assert {str(Path(entry.file).relative_to(root)) for entry in found.left_out} == {
        "up",
        "deep/self",
        "two",
        "one/back",
    }
    assert all("which is searched anyway" in entry.reason for entry in found.left_out)


@pytest.fixture
def somebody_elses(request):
    """A folder that everybody may enter, and this process as a user who may not do everything."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    os.seteuid(os.getuid())
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o700)
    shutil.rmtree(folder)


def test_what_this_user_may_not_open(somebody_elses):
    for name in ("open", "closed", "list_only"):
        (somebody_elses / name).mkdir()
        (somebody_elses / name / "x.dcm").write_text("x")
    (somebody_elses / "closed").chmod(0)
    (somebody_elses / "list_only").chmod(0o444)
    (somebody_elses / "open").chmod(0o755)
    if os.getuid() == 0:
        os.seteuid(65534)  # root may open everything
    found = find_files(somebody_elses)
    assert found.files == [str(somebody_elses / "open" / "x.dcm")]
    assert {Path(entry.file).name: entry.kind for entry in found.left_out} == {
        "closed": "unreadable",
        "x.dcm": "unreadable",
    }
    assert all("Permission denied" in entry.reason for entry in found.left_out)


def test_one_file_and_none(tmp_path):
    (tmp_path / ".x.dcm").write_text("x")
    assert find_files(tmp_path / ".x.dcm").files == [str(tmp_path / ".x.dcm")]  # it was asked for
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"the folder .*empty has no files"):
        find_files(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="gone: no such file"):
        find_files(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match=r"pipe: is a pipe \(FIFO\)"):
        find_files(tmp_path / "pipe")


def test_a_link_beside_its_file_is_the_same_image(tmp_path):
    root, store = tmp_path / "root", tmp_path / "store"
    for file in (root / "b.dcm", root / ".objects" / "1", store / "x.dcm"):
        file.parent.mkdir(exist_ok=True)
        file.write_text("x")
    (root / "a.dcm").symlink_to("b.dcm")
    (root / "annexed.dcm").symlink_to(root / ".objects" / "1")  # as git-annex keeps large files
    for name in ("x1.dcm", "x2.dcm"):
        (root / name).symlink_to(store / "x.dcm")
    found = find_files(root)
    assert [Path(file).name for file in found.files] == ["annexed.dcm", "b.dcm", "x1.dcm"]
    links = {Path(entry.file).name: entry.reason for entry in found.left_out if entry.file.endswith(".dcm")}
    assert links.keys() == {"a.dcm", "x2.dcm"}
    assert links["a.dcm"] == f"is a link to {root / 'b.dcm'}, which is searched anyway."
    assert len(find_files(root, repeats=True).files) == 5
