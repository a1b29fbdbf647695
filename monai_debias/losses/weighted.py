# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Per-sample weights around any loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.utils import LossReduction
from torch.nn.modules.loss import _Loss

from monai_debias.attached import attached
from monai_debias.labels import IGNORE_VALUE
from monai_debias.losses.classification import (
    CLASSIFICATION_LOSS,
    REDUCTION,
    ignored_by,
    make_classification_loss,
    sample_losses,
)
from monai_debias.losses.logits_and_labels import check_finite
from monai_debias.losses.reduction import reduce
from monai_debias.parameters import expects
from monai_debias.without_waiting import in_training_step, look

__all__ = ["SampleWeightedLoss"]


class SampleWeightedLoss(_Loss):
    """Weigh the samples of any loss: the loss of each sample times its weight, then the mean over the batch.

    The weights are attached to the label. With those of ``BackMixWeightd`` this is the loss of wBackMix; in a
    ``SupervisedTrainer`` ``PrepareBatchAttached`` attaches them. Where a batch is mixed, so are the weights. After a
    call ``terms`` holds the detached mean without weights, ``"classification"``.

    Args:
        classification_loss: ``None`` for cross-entropy (binary for one logit), ``"bce"`` for the binary cross-entropy
            of each label (multi-label), the name of a loss of ``torch.nn`` or ``monai.losses``, or any torch or MONAI
            loss that was made with ``reduction="none"``; what it returns for a sample beyond one number (per class, per
            position) is averaged.
        reduction: ``"mean"`` or ``"sum"`` over the batch, or ``"none"`` for one value per sample, shape (B,).
        ignore_value: what stands for a missing label of logits (B, K), e.g. -1, -100 or NaN, or several such numbers;
            None if there are none. The mean is then over the known labels. With a loss of this package inside it is
            given to that one.

    Raises:
        ValueError: when ``classification_loss`` reduces by itself, ``reduction`` is unknown, no weight is attached to
            the label, labels do not fit the logits, or the weights are not of shape (B,), not finite, or negative.
        TypeError: when labels of logits (B, K) are not a tensor.
        FloatingPointError: when predictions or losses are NaN or infinite; the message names the rows.

    Reference:
        Bransby et al., MICCAI 2024, wBackMix.

    Example:
        >>> import torch
        >>> from monai_debias.attached import attach
        >>> label = attach(torch.tensor([0, 3]), weight=torch.tensor([0.5, 1.5]))
        >>> SampleWeightedLoss()(torch.zeros(2, 4), label)
        tensor(1.3863)
    """

    @expects(classification_loss=CLASSIFICATION_LOSS, reduction=REDUCTION, ignore_value=IGNORE_VALUE)
    def __init__(
        self,
        classification_loss: torch.nn.Module | str | None = None,
        reduction: LossReduction | str = LossReduction.MEAN,
        ignore_value: float | Sequence[float] | None = None,
    ) -> None:
        super().__init__(reduction=LossReduction(reduction).value)
        self.classification_loss = make_classification_loss(classification_loss)
        self.ignore_value = ignored_by(self.classification_loss, ignore_value)
        self.terms: dict[str, torch.Tensor] = {}

    @in_training_step
    def forward(self, pred: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Compute the weighted loss.

        Args:
            pred: what the classification loss takes first, e.g. logits of shape (B, K).
            label: what it takes second, with the weights (B,), 0 or more, attached as ``"weight"``.

        Returns:
            The reduced loss, or shape (B,) for ``reduction="none"``.
        """
        weight = attached(label, "weight")
        if weight is None:
            raise ValueError(
                "no weight is attached to the label: a batch needs the key that BackMixWeightd writes, and a trainer "
                "prepare_batch=PrepareBatchAttached(); elsewhere call attach(label, weight=...)."
            )
        per_sample = self._per_sample(pred, label)
        weight = torch.as_tensor(weight).to(per_sample)
        if weight.shape != per_sample.shape:
            raise ValueError(f"weight must have shape {tuple(per_sample.shape)}, got {tuple(weight.shape)}.")
        look(_refuse_weights, weight)
        self.terms = {"classification": per_sample.detach().mean()}
        return reduce(per_sample * weight, self.reduction)

    def _per_sample(self, pred: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        if isinstance(pred, torch.Tensor) and pred.ndim == 2:
            return sample_losses(self.classification_loss, pred, label, self.ignore_value)
        if isinstance(pred, torch.Tensor):  # with a value for each position
            check_finite(pred, "predictions")
        per_sample = self.classification_loss(pred, label)
        return per_sample.reshape(len(per_sample), -1).mean(1)


def _refuse_weights(weight: torch.Tensor) -> None:
    if not bool(torch.isfinite(weight).all()) or bool((weight < 0).any()):
        raise ValueError(f"weights must be finite and 0 or more, got {weight.min():g} to {weight.max():g}.")
