# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What the tests of spectral decoupling share: logits and labels of five samples."""

from __future__ import annotations

import torch
from torch.nn import functional as F  # noqa: N812

WEIGHTS, TARGETS = [0.1, 0.4, 0.25], [0.5, -1.0, 2.0]
INDEX = torch.tensor([0, 2, 2, 0, 2])  # of three classes, the second is missing
BINARY = torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0]).double()  # of one logit


def draw(n_classes: int, n: int = 5) -> torch.Tensor:
    return 3 * torch.randn(n, n_classes, generator=torch.Generator().manual_seed(n_classes)).double()


def rows_of(index: torch.Tensor, n_classes: int) -> torch.Tensor:
    return F.one_hot(index, n_classes).double()
