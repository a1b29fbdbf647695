# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The loss of Mixup, Manifold Mixup and Flow-Mixup: of the rows that the network computes, group by group."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.utils import LossReduction
from torch.nn.modules.loss import _Loss

from monai_debias.attached import attached
from monai_debias.constraints import NONE, STRING, Number, SequenceOf
from monai_debias.labels import IGNORE_VALUE
from monai_debias.losses.classification import (
    CLASSIFICATION_LOSS,
    REDUCTION,
    ignored_by,
    make_classification_loss,
    sample_losses,
)
from monai_debias.losses.reduction import on_device_of, reduce
from monai_debias.parameters import expects
from monai_debias.without_waiting import in_training_step

__all__ = ["MixupLoss"]


class MixupLoss(_Loss):
    r"""The loss of the rows that a mixup makes of a batch, group by group: :math:`L = \sum_g w_g L_g / \sum_g w_g`.

    In a trainer, ``PrepareBatchAttached`` attaches the labels of all rows to the un-mixed label. Where rows are
    appended, ``FlowMixupInferer`` attaches all logits to those of the samples. If nothing is attached, the logits and
    labels are taken as those of all rows.

    :math:`L_g` is the mean classification loss of group g. The rows of the groups follow one another, each group with
    as many as the batch has samples, as ``MixBatch`` puts them. With equal weights the value is that of the
    classification loss alone; what it adds is the record of each group. After a call ``terms`` holds it, detached, for
    the handler ``LossTerms``.

    Args:
        groups: names of the groups in their order, e.g. ``mixup.groups``; by default the one group of a
            mixup that replaces rows.
        classification_loss: ``None`` for cross-entropy (binary for one logit), ``"bce"`` for the binary cross-entropy
            of each label (multi-label), the name of a loss of ``torch.nn`` or ``monai.losses``, or a loss that was made
            with ``reduction="none"``.
        weights: w, 0 or more, one for each group; None for equal ones.
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over the rows. ``"none"`` gives shape (G·B,), the loss of each
            row times :math:`G w_g / \sum w`, so that its mean is L; ``"sum"`` is the sum of these.
        ignore_value: what stands for a missing label, e.g. -1, -100 or NaN, or several such numbers; None if there are
            none. L_g is then the mean over the known labels of the group, and 0 if it has none. A
            classification loss of this package is given it instead; its mean is that over the known labels of all
            groups together.

    Raises:
        ValueError: when there is no group, two have the same name, the weights do not fit, or in a call, when the rows
            are not those of as many groups, or labels are not classes or out of range.
        TypeError: when ``groups`` is a string, ``classification_loss`` is not a loss, or labels are not a tensor.
        FloatingPointError: when logits or losses are NaN or infinite; the message names the rows.

    Reference:
        Chen et al., Flow-Mixup, BIBM 2020. That the groups' losses are averaged is our reading of it.

    Example:
        >>> import torch
        >>> loss = MixupLoss(["unmixed", "layer1"], weights=[3, 1])
        >>> logits = torch.tensor([[0.0, 0.0], [0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
        >>> label = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.5, 0.5]])
        >>> loss(logits, label)  # (3 ln 2 + 5.00) / 4
        tensor(1.7699)
        >>> {name: round(value.item(), 4) for name, value in loss.terms.items()}
        {'unmixed': 0.6931, 'layer1': 5.0}
    """

    weights: torch.Tensor

    @expects(
        groups=SequenceOf(STRING, least=1),
        classification_loss=CLASSIFICATION_LOSS,
        weights=NONE | SequenceOf(Number("[0, inf)"), least=1),
        reduction=REDUCTION,
        ignore_value=IGNORE_VALUE,
    )
    def __init__(
        self,
        groups: Sequence[str] = ("mixed",),
        classification_loss: torch.nn.Module | str | None = None,
        weights: Sequence[float] | None = None,
        reduction: LossReduction | str = LossReduction.MEAN,
        ignore_value: float | Sequence[float] | None = None,
    ) -> None:
        super().__init__(reduction=LossReduction(reduction).value)
        self.groups = tuple(groups)
        if len(set(self.groups)) < len(self.groups):
            raise ValueError(f"groups must be different names, got {self.groups}.")
        chosen = torch.tensor([1.0] * len(self.groups) if weights is None else list(weights))
        if len(chosen) != len(self.groups) or float(chosen.sum()) == 0:
            raise ValueError(
                f"weights must be {len(self.groups)} numbers of 0 or more, one for each of {self.groups}, and not all "
                f"0; got {weights}."
            )
        self.classification_loss = make_classification_loss(classification_loss)
        self.ignore_value = ignored_by(self.classification_loss, ignore_value)
        self.register_buffer("weights", chosen * len(chosen) / chosen.sum(), persistent=False)
        self.terms: dict[str, torch.Tensor] = {}

    @in_training_step
    def forward(self, pred: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Compute the loss.

        Args:
            pred: logits (G·B, K) for G groups, or logits with these attached as ``"rows"``.
            label: what the classification loss takes for all rows, e.g. (G·B, K), or labels with these attached.

        Returns:
            The reduced loss, or shape (G·B,) for ``reduction="none"``.
        """
        n_groups, logits = len(self.groups), attached(pred, "rows", pred)
        if logits.ndim != 2 or len(logits) == 0 or len(logits) % n_groups:
            raise ValueError(
                f"expected logits (G·B, K) of the {n_groups} groups {self.groups}, got shape {tuple(logits.shape)}."
            )
        labels = attached(label, "rows", label)
        rows = sample_losses(self.classification_loss, logits, labels, self.ignore_value, n_groups)
        rows = rows.reshape(n_groups, -1)
        self.terms = dict(zip(self.groups, rows.detach().mean(1), strict=True))
        on_device_of(rows, self)
        return reduce((rows * self.weights.to(rows.dtype)[:, None]).flatten(), self.reduction)
