# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The features from which a network's last layer makes its logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from monai_debias.networks import unwrapped

__all__ = ["Features"]


class Features:
    """Collect the input of the last dense layer while the network judges images, in the order in which it does.

    Args:
        network: a network; None, or one without a dense layer, collects nothing.

    Example:
        >>> network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2, 3))
        >>> with Features(network) as features:
        ...     logits = network(torch.ones(4, 1, 2))
        >>> features.of([logits]).shape
        (4, 2)
    """

    def __init__(self, network: Any) -> None:
        layers = [] if network is None else list(unwrapped(network).modules())
        dense = [layer for layer in layers if isinstance(layer, torch.nn.Linear)]
        self.layer = dense[-1] if dense else None
        self._seen: list[torch.Tensor] = []

    def __enter__(self) -> Features:
        self._hook = None if self.layer is None else self.layer.register_forward_pre_hook(self._see)
        return self

    def __exit__(self, *_: object) -> None:
        if self._hook is not None:
            self._hook.remove()

    def _see(self, _: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        self._seen.append(inputs[0].detach().flatten(1).float().cpu())

    def of(self, logits: Sequence[torch.Tensor]) -> NDArray[np.float64] | None:
        """The features (N, F) of the images with these batches of logits; None if the layer does not make the logits.

        Args:
            logits: what the network returned, batches (B, K) in the order of its passes.
        """
        fits = self.layer is not None and [len(x) for x in self._seen] == [len(y) for y in logits]
        if not fits or self.layer is None or self.layer.out_features != logits[0].shape[1]:
            return None
        return torch.cat(self._seen).double().numpy()
