# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Per-sample weights around any loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from monai.utils import LossReduction
from torch.nn.modules.loss import _Loss

from monai_debias.labels import IGNORE_VALUE
from monai_debias.losses.classification import REDUCTION, ignored_by, sample_losses
from monai_debias.losses.labels import check_finite
from monai_debias.losses.reduction import reduce
from monai_debias.parameters import MODULE, expects

__all__ = ["SampleWeightedLoss"]


class SampleWeightedLoss(_Loss):
    """Weigh the samples of any loss: the loss of each sample times its weight, then the mean over the batch.

    With the weights of ``BackMixWeightd`` this is the loss of wBackMix. In a ``SupervisedTrainer`` the target comes
    from ``PrepareBatchTargets(["label", "weight"])``.

    Args:
        loss: a torch or MONAI loss that was made with ``reduction="none"``; what it returns for a sample beyond one
            number (per class, per position) is averaged.
        reduction: ``"mean"`` or ``"sum"`` over the batch, or ``"none"`` for one value per sample, shape (B,).
        ignore_value: what stands for a missing label of logits (B, K), e.g. -1, -100 or NaN, or several such numbers;
            None if there are none. The mean is then over the known labels. With a loss of this package inside it is
            given to that one.

    Raises:
        ValueError: when ``loss`` reduces by itself, ``reduction`` is unknown, the target lacks ``"label"`` or
            ``"weight"``, labels do not fit the logits, or the weights are not of shape (B,), not finite, or negative.
        TypeError: when labels of logits (B, K) are not a tensor.
        FloatingPointError: when predictions or losses are NaN or infinite; the message names the rows.

    Reference:
        Bransby et al., MICCAI 2024, wBackMix.

    Example:
        >>> import torch
        >>> loss = SampleWeightedLoss(torch.nn.CrossEntropyLoss(reduction="none"))
        >>> logits, label = torch.zeros(2, 4), torch.tensor([0, 3])
        >>> loss(logits, {"label": label, "weight": torch.tensor([0.5, 1.5])})
        tensor(1.3863)
    """

    @expects(loss=MODULE, reduction=REDUCTION, ignore_value=IGNORE_VALUE)
    def __init__(
        self,
        loss: torch.nn.Module,
        reduction: LossReduction | str = LossReduction.MEAN,
        ignore_value: float | Sequence[float] | None = None,
    ) -> None:
        super().__init__(reduction=LossReduction(reduction).value)
        if getattr(loss, "reduction", None) != "none":
            raise ValueError(
                f'{type(loss).__name__} must be made with reduction="none" so that it returns a loss for each sample, '
                f"got reduction={getattr(loss, 'reduction', None)!r}."
            )
        self.loss = loss
        self.ignore_value = ignored_by(loss, ignore_value)

    def forward(self, pred: torch.Tensor, target: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Compute the weighted loss.

        Args:
            pred: what ``loss`` takes first, e.g. logits of shape (B, K).
            target: ``{"label": what the loss takes second, "weight": (B,) weights, 0 or more}``.

        Returns:
            The reduced loss, or shape (B,) for ``reduction="none"``.
        """
        if not isinstance(target, Mapping) or not {"label", "weight"} <= target.keys():
            raise ValueError(
                'target must be a mapping with "label" and "weight"; in a trainer: '
                'prepare_batch=PrepareBatchTargets(["label", "weight"]).'
            )
        per_sample = self._per_sample(pred, target["label"])
        weight = target["weight"].to(per_sample)
        if weight.shape != per_sample.shape:
            raise ValueError(f"weight must have shape {tuple(per_sample.shape)}, got {tuple(weight.shape)}.")
        if not bool(torch.isfinite(weight).all()) or bool((weight < 0).any()):
            raise ValueError("weights must be finite and 0 or more.")
        return reduce(per_sample * weight, self.reduction)

    def _per_sample(self, pred: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        if isinstance(pred, torch.Tensor) and pred.ndim == 2:
            return sample_losses(self.loss, pred, label, LossReduction.NONE.value, self.ignore_value)
        if isinstance(pred, torch.Tensor):  # with a value for each position
            check_finite(pred, "predictions")
        per_sample = self.loss(pred, label)
        return per_sample.reshape(len(per_sample), -1).mean(1)
