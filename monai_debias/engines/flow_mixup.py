# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A batch that is mixed on its way into a trainer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from monai.engines import PrepareBatch, PrepareBatchDefault
from monai.transforms import Randomizable

from monai_debias.engines.isnet import PrepareBatchISNet
from monai_debias.parameters import FUNCTION, NONE, Instance, expects
from monai_debias.transforms.mixup import INPUT, FlowMixupd

__all__ = ["PrepareBatchFlowMixup"]


class PrepareBatchFlowMixup(PrepareBatch, Randomizable):
    """``prepare_batch`` of a MONAI trainer that mixes each batch, and lets another ``prepare_batch`` do the rest.

    A transform that was not seeded by ``set_random_state`` is seeded from torch's generator in the first batch, as
    MONAI's ``DataLoader`` seeds the transforms of its data set: so ``set_determinism`` holds for it, too.

    Args:
        mixup: Mixup, Manifold Mixup or Flow-Mixup of the batches.
        prepare_batch: what takes the mixed batch apart; None for MONAI's own, which takes ``"image"`` and ``"label"``.

    Raises:
        TypeError: when ``mixup`` is not a ``FlowMixupd``.
        ValueError: when images are mixed without their masks for a ``PrepareBatchISNet``.
        KeyError: when a batch lacks an entry.

    Example:
        >>> import torch
        >>> batch = {"image": torch.rand(4, 1, 8, 8), "label": torch.tensor([0, 1, 1, 0])}
        >>> prepare_batch = PrepareBatchFlowMixup(FlowMixupd.mixup("image", num_classes=2))
        >>> image, label = prepare_batch(batch, device="cpu")
        >>> image.shape, label.shape
        (torch.Size([4, 1, 8, 8]), torch.Size([4, 2]))
    """

    @expects(mixup=Instance(FlowMixupd), prepare_batch=NONE | FUNCTION)
    def __init__(self, mixup: FlowMixupd, prepare_batch: Callable[..., Any] | None = None) -> None:
        if isinstance(prepare_batch, PrepareBatchISNet) and INPUT in mixup.transform.layers and mixup.mask_key is None:
            raise ValueError(
                "the images of an ISNet are mixed, but not their masks: give the FlowMixupd their mask_key."
            )
        self.mixup = mixup
        self.prepare_batch = PrepareBatchDefault() if prepare_batch is None else prepare_batch

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> PrepareBatchFlowMixup:
        """Seed the transform."""
        self.mixup.set_random_state(seed, state)
        return self

    def __call__(
        self,
        batchdata: dict[Any, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Return what the other ``prepare_batch`` makes of the mixed batch."""
        if self.mixup.R is Randomizable.R:
            self.set_random_state(int(torch.randint(2**31, ())))
        batch: dict[Any, Any] = self.mixup(batchdata)
        try:
            return self.prepare_batch(batch, device, non_blocking, **kwargs)
        except BaseException:
            self.mixup.disarm()  # this batch does not get to the network
            raise
