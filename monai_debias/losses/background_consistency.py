# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Classification, and a penalty on predictions that change with the background."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.utils import LossReduction
from torch.nn.modules.loss import _Loss

from monai_debias.attached import attached
from monai_debias.constraints import BOOL, NONE, Number
from monai_debias.labels import IGNORE_VALUE
from monai_debias.losses.classification import (
    CLASSIFICATION_LOSS,
    REDUCTION,
    has_sigmoids,
    ignored_by,
    make_classification_loss,
    sample_losses,
)
from monai_debias.losses.logits_and_labels import check_finite, without_meta
from monai_debias.losses.reduction import reduce, sum_over_processes
from monai_debias.parameters import expects
from monai_debias.without_waiting import in_training_step

__all__ = ["BackgroundConsistencyLoss"]


class BackgroundConsistencyLoss(_Loss):
    r"""Background consistency: any classification loss, and a penalty on what another background changes.

    .. math:: L = L_\mathrm{class}(x, y) + \lambda \, \frac{1}{R} \sum_i d(p(x_i), p(\tilde{x}{}_i)), \qquad
              d(p, q) = \sum_k (p_k - q_k)^2

    with :math:`\tilde{x}{}_i` the image i on the background of another image of the batch, as BackMix makes it, and p
    the predicted distribution over the classes. R is the number of images with such a pair: an image without a mask has
    its classification loss only. It is the consistency regularisation of semi-supervised learning (Π-model), or logit
    pairing, with an exchange of backgrounds as the change that must not matter. In a trainer ``PrepareBatchAttached``
    with ``SwapBackgrounds`` makes :math:`\tilde{x}`, and ``BackgroundSwapInferer`` attaches its logits to those of the
    images. If nothing is attached, as in a validation, only :math:`L_\mathrm{class}` remains.

    One logit stands for two classes, so that d is :math:`2 (p - q)^2`; for several labels it is the mean of that over
    the labels, known or not, as binary cross-entropy is a mean over labels. Gradients flow through both predictions: a
    network that reads the background is wrong in both.

    Predictions are compared in float32 (float64 if the logits are that), under autocast, too. In a distributed training
    R counts the pairs of all processes. After a call ``terms`` holds the detached scalars ``"classification"`` and, if
    there was a pair, ``"consistency"``, without λ.

    Args:
        classification_loss: L_class. ``None`` for cross-entropy (binary for one logit), ``"bce"`` for the binary
            cross-entropy of each label (multi-label), the name of a loss of ``torch.nn`` or ``monai.losses``, or a
            loss that was made with ``reduction="none"``; what it returns for a sample beyond one number is averaged.
        consistency_weight: λ, 0 or more.
        multi_label: whether each of several logits is a label of its own. It is known for ``None``, ``"bce"``,
            ``CrossEntropyLoss``, ``BCEWithLogitsLoss`` and ``TaskLoss``, and only needed with another loss.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over the batch. ``"none"`` gives shape (B,): the classification
            loss of each row, and for those with a pair λ·d·B/R, so that the mean over the batch is that of ``"mean"``,
            and the sum that of ``"sum"``.
        ignore_value: the value of a missing label, e.g. -1, -100 or NaN, or several such numbers; None if there are
            none. L_class is then the mean over the known labels; d needs no label. With a loss of this package inside
            it is given to that one.

    Raises:
        ValueError: when an argument is out of its range, or in a call, when shapes do not fit, labels are not classes
            or out of range, or it is unknown whether several logits are a softmax.
        TypeError: in a call, when labels are not a tensor.
        FloatingPointError: when logits or a term of the loss are NaN or infinite; the message names the rows.

    Reference:
        Laine and Aila, Temporal Ensembling, ICLR 2017 (Π-model); Kannan et al., Adversarial Logit Pairing, 2018;
        Bransby et al., BackMix, MICCAI 2024 (the pairs). Their combination is an extension of this project.

    Example:
        >>> import torch
        >>> from monai_debias.attached import attach
        >>> logits, swapped = torch.tensor([[0.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 20.0]])
        >>> pred = attach(logits, swapped={"rows": torch.tensor([1]), "logits": swapped})
        >>> loss = BackgroundConsistencyLoss(consistency_weight=5.0)
        >>> loss(pred, torch.tensor([0, 1]))  # ln 2 + 5·(0.5² + 0.5²)
        tensor(3.1931)
        >>> {name: round(value.item(), 4) for name, value in loss.terms.items()}
        {'classification': 0.6931, 'consistency': 0.5}
    """

    @expects(
        classification_loss=CLASSIFICATION_LOSS,
        consistency_weight=Number("[0, inf)"),
        multi_label=NONE | BOOL,
        reduction=REDUCTION,
        ignore_value=IGNORE_VALUE,
    )
    def __init__(
        self,
        classification_loss: torch.nn.Module | str | None = None,
        consistency_weight: float = 5.0,
        multi_label: bool | None = None,
        reduction: LossReduction | str = LossReduction.MEAN,
        ignore_value: float | Sequence[float] | None = None,
    ) -> None:
        super().__init__(reduction=LossReduction(reduction).value)
        self.classification_loss = make_classification_loss(classification_loss)
        self.ignore_value = ignored_by(self.classification_loss, ignore_value)
        self.multi_label = has_sigmoids(self.classification_loss, multi_label)
        self.consistency_weight = consistency_weight
        self.terms: dict[str, torch.Tensor] = {}

    @in_training_step
    def forward(self, pred: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Compute the loss.

        Args:
            pred: logits (B, K), with ``"swapped"`` attached: ``{"rows": ..., "logits": ...}``, indices (R,) of the rows
                that have a pair, int64, and the logits (R, K) of these on another background.
            label: what the classification loss takes.

        Returns:
            The reduced loss, or shape (B,) for ``reduction="none"``.
        """
        swapped = attached(pred, "swapped")
        classification = sample_losses(self.classification_loss, pred, label, self.ignore_value)
        self.terms = {"classification": classification.detach().mean()}
        if swapped is None:
            return reduce(classification, self.reduction)
        consistency = self._consistency(without_meta(pred), swapped["rows"], swapped["logits"], len(classification))
        return reduce(classification + self.consistency_weight * consistency, self.reduction)

    def _consistency(self, logits: torch.Tensor, rows: torch.Tensor, swapped: torch.Tensor, n: int) -> torch.Tensor:
        """The distance of each of n rows, (n,), so that its mean is that over all pairs; 0 for a row without one."""
        if logits.ndim != 2 or swapped.shape != (len(rows), logits.shape[1]):
            raise ValueError(
                f"expected logits (B, K) and those of {len(rows)} swapped rows, (R, K), got {tuple(logits.shape)} and "
                f"{tuple(swapped.shape)}."
            )
        each = self._distances(logits[rows], swapped)
        check_finite(each, "distances between the predictions of an image and of its swap")
        total, n_processes = sum_over_processes(each.new_full((), len(each)), logits)
        if len(each):
            self.terms["consistency"] = each.detach().sum() * n_processes / total
        return each.new_zeros(n).index_copy(0, rows, each * (n * n_processes / total.clamp(min=1)))

    def _distances(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """The distance d between the predictions of logits (R, K), shape (R,)."""
        one, other = (part if part.dtype == torch.float64 else part.float() for part in (one, other))
        if one.shape[1] > 1 and self.multi_label is None:
            raise ValueError(
                f"it is unknown whether the {one.shape[1]} logits of {type(self.classification_loss).__name__} are "
                "those of a softmax (multi_label=False) or of several labels (multi_label=True): say which."
            )
        if one.shape[1] > 1 and not self.multi_label:
            return (one.softmax(1) - other.softmax(1)).square().sum(1)
        return 2 * (one.sigmoid() - other.sigmoid()).square().mean(1)
