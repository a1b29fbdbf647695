# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from monai_debias.files import make_writable, new_folder, remove_leftovers, replace_file


def in_a_process(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    head = "import os, signal, sys\nfrom pathlib import Path\nfrom monai_debias.files import replace_file\n"
    command = [sys.executable, "-c", head + textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


KILLED_WHILE_WRITING = """
with replace_file(sys.argv[1]) as file:
    file.write("new" * 9999)
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_leaves_the_old_file_and_a_leftover_that_the_next_start_removes(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("old")
    for _ in range(2):  # the second process removes what the first one left
        assert in_a_process(KILLED_WHILE_WRITING, path).returncode == -signal.SIGKILL
        (leftover,) = set(tmp_path.iterdir()) - {path}
        assert leftover.stat().st_size > 0
    assert path.read_text() == "old"
    assert remove_leftovers(tmp_path) == [leftover]
    assert list(tmp_path.iterdir()) == [path]


def test_only_leftovers_are_removed(tmp_path):
    names = {".notes.txt.incomplete", "notes.txt.incomplete", f".{'0' * 32}.incomplete", ".hidden", "notes.txt"}
    for name in names:
        (tmp_path / name).touch()
    other = tmp_path / f".other.txt.{'0' * 32}.incomplete"
    other.touch()
    with replace_file(tmp_path / "notes.txt") as file:  # a leftover of another name, and one that is being written
        assert remove_leftovers(tmp_path, "notes.txt") == []
        assert remove_leftovers(tmp_path) == [other]
        file.write("new")
    assert (tmp_path / "notes.txt").read_text() == "new"
    assert {path.name for path in tmp_path.iterdir()} == names


def write(path: Path, mode: str, content: str | bytes, error: BaseException | None = None) -> None:
    with replace_file(path, mode) as file:
        file.write(content)
        if error is not None:
            raise error


@pytest.mark.parametrize(("mode", "content"), [("w", "new" * 9999), ("wb", b"new" * 9999), ("wb", b"new" * 3400)])
def test_a_full_disk_leaves_the_old_file_and_is_named(mode, content, tmp_path):
    """EFBIG, the error at a limit of the size of files, takes the same way as ENOSPC; the last content is buffered."""
    path = tmp_path / "notes"
    path.write_text("old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            write(path, mode, content)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.filename == str(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_any_error_in_the_block_leaves_the_old_file(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        write(path, "w", "half", KeyboardInterrupt())
    assert [(entry, entry.read_text()) for entry in tmp_path.iterdir()] == [(path, "old")]


def test_whoever_reads_the_old_file_reads_it_to_the_end(tmp_path):
    """A renamed file is another one; a file that is written over would change under the reader."""
    path = tmp_path / "notes.txt"
    path.write_text("old")
    with path.open() as reader:
        write(path, "w", "new")
        assert reader.read() == "old"
    assert path.read_text() == "new"


def test_the_new_file_has_the_permissions_and_the_place_of_the_old_one(tmp_path):
    umask = os.umask(0o027)
    try:
        with replace_file(tmp_path / "new.txt") as file:
            file.write("Grüße\r\n")
    finally:
        os.umask(umask)
    assert (tmp_path / "new.txt").read_bytes() == "Grüße\r\n".encode()
    assert (tmp_path / "new.txt").stat().st_mode & 0o777 == 0o640
    (tmp_path / "new.txt").chmod(0o664)
    (tmp_path / "link.txt").symlink_to("new.txt")
    with replace_file(tmp_path / "link.txt", "wb") as file:
        file.write(b"newer")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "new.txt").read_text() == "newer"
    assert (tmp_path / "new.txt").stat().st_mode & 0o777 == 0o664


def test_a_missing_folder_and_an_unknown_mode_are_clear(tmp_path):
    path = tmp_path / "missing" / "notes.txt"
    with pytest.raises(FileNotFoundError) as caught:
        write(path, "w", "")
    assert caught.value.filename == str(path)
    with pytest.raises(ValueError, match="mode must be 'w' or 'wb', got 'a'"):
        write(tmp_path / "notes.txt", "a", "")


def test_a_new_folder_is_there_when_it_is_complete(tmp_path):
    target, present = tmp_path / "above" / "cohort", set()

    def make(error: BaseException | None = None) -> None:
        with new_folder(target) as folder:
            (folder / "masks").mkdir()
            (folder / "masks" / "1.png").touch()
            assert remove_leftovers(target.parent) == []  # it is being written
            assert set(target.parent.iterdir()) == {folder} | present
            if error is not None:
                raise error

    with pytest.raises(KeyboardInterrupt):
        make(KeyboardInterrupt())
    assert list(target.parent.iterdir()) == []
    leftover = target.with_name(f".cohort.{'0' * 32}.incomplete")
    (leftover / "masks").mkdir(parents=True)
    make()
    assert [path.relative_to(target.parent).as_posix() for path in sorted(target.parent.rglob("*"))] == [
        "cohort",
        "cohort/masks",
        "cohort/masks/1.png",
    ]
    present.add(target)
    with pytest.raises(OSError, match="not empty"):
        make()
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_that_cannot_be_written_to_is_an_error_before_the_work(tmp_path):
    make_writable(tmp_path / "new" / "folder")
    make_writable(tmp_path / "new" / "folder")
    assert list((tmp_path / "new" / "folder").iterdir()) == []
    (tmp_path / "file").write_text("old")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match="results cannot be written there") as refused:
            make_writable(folder)
        assert refused.value.filename == str(folder)
