# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""That a bundle's command refuses mistyped options, and ends with one line where the user can correct what is wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from monai_debias.command_line import begin_bundle_command
from tests import processes

BUNDLE = Path(__file__).parents[2] / "bundles" / "echo_view"
EXAMPLES = {begin_bundle_command: {}}


@pytest.fixture
def bundle(tmp_path):
    shutil.copytree(BUNDLE / "configs", tmp_path / "configs")
    return tmp_path


def said_by(bundle, *options, **environment):
    log = bundle / "said.txt"
    words = ["monai.bundle", "run", "--dataset_dir", "gone", "--show_progress", "False", *options]
    assert processes.exit_code(processes.start(words, bundle, log, **environment)) == 1
    return log.read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--config_file", "configs/inference.json"], "gone: no such file"),
        (
            ["--config_file", "['configs/train.json','configs/evaluate.json']"],
            "the data-set directory gone does not exist",
        ),
        (
            ["--config_file", "configs/inference.json", "--dataset_dir", ".", "--thresholds", "0.5"],
            "a softmax predicts the class of the largest probability and takes no thresholds",
        ),
        (
            ["--config_file", "['configs/train.json','configs/isnet.json']", "--max_epchs", "3"],
            "no config file has an option --max_epchs; did you mean --max_epochs?",
        ),
        (
            ["--config_file", "configs/inference.json", "--dataset_dir", ".", "--network_def#block_inplane", "[8]"],
            "got an unexpected keyword argument 'block_inplane'",
        ),
        (
            ["--config_file", "configs/train.json", "configs/isnet.json"],
            "several config files are one list: --config_file \"['configs/train.json','configs/isnet.json']\"",
        ),
    ],
)
def test_what_a_user_can_mend_is_the_last_line(bundle, options, message):
    said = said_by(bundle, *options)
    assert "Traceback" not in said
    last = said.splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last


def test_a_bug_keeps_its_traceback(bundle):
    said = said_by(bundle, "--config_file", "configs/inference.json", "--find", "$lambda folder: 1 / 0")
    assert "Traceback" in said
    assert said.splitlines()[-1] == "caused by ZeroDivisionError: division by zero"


def test_the_traceback_can_be_had(bundle):
    said = said_by(bundle, "--config_file", "configs/inference.json", MONAI_DEBUG=1)
    assert "Traceback" in said
    assert "gone: no such file" in said


def test_it_says_where_it_runs_if_not_in_the_bundle(bundle, tmp_path):
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    for folder, root, warns in (
        (elsewhere, (), True),
        (elsewhere, ("--bundle_root", bundle), False),
        (bundle, (), False),
    ):
        log = tmp_path / "log.txt"
        words = ["monai.bundle", "run", "--config_file", bundle / "configs" / "inference.json", "--dataset_dir", "gone"]
        assert processes.run([*words, *root], folder, log) == 1
        said = log.read_text()
        log.unlink()
        assert (f"with --bundle_root {bundle}" in said) == warns
