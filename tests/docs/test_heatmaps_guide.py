# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The example of docs/heatmaps.md, run as it stands there."""

from __future__ import annotations

from typing import Any

import torch

from tests.docs.guides import block, read_guide, run_code

GUIDE = read_guide("heatmaps")


def test_a_mark_decides_and_both_heatmaps_show_the_digit():
    parts: dict[str, Any] = {}
    run_code(block(GUIDE, "python"), parts)
    assert parts["decided"].tolist() == [0, 1]
    assert parts["outside"].flatten().tolist() == [0, 0]
    assert parts["survived"] == 0
    expected = torch.tensor([[[1.0, 0.0]], [[-1.0, 0.0]]])  # but for ε: a / (a + 0.01)
    torch.testing.assert_close(parts["relevance"][:, 0], expected, rtol=0.02, atol=0)
