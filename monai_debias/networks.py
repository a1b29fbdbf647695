# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A network in evaluation mode, for the time of a measurement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["evaluating"]


@contextmanager
def evaluating(network: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode, and then each module's own again: ``train()`` would also wake those that the user froze."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        network.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode
