# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Spectral decoupling: any classification loss, and a penalty on the size of the logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.utils import LossReduction
from torch.nn.modules.loss import _Loss

from monai_debias.constraints import BOOL, NONE, Number, OneOf, SequenceOf
from monai_debias.labels import IGNORE_VALUE
from monai_debias.losses.classification import (
    CLASSIFICATION_LOSS,
    REDUCTION,
    has_sigmoids,
    ignored_by,
    make_classification_loss,
    sample_losses,
)
from monai_debias.losses.logits_and_labels import class_shares
from monai_debias.losses.reduction import on_device_of, reduce, sum_over_processes
from monai_debias.parameters import expects
from monai_debias.without_waiting import in_training_step, look

__all__ = ["SpectralDecouplingLoss"]


class SpectralDecouplingLoss(_Loss):
    """Spectral decoupling ``L_class + (λ/2)·‖z − γ‖²``: the logits z themselves are penalised, instead of the weights.

    The penalty of a sample is λ/2 times the sum (or mean, ``class_reduction``) of its logits' squared distances from γ.
    λ only has a meaning together with that reduction, and has to be tuned on validation data;
    ``docs/spectral_decoupling.md`` converts it from the published implementations.

    λ and γ are numbers, or one per class. "Per class" is what the sample's target says:

    - softmax, K logits: K values. A sample of class c has ``(λ_c/2)·Σ_k (z_k − γ_c)²``, a soft or mixed target the mean
      of these with its weights y_c.
    - one logit: two values, of the negative and the positive class, in the same way.
    - multi-label, a sigmoid for each of several logits: K values, each for its own logit, whatever its target:
      ``Σ_k (λ_k/2)·(z_k − γ_k)²``.

    In the first two cases each class has a mean of its own, as in the original CelebA code: the penalty of a batch is
    the mean over the samples of class c (weighted by y_c; a class with less than one sample in all counts by as much
    as the batch has of it, one without any not at all), summed over the classes. With as many samples of each of n
    classes that is n times the mean over the batch; numbers, and multi-label values, have that mean itself. In a
    distributed training the samples of a class are those of all processes.

    The penalty is calculated in float32 (float64 if the logits are that), under autocast, too. After a call ``terms``
    holds the detached scalars ``"classification"`` and ``"penalty"``, the means over the batch as they add up in the
    loss. Values per class are buffers that are not part of the ``state_dict``.

    Args:
        classification_loss: L_class. ``None`` for cross-entropy (binary for one logit), ``"bce"`` for the binary
            cross-entropy of each label (multi-label), the name of a loss of ``torch.nn`` or ``monai.losses``, or a
            loss that was made with ``reduction="none"``; what it returns for a sample beyond one number is averaged.
        penalty_weight: λ, 0 or more. The default, with ``class_reduction="sum"`` and two logits, is DomainBed's
            0.1·mean(z²); for any number of classes that is 0.2 with ``class_reduction="mean"``.
        logit_target: γ.
        class_reduction: ``"sum"`` (the paper) or ``"mean"`` over a sample's logits.
        multi_label: whether each of several logits is a label of its own. It is known for ``None``, ``"bce"``,
            ``CrossEntropyLoss``, ``BCEWithLogitsLoss`` and ``TaskLoss``, and only needed with another loss where values
            are per class and targets of shape (B, K).
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over the batch. ``"none"`` gives shape (B,), whose mean is that
            of ``"mean"`` and whose sum that of ``"sum"``: where each class has a mean of its own, a sample's penalty
            is weighted by y_c·B / max(Σ y_c of the batch, 1).
        ignore_value: what stands for a missing label, e.g. -1, -100 or NaN, or several such numbers; None if there are
            none. L_class is then the mean over the known labels. The penalty needs no label and stays, except where
            values belong to the class of the target, which is then unknown. With a loss of this package inside it is
            given to that one.

    Raises:
        ValueError: when an argument is out of its range, or in a call: when there are not as many values as classes,
            shapes do not fit, the task is unknown, labels are not classes or out of range, or are not
            distributions over the classes although values are per class.
        TypeError: in a call, when logits or labels are not a tensor.
        FloatingPointError: when the logits or a term of the loss are NaN or infinite.

    Reference:
        Pezeshki et al., NeurIPS 2021, Gradient Starvation; in medical imaging Pohjonen et al., iScience 2022.

    Example:
        >>> import torch
        >>> logits, label = torch.tensor([[1.0, -1.0], [3.0, 1.0]]), torch.tensor([0, 1])
        >>> loss = SpectralDecouplingLoss(penalty_weight=0.1)
        >>> loss(logits, label)  # ((0.127 + 0.05·(1 + 1)) + (2.127 + 0.05·(9 + 1))) / 2
        tensor(1.4269)
        >>> {name: round(value.item(), 4) for name, value in loss.terms.items()}
        {'classification': 1.1269, 'penalty': 0.3}
        >>> loss = SpectralDecouplingLoss(penalty_weight=0.1, logit_target=[0.0, 2.0], reduction="none")
        >>> loss(logits, label)  # 0.127 + 2·0.05·(1 + 1), and 2.127 + 2·0.05·(1 + 1)
        tensor([0.3269, 2.3269])
    """

    penalty_weight: float | torch.Tensor
    logit_target: float | torch.Tensor

    @expects(
        classification_loss=CLASSIFICATION_LOSS,
        penalty_weight=Number("[0, inf)") | SequenceOf(Number("[0, inf)"), least=1),
        logit_target=Number() | SequenceOf(Number(), least=1),
        class_reduction=OneOf("sum", "mean"),
        multi_label=NONE | BOOL,
        reduction=REDUCTION,
        ignore_value=IGNORE_VALUE,
    )
    def __init__(
        self,
        classification_loss: torch.nn.Module | str | None = None,
        penalty_weight: float | Sequence[float] | torch.Tensor = 0.1,
        logit_target: float | Sequence[float] | torch.Tensor = 0.0,
        class_reduction: str = "sum",
        multi_label: bool | None = None,
        reduction: LossReduction | str = LossReduction.MEAN,
        ignore_value: float | Sequence[float] | None = None,
    ) -> None:
        super().__init__(reduction=LossReduction(reduction).value)
        self.classification_loss = make_classification_loss(classification_loss)
        self.ignore_value = ignored_by(self.classification_loss, ignore_value)
        self.multi_label = has_sigmoids(self.classification_loss, multi_label)
        self.class_reduction = class_reduction
        self._set("penalty_weight", penalty_weight)
        self._set("logit_target", logit_target)
        self.terms: dict[str, torch.Tensor] = {}

    def _set(self, name: str, value: float | Sequence[float] | torch.Tensor) -> None:
        values = torch.as_tensor(value, dtype=torch.float32).detach()
        if values.ndim == 0:
            setattr(self, name, float(value))  # type: ignore[arg-type]
        else:
            self.register_buffer(name, values.clone(), persistent=False)

    @in_training_step
    def forward(self, pred: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Compute the loss.

        Args:
            pred: logits of shape (B, K).
            target: what the classification loss takes. Where values are per class of the target: class indices (B,) or
                (B, 1), or one-hot, soft or mixed rows (B, K); for one logit 0 to 1, shape (B,) or (B, 1).

        Returns:
            The reduced loss, or shape (B,) for ``reduction="none"``.
        """
        logits, label = _logits_and_labels(pred, target)
        on_device_of(logits, self)
        classification = sample_losses(self.classification_loss, logits, label, self.ignore_value)
        penalty = self._penalty(logits if logits.dtype == torch.float64 else logits.float(), label)
        self.terms = {"classification": classification.detach().mean(), "penalty": penalty.detach().mean()}
        look(_refuse_infinite, self.terms["penalty"])
        return reduce(classification + penalty, self.reduction)

    def _penalty(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """The penalty of each sample, shape (B,), in the dtype of the logits."""
        n = logits.shape[1]
        weight, target = self._values(logits)
        if not self._by_target(n, label):
            squares = weight * (logits - target).square()
            return 0.5 * (squares.sum(1) if self.class_reduction == "sum" else squares.mean(1))
        # Σ_k (z_k − γ_c)² for every class c without a tensor of shape (B, K, K): split at the mean of the logits, both
        # parts are squares, and nothing cancels
        mean = logits.mean(1, keepdim=True)
        squares = (logits - mean).square().mean(1, keepdim=True) + (mean - target).square()
        if self.class_reduction == "sum":
            squares = n * squares
        classes = class_shares(logits, label, self.ignore_value)
        total, n_processes = sum_over_processes(classes.sum(0), logits)
        share = classes * (len(logits) * n_processes / total.clamp(min=1))
        return (share * (0.5 * weight * squares)).sum(1)

    def _values(self, logits: torch.Tensor) -> list[float | torch.Tensor]:
        """λ and γ, after a look at how many there are, on the device of the logits."""
        n_logits, values = logits.shape[1], []
        expected = max(n_logits, 2)
        for name, value in (("penalty_weight", self.penalty_weight), ("logit_target", self.logit_target)):
            if isinstance(value, torch.Tensor) and len(value) != expected:
                what = "the negative and the positive class" if n_logits == 1 else f"{n_logits} logits"
                raise ValueError(f"{name} must be one number, or {expected} for {what}, got {len(value)} numbers.")
            values.append(value.to(logits) if isinstance(value, torch.Tensor) else value)
        return values

    def _by_target(self, n_logits: int, label: torch.Tensor) -> bool:
        """Whether values belong to the class of the sample's target."""
        if not (isinstance(self.penalty_weight, torch.Tensor) or isinstance(self.logit_target, torch.Tensor)):
            return False
        if n_logits == 1:
            return True
        if self.multi_label is None and label.numel() != len(label):
            raise ValueError(
                f"values per class with {type(self.classification_loss).__name__} and labels of shape "
                f"{tuple(label.shape)}: it is unclear whether these are rows over the classes of a softmax "
                "(multi_label=False: values by the class of the target) or several labels (multi_label=True: values by "
                "logit); say which."
            )
        return not self.multi_label


def _refuse_infinite(penalty: torch.Tensor) -> None:
    if not bool(penalty.isfinite()):
        raise FloatingPointError(
            f"the penalty term is {penalty.item()}: training has diverged. Try a lower learning rate, a lower "
            "penalty_weight (λ), whose gradient grows with the logits, or gradient clipping."
        )


def _logits_and_labels(pred: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and labels as plain tensors: meta data would follow every operation."""
    for name, value in (("pred (logits)", pred), ("target (labels)", target)):
        if not isinstance(value, torch.Tensor):
            raise TypeError(f"{name} must be a tensor, got {type(value).__name__}.")
    logits, label = pred.as_subclass(torch.Tensor), target.as_subclass(torch.Tensor)
    if logits.ndim != 2 or logits.numel() == 0:
        raise ValueError(f"logits must be of shape (B, K), for a single logit (B, 1), got {tuple(logits.shape)}.")
    return logits, label
