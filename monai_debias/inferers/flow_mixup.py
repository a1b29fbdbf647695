# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Predictions for the samples of a batch, from a network that computes more rows than the batch has."""

from __future__ import annotations

from typing import Any

import torch
from monai.inferers import Inferer, SimpleInferer

from monai_debias.attached import attach, attached, take_apart
from monai_debias.constraints import NONE, Instance
from monai_debias.parameters import expects

__all__ = ["FlowMixupInferer"]


class FlowMixupInferer(Inferer):
    """Run a classifier whose states Flow-Mixup mixes: logits of the batch's samples, with those of all rows attached.

    Mixed rows come after those of the samples, see ``MixBatch``. Metrics and post-processing of a trainer are about the
    samples alone; ``MixupLoss`` takes all rows. In evaluation it behaves like the inferer inside. Mixup and Manifold
    Mixup, which replace rows, do not need it.

    Args:
        inferer: what runs the network, e.g. an ``ISNetInferer``; None for MONAI's ``SimpleInferer``.

    Raises:
        TypeError: when ``inferer`` is not an inferer of MONAI.

    Reference:
        Chen et al., Flow-Mixup, BIBM 2020.

    Example:
        >>> import torch
        >>> from monai_debias.engines import PrepareBatchAttached
        >>> from monai_debias.transforms import MixBatchd
        >>> network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 8), torch.nn.Linear(8, 2))
        >>> prepare_batch = PrepareBatchAttached(MixBatchd.flow_mixup("image", network, ["1"], num_classes=2))
        >>> image, label = prepare_batch({"image": torch.rand(3, 1, 4), "label": torch.tensor([0, 1, 1])})
        >>> logits = FlowMixupInferer()(image, network)
        >>> logits.shape, attached(logits, "rows").shape
        (torch.Size([3, 2]), torch.Size([6, 2]))
    """

    @expects(inferer=NONE | Instance(Inferer))
    def __init__(self, inferer: Inferer | None = None) -> None:
        super().__init__()
        self.inferer = SimpleInferer() if inferer is None else inferer

    def __call__(self, inputs: torch.Tensor, network: torch.nn.Module, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Classify.

        Args:
            inputs: shape (B, C, spatial...), with all rows attached where images are mixed.
            network: classifier that returns logits, (B'', K) of all rows.
            args: further positional arguments of the inferer.
            kwargs: further keyword arguments of the inferer.

        Returns:
            Logits (B, K) with the logits (B'', K) and what the inferer attached to them.
        """
        found = self.inferer(attached(inputs, "rows", inputs), network, *args, **kwargs)
        if len(found) == len(inputs):
            return found
        rows, parts = take_apart(found)
        return attach(rows[: len(inputs)], **parts, rows=rows)
