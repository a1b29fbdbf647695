# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Of several processes one generates the cohort."""

from __future__ import annotations

import multiprocessing
import time

import pytest

from monai_debias.demo.default_cohort import generate_once


def build(directory, log):
    """A slow builder that notes each call."""
    with open(log, "a", encoding="utf-8") as file:
        file.write("built\n")
    time.sleep(0.2)
    directory.mkdir()
    (directory / "datalist.json").write_text("{}", encoding="utf-8")


def test_one_process_generates_and_the_others_wait(tmp_path):
    fork, log = multiprocessing.get_context("fork"), tmp_path / "log"
    arguments = {"args": (tmp_path / "cohort", build), "kwargs": {"log": log}}
    processes = [fork.Process(target=generate_once, **arguments) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert log.read_text(encoding="utf-8") == "built\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cohort", "log"]


def test_after_an_error_nothing_is_left(tmp_path):
    with pytest.raises(FileNotFoundError):
        generate_once(tmp_path / "cohort", build, log=tmp_path / "no" / "log")
    assert list(tmp_path.iterdir()) == []
