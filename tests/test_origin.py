# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The files that a tensor, or each row of a batch, was loaded from."""

from __future__ import annotations

import torch
from monai.data import MetaTensor, list_data_collate

from monai_debias.origin import file_names, from_files


def test_names():
    masks = [MetaTensor(torch.zeros(1, 2), meta={"filename_or_obj": f"m{n}.png"}) for n in range(2)]
    assert file_names(masks[1]) == ["m1.png"]
    assert file_names(list_data_collate(masks)) == ["m0.png", "m1.png"]
    assert file_names(torch.zeros(1)) == file_names(MetaTensor(torch.zeros(1))) == file_names(None) == []
    assert from_files([f"{n}.png" for n in range(5)]) == " (0.png, 1.png, 2.png and 2 more)"
