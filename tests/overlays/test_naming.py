# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import ast
import shlex

import pytest

from monai_debias.overlays import method_name, training_command

EXAMPLES = {
    method_name: {"methods": {"isnet": True, "backmix": True}},
    training_command: {"method": "isnet+isnet_lds"},
}


def test_what_a_training_is_called():
    assert method_name({}) == "baseline"
    assert method_name({"isnet": True, "backmix": "black"}) == "backmix_black+isnet"
    for methods, message in (
        ({"isnet_lds": True}, "isnet_lds needs isnet as well, since it adds hidden layers"),
        ({"isnet_paper": True}, "isnet_paper needs isnet as well, since it gives an ISNet the settings of its authors"),
        (
            {"few_masks": True, "mixup": True},
            "few_masks needs backmix or wbackmix or background_blend or isnet or background_consistency as well, since",
        ),
        (
            {"isnet": True, "isnet_lds": True, "flow_mixup": True},
            "isnet_lds and flow_mixup cannot be combined: the rows",
        ),
        (
            {"isnet": True, "background_blend": True},
            "background_blend and isnet cannot be combined: an ISNet blends",
        ),
        (
            {"mixup": True, "background_consistency": True},
            "background_consistency and mixup cannot be combined: the prediction of a mixture",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            method_name(methods)


@pytest.mark.parametrize(
    ("methods", "files"),
    [
        ({}, ["train"]),
        ({"backmix": "noise"}, ["train", "backmix"]),
        ({"isnet": True, "isnet_lds": True, "few_masks": True}, ["train", "few_masks", "isnet", "isnet_lds"]),
        ({"backmix": True, "my_own": True}, ["train", "backmix", "my_own"]),
    ],
)
def test_the_command_of_a_training_names_its_configs(methods, files):
    command = training_command(method_name(methods))
    found = shlex.split(command)
    assert found[:4] == ["python", "-m", "monai.bundle", "run"]
    given = found[found.index("--config_file") + 1]
    assert ([given] if len(files) == 1 else ast.literal_eval(given)) == [f"configs/{name}.json" for name in files]
