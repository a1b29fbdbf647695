# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from monai_debias.overlays import method_name

EXAMPLES = {method_name: {"methods": {"isnet": True, "backmix": True}}}


def test_what_a_training_is_called():
    assert method_name({}) == "baseline"
    assert method_name({"isnet": True, "backmix": "black"}) == "backmix_black+isnet"
    for methods, message in (
        ({"isnet_lds": True}, "isnet_lds needs isnet as well, since it adds hidden layers"),
        ({"isnet_paper": True}, "isnet_paper needs isnet as well, since it gives an ISNet the settings of its authors"),
        (
            {"few_masks": True, "mixup": True},
            r"few_masks needs backmix or wbackmix or isnet or background_consistency .* few_masks, mixup",
        ),
        (
            {"isnet": True, "isnet_lds": True, "flow_mixup": True},
            "isnet_lds and flow_mixup cannot be combined: the rows",
        ),
        (
            {"mixup": True, "background_consistency": True},
            "background_consistency and mixup cannot be combined: the prediction of a mixture",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            method_name(methods)
