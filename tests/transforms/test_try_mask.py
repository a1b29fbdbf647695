# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging
import re

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_debias.apps.ultrasound import UltrasoundSectorMaskd
from monai_debias.transforms import LoadMaskd, TryMaskd

_LOAD = {"_target_": "monai_debias.transforms.LoadMaskd"}
EXAMPLES = {TryMaskd: [{"transforms": [_LOAD]}]}


def image(values: torch.Tensor) -> MetaTensor:
    return MetaTensor(values, meta={"filename_or_obj": "ward/clip.dcm"})


def test_a_mask_that_fits_is_what_the_transforms_make_of_it(tmp_path):
    values = np.zeros((8, 8), np.uint8)
    values[2:4] = 255
    np.save(tmp_path / "mask.npy", values)
    data = {"image": image(torch.zeros(1, 8, 8)), "mask": str(tmp_path / "mask.npy"), "label": 1}
    found, expected = TryMaskd([LoadMaskd()])(data), LoadMaskd()(data)
    assert found.keys() == expected.keys()
    assert torch.equal(found["mask"], expected["mask"])
    assert data["mask"] == str(tmp_path / "mask.npy")


@pytest.mark.parametrize(
    ("transform", "mask", "reason"),
    [
        (UltrasoundSectorMaskd("image"), None, "image is 0 everywhere"),
        (LoadMaskd(), torch.ones(1, 32, 40), r"has shape \(1, 32, 40\)"),
        (LoadMaskd(), "gone.npy", "gone.npy"),
        (LoadMaskd(), torch.zeros(1, 48, 48), "is 0 everywhere"),
    ],
    ids=["no sector", "another size", "no file", "empty"],
)
def test_a_sample_without_a_usable_mask_stays_and_the_log_says_why(transform, mask, reason, caplog):
    caplog.set_level(logging.WARNING)
    data = {"image": image(torch.zeros(1, 48, 48)), "mask": mask, "label": 1}
    found = TryMaskd([transform])(data)
    assert sorted(found) == ["image", "label"]
    assert found["image"] is data["image"]
    assert caplog.text.count("no mask for the image (ward/clip.dcm): ") == 1
    assert re.search(reason, caplog.text)


def test_a_sample_that_names_no_mask_is_no_reason_for_a_warning(caplog):
    found = TryMaskd([LoadMaskd()])({"image": image(torch.zeros(1, 8, 8))})
    assert sorted(found) == ["image"]
    assert "no mask" not in caplog.text


def test_a_mistake_in_a_transform_is_not_taken_for_a_missing_mask():
    with pytest.raises(TypeError, match="is 'LoadMaskd', expected a Transform"):
        TryMaskd(["LoadMaskd"])
    with pytest.raises(RuntimeError, match="applying transform"):
        TryMaskd([UltrasoundSectorMaskd("clip")])({"image": image(torch.zeros(1, 8, 8))})
