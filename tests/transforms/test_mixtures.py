# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import torch

from monai_debias.transforms.mixtures import Mixture, mix_rows


def test_rows_are_mixed_by_weight_and_order():
    rows = torch.tensor([[0.0, 1.0], [10.0, 11.0], [20.0, 21.0]])
    mixed = mix_rows(rows, Mixture("layer", 0.75, np.array([2, 0, 1])))
    assert torch.equal(mixed, torch.tensor([[5.0, 6.0], [7.5, 8.5], [17.5, 18.5]]))
