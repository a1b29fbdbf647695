# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
import pickle

import pytest
import torch
from monai.bundle import ConfigParser

from monai_debias.data.splits import keep_mask_fraction, mask_fraction
from monai_debias.transforms.keep_mask import KeepMaskd

EXAMPLES = {KeepMaskd: [{"mask_key": "mask", "flag_key": "use_mask"}]}


def test_keeps_and_deletes():
    keep = KeepMaskd("mask")
    mask = torch.ones(1, 4, 4)
    sample = {"image": 1, "mask": mask, "use_mask": True}
    assert keep(sample)["mask"] is mask
    assert keep({**sample, "use_mask": False}) == {"image": 1, "use_mask": False}
    assert "mask" in sample
    assert keep({"use_mask": False}) == {"use_mask": False}


def test_several_keys_and_own_flag():
    keep = KeepMaskd(("mask", "sector"), flag_key="keep")
    assert keep({"mask": 1, "sector": 2, "keep": False}) == {"keep": False}


def test_missing_or_odd_flag():
    with pytest.raises(KeyError, match=r"has no flag 'use_mask', it has image, mask.*keep_mask_fraction"):
        KeepMaskd("mask")({"image": 1, "mask": 1})
    with pytest.raises(TypeError, match="'yes', expected True or False"):
        KeepMaskd("mask")({"mask": 1, "use_mask": "yes"})


def test_with_the_flags_of_keep_mask_fraction():
    items = keep_mask_fraction([{"patient_id": f"p{n // 4}", "mask": "m.png"} for n in range(80)], 0.25)
    keep = KeepMaskd("mask")
    assert sum("mask" in keep(item) for item in items) / 80 == mask_fraction(items) == 0.25


def test_config_and_pickle():
    config = {"_target_": "monai_debias.transforms.keep_mask.KeepMaskd", "mask_key": "mask"}
    built = ConfigParser({"t": config}).get_parsed_content("t")
    assert pickle.loads(pickle.dumps(built))({"mask": 1, "use_mask": False}) == {"use_mask": False}  # noqa: S301
