# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A batch whose target is more than a label: the weights of wBackMix, the masks of ISNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.engines import PrepareBatch

from monai_debias.parameters import KEY, SequenceOf, expects

__all__ = ["PrepareBatchTargets"]


class PrepareBatchTargets(PrepareBatch):
    """``prepare_batch`` of a MONAI trainer that gives the loss several entries of the batch as one mapping.

    Args:
        target_keys: keys of the batch that the loss needs, e.g. ``["label", "weight"]`` for ``SampleWeightedLoss``.
        image_key: key of the network's input.

    Raises:
        ValueError: when ``target_keys`` is empty.
        KeyError: when a key is missing from a batch.

    Example:
        >>> import torch
        >>> batch = {"image": torch.zeros(2, 1, 8, 8), "label": torch.tensor([0, 1]), "weight": torch.ones(2)}
        >>> image, target = PrepareBatchTargets(["label", "weight"])(batch, device="cpu")
        >>> sorted(target)
        ['label', 'weight']
    """

    @expects(target_keys=SequenceOf(KEY, least=1), image_key=KEY)
    def __init__(self, target_keys: Sequence[str], image_key: str = "image") -> None:
        self.target_keys = tuple(target_keys)
        self.image_key = image_key

    def __call__(
        self,
        batchdata: dict[str, torch.Tensor],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return ``(image, {key: entry of the batch})``, moved to ``device``."""
        missing = [key for key in (self.image_key, *self.target_keys) if key not in batchdata]
        if missing:
            raise KeyError(f"the batch has no {missing}; it has {sorted(batchdata)}.")
        target = {key: batchdata[key].to(device, non_blocking=non_blocking, **kwargs) for key in self.target_keys}
        return batchdata[self.image_key].to(device, non_blocking=non_blocking, **kwargs), target
