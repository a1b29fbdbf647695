# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The loss of ISNet: classification, and a penalty on relevance in the background."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

import torch
from monai.utils import LossReduction
from torch.nn.modules.loss import _Loss

from monai_debias.attached import attached
from monai_debias.constraints import STRING, MappingOf, Number, OneOf
from monai_debias.labels import IGNORE_VALUE
from monai_debias.losses.classification import (
    CLASSIFICATION_LOSS,
    REDUCTION,
    ignored_by,
    make_classification_loss,
    sample_losses,
)
from monai_debias.losses.cuts import CUTS, Cuts, LayerCuts
from monai_debias.losses.heatmap import DIVERGED, FOREGROUND_PENALTIES, NORMALIZATIONS, MaskedHeatmap
from monai_debias.losses.logits_and_labels import without_meta
from monai_debias.losses.ranks import rank_weights
from monai_debias.losses.reduction import on_device_of, reduce, sum_over_processes
from monai_debias.masks import as_region, require_aspect, rows_with_mask
from monai_debias.origin import file_names
from monai_debias.parameters import expects
from monai_debias.without_waiting import in_training_step, look

__all__ = ["ISNetLRPLoss"]


class ISNetLRPLoss(_Loss):
    """ISNet's loss ``(1 − P)·L_class + P·L_heat``, with ``L_heat = w1·L_background + w2·L_foreground``.

    It takes logits with relevance heatmaps attached, as ``ISNetInferer`` returns them in training, and labels with
    masks attached, as ``PrepareBatchAttached`` does (see :mod:`monai_debias.attached`). It penalises relevance outside
    the mask (:func:`~monai_debias.losses.heatmap.background_loss`) and a total relevance inside the mask that vanishes
    or explodes (:func:`~monai_debias.losses.heatmap.foreground_loss`). With heatmaps of several layers (deep
    supervision) the layers' heatmap losses of each sample are combined by rank pooling.

    Our own extension: only some of the samples need a mask. L_class is the mean over all rows of the batch, L_heat
    over those that have a mask. Without any heatmap in a batch what remains is ``(1 − P)·L_class``. In a distributed
    training L_heat is the mean over the masks of all processes, whichever of them has how many.

    All sums over the heatmap are in float32 (float64 if it comes so), also under autocast. Like the authors' code, the
    loss replaces single NaN and infinite values of the heatmap (NaN by the mean relevance inside the masks, infinities
    by the largest and smallest finite value), but it warns of it, and a map without any finite value is an error, as is
    any term that does not come out finite.

    After a call ``terms`` holds the detached scalars ``"classification"`` and, if there was a heatmap,
    ``"background"`` and ``"foreground"``, without P, w1 and w2. ``relevance_weight`` may be set between calls, e.g. by
    a schedule. The cuts are buffers: the ``state_dict`` has them, and a loss made with any cuts takes on those of the
    ``state_dict`` that it loads.

    The defaults were chosen beside the blended backgrounds of ``ISNetInferer``; the authors' settings are P = 0.7 and
    E = 1, without a blend.

    Args:
        classification_loss: L_class. ``None`` for cross-entropy (binary for one logit), ``"bce"`` for the binary
            cross-entropy of each label (multi-label), the name of a loss of ``torch.nn`` or ``monai.losses``, or a
            loss that was made with ``reduction="none"``; what it returns for a sample beyond one number is averaged.
        relevance_weight: P, from 0 to below 1. Lower learns faster, and may leave the bias.
        rank_decay: d of the background loss, from 0 (only the strongest position of a channel counts) to 1 (all do
            alike, a small mark is lost in the mean). Lower resists bias more and is less stable.
        background_scale: E of the background loss, above 0. Lower asks for less relevance outside.
        background_weight: w1, 0 or more.
        foreground_weight: w2, 0 or more.
        cuts: (C1, C2) with 0 < C1 < C2, between which the total relevance inside the mask goes unpenalised; for a
            heatmap of several maps (dual) also a pair for each map. The default leaves a network for inputs in [0, 1]
            or with z-score its usual range, and only keeps relevance from vanishing or exploding. Layers of their own
            cuts: ``{layer: cuts}``, where ``"input"`` is the input map and ``"*"`` every other one.
        foreground_penalty: ``"hybrid"`` (Faster ISNet) or ``"l2"``, how the foreground loss grows above C2.
        normalization: ``"absRoIMean"`` or ``"RoIMean"``, what the heatmap is divided by in the background loss.
        layer_rank_decay: d of the rank pooling of the layers, from 0 (the worst layer) to 1 (their mean).
        reduction: ``"mean"``, ``"sum"`` or ``"none"`` over the batch. ``"none"`` gives shape (B,): the classification
            loss of each row, and for rows with a mask the heatmap loss times B / (rows with a mask), so that the mean
            over the batch is that of ``"mean"``, and the sum that of ``"sum"``.
        ignore_value: what stands for a missing label, e.g. -1, -100 or NaN, or several such numbers; None if there are
            none. L_class is then the mean over the known labels. With a loss of this package inside it is given to
            that one.

    Raises:
        ValueError: when an argument is out of its range, or in a call: when there is a heatmap and no mask, shapes do
            not fit, labels are not classes or out of range, or a mask has other values than 0 and 1 or is 0
            everywhere.
        TypeError: in a call, when labels are not a tensor.
        FloatingPointError: when logits or a term of the loss are NaN or infinite; the message names the term or rows.

    Reference:
        Bassi et al., Nature Communications 2024, ISNet; IEEE Access 2024, Faster ISNet (hybrid foreground penalty).

    Example:
        >>> import torch
        >>> from monai_debias.attached import attach
        >>> loss = ISNetLRPLoss(relevance_weight=0.5, rank_decay=0, background_scale=1, cuts=(0.1, 2.5))
        >>> heatmap = torch.tensor([[[[0.25, -0.5, 0.375, 0.0]]]])  # one map of one channel; a signal of 4 values
        >>> label = attach(torch.tensor([0]), mask=torch.tensor([[[1, 1, 0, 0]]]))
        >>> loss(attach(torch.zeros(1, 2), heatmap=heatmap), label)  # (ln 2 + ln(1 + 0.375/0.375)) / 2
        tensor(0.6931)
        >>> {name: round(value.item(), 4) for name, value in loss.terms.items()}
        {'classification': 0.6931, 'background': 0.6931, 'foreground': 0.0}
    """

    scheduled = ("_relevance_weight", "_shares")  # what a recorded step does not hold fast: see keep_on_device

    @expects(
        classification_loss=CLASSIFICATION_LOSS,
        relevance_weight=Number("[0, 1)"),
        rank_decay=Number("[0, 1]"),
        background_scale=Number("(0, inf)"),
        background_weight=Number("[0, inf)"),
        foreground_weight=Number("[0, inf)"),
        cuts=CUTS | MappingOf(CUTS, key=STRING, least=1),
        foreground_penalty=OneOf(*FOREGROUND_PENALTIES),
        normalization=OneOf(*NORMALIZATIONS),
        layer_rank_decay=Number("[0, 1]"),
        reduction=REDUCTION,
        ignore_value=IGNORE_VALUE,
    )
    def __init__(
        self,
        classification_loss: torch.nn.Module | str | None = None,
        relevance_weight: float = 0.2,
        rank_decay: float = 0.9,
        background_scale: float = 0.1,
        background_weight: float = 1.0,
        foreground_weight: float = 1.0,
        cuts: Cuts | Mapping[str, Cuts] = (1.0, 100.0),
        foreground_penalty: str = "hybrid",
        normalization: str = "absRoIMean",
        layer_rank_decay: float = 0.8,
        reduction: LossReduction | str = LossReduction.MEAN,
        ignore_value: float | Sequence[float] | None = None,
    ) -> None:
        super().__init__(reduction=LossReduction(reduction).value)
        self.classification_loss = make_classification_loss(classification_loss)
        self.ignore_value = ignored_by(self.classification_loss, ignore_value)
        self._shares: tuple[float, float] | torch.Tensor = (1.0, 0.0)
        self.relevance_weight = relevance_weight
        self.rank_decay = rank_decay
        self.background_scale = background_scale
        self.background_weight = background_weight
        self.foreground_weight = foreground_weight
        self.foreground_penalty = foreground_penalty
        self.normalization = normalization
        self.layer_rank_decay = layer_rank_decay
        self.terms: dict[str, torch.Tensor] = {}
        self.layer_cuts = LayerCuts(cuts)

    @property
    def relevance_weight(self) -> float:
        """P: the share of the heatmap loss, from 0 to below 1."""
        return self._relevance_weight

    @relevance_weight.setter
    def relevance_weight(self, value: float) -> None:
        if not 0 <= value < 1:
            raise ValueError(f"relevance_weight (P) must lie in [0, 1), got {value}.")
        self._relevance_weight = float(value)
        if isinstance(self._shares, torch.Tensor):
            self._shares[0].fill_(1 - self._relevance_weight)
            self._shares[1].fill_(self._relevance_weight)
        else:
            self._shares = 1 - self._relevance_weight, self._relevance_weight

    def keep_on_device(self, device: torch.device) -> None:
        """Keep P in the memory of a device from now on, where a recorded step sees what it is set to.

        Args:
            device: that of the recording.
        """
        if not isinstance(self._shares, torch.Tensor):
            self._shares = torch.tensor(self._shares, dtype=torch.float64, device=device)

    @property
    def cuts(self) -> torch.Tensor | dict[str, torch.Tensor]:
        """The cuts in the form that :meth:`set_cuts` takes: a pair, a pair for each map, or these by layer."""
        return self.layer_cuts.get()

    def set_cuts(self, cuts: Cuts | Mapping[str, Cuts]) -> None:
        """Replace the cuts.

        Args:
            cuts: as the constructor takes them.

        Raises:
            ValueError: when they are not pairs with 0 < C1 < C2.
        """
        self.layer_cuts.set(cuts)

    @in_training_step
    def forward(self, pred: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Compute the loss.

        Args:
            pred: logits (B, K), with the ``"heatmap"`` attached: (R, maps, C, spatial...) for the R samples that have a
                mask, or a mapping of such, of hidden layers.
            label: what the classification loss takes, with the ``"mask"`` attached, (B, 1, spatial...), and
                ``"has_mask"``, bool (B,), if not all of them are real.

        Returns:
            The reduced loss, or shape (B,) for ``reduction="none"``. The classification loss inside may have more rows
            than B, those that Flow-Mixup appends; then so has the result.
        """
        heatmap = attached(pred, "heatmap")
        mask, has_mask = attached(label, "mask"), attached(label, "has_mask")
        classification = sample_losses(self.classification_loss, pred, label, self.ignore_value)
        on_device_of(classification, self)
        self.terms = {"classification": classification.detach().mean()}
        heat = self._heat(heatmap, mask, has_mask, classification)
        of_class, of_heat = self._shares
        return reduce(of_class * classification + of_heat * heat, self.reduction)

    def _heat(
        self,
        heatmap: torch.Tensor | Mapping[str, torch.Tensor] | None,
        mask: torch.Tensor | None,
        has_mask: torch.Tensor | None,
        like: torch.Tensor,
    ) -> torch.Tensor:
        """L_heat of each row, like the classification losses (B,), so that its mean is that over all masks."""
        n, each, rows = len(like), None, None
        if heatmap is not None:
            maps = heatmap if isinstance(heatmap, Mapping) else {"input": heatmap}
            with torch.autocast(like.device.type, enabled=False):
                rows, each = self._heat_of_rows(maps, mask, has_mask, n)
        count = like.new_full((), 0 if each is None else len(each), dtype=torch.float32)
        total, n_processes = sum_over_processes(count, like)
        if each is None or rows is None:
            return torch.zeros_like(like)
        total = total.to(each)
        for name in ("background", "foreground"):
            self.terms[name] = self.terms[name] * (n_processes * len(each) / total)
        return each.new_zeros(n).index_copy(0, rows, each * (n * n_processes / total))

    def _heat_of_rows(
        self, heatmaps: Mapping[str, torch.Tensor], mask: torch.Tensor | None, has_mask: torch.Tensor | None, n: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Which of n rows have a mask, int64 (R,), and L_heat of each of these."""
        if not heatmaps:
            raise ValueError("the heatmap is an empty mapping; the inferer must be given at least one layer.")
        plain, rows = _real_masks(mask, has_mask, n, len(next(iter(heatmaps.values()))))
        files = file_names(mask)
        region = as_region(plain, files=files, rows=rows)
        background, foreground = [], []
        for layer, relevance in heatmaps.items():
            heatmap = MaskedHeatmap(relevance, region, f'heatmap of "{layer}"')
            background.append(heatmap.background_loss(self.rank_decay, self.background_scale, self.normalization))
            foreground.append(heatmap.foreground_loss(self.layer_cuts.of(layer), self.foreground_penalty))
        # the input's map, if there is one: a network may cut off as much as it likes until its last stages
        require_aspect(region.shape[2:], max((m.shape[3:] for m in heatmaps.values()), key=math.prod), files)
        both = torch.stack(background, 1), torch.stack(foreground, 1)
        look(partial(_refuse_infinite, list(heatmaps)), *both)
        heat, background_term, foreground_term = self._pool_layers(*both)
        self.terms |= {"background": background_term, "foreground": foreground_term}
        return rows, heat

    def _pool_layers(self, background: torch.Tensor, foreground: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """From losses of shape (R, layers): L_heat of each row, and the shares that both terms have in it."""
        heat = self.background_weight * background + self.foreground_weight * foreground
        if heat.shape[1] == 1:
            return heat.squeeze(1), background.detach().mean(), foreground.detach().mean()
        order = heat.detach().argsort(1, descending=True)
        weights = rank_weights(heat.shape[1], self.layer_rank_decay, like=heat)
        pooled = [
            (values.gather(1, order) * weights).sum(1) for values in (heat, background.detach(), foreground.detach())
        ]
        return pooled[0], pooled[1].mean(), pooled[2].mean()


def _real_masks(
    mask: torch.Tensor | None, has_mask: torch.Tensor | None, n: int, n_maps: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The masks of the rows that have one, and which of the n rows these are: as many as there are heatmaps."""
    if mask is None:
        raise ValueError(
            "there is a heatmap, but no mask is attached to the label: a batch needs the key of the masks, and a "
            "trainer prepare_batch=PrepareBatchAttached(); elsewhere call attach(label, mask=...)."
        )
    plain = without_meta(mask)
    if len(plain) > n:
        raise ValueError(f"there are {n} rows of logits, but masks of shape {tuple(plain.shape)}.")
    if has_mask is None:
        return plain, torch.arange(len(plain), device=plain.device)
    flags = without_meta(has_mask)
    if flags.dtype != torch.bool or flags.shape != plain.shape[:1]:
        raise ValueError(
            f"has_mask must be boolean of shape ({len(plain)},), got {flags.dtype} of shape {tuple(flags.shape)}."
        )
    look(partial(_refuse_other_number, n_maps), flags)
    rows = rows_with_mask(flags.to(plain.device), n_maps)
    return plain[rows], rows


def _refuse_other_number(n_maps: int, has_mask: torch.Tensor) -> None:
    n_masks = int(has_mask.sum())
    if n_masks != n_maps:
        raise ValueError(
            f"there are heatmaps of {n_maps} rows, but {n_masks} rows have a mask: the inferer must explain those that "
            "have one; in a trainer prepare_batch=PrepareBatchAttached() says which."
        )


def _refuse_infinite(layers: Sequence[str], background: torch.Tensor, foreground: torch.Tensor) -> None:
    """Refuse NaN and infinite terms, (R, layers)."""
    for name, losses in (("background", background), ("foreground", foreground)):
        for layer, loss in zip(layers, losses.unbind(1), strict=True):
            if not bool(loss.isfinite().all()):
                mean = loss.mean().item()
                raise FloatingPointError(f'the {name} loss of the heatmap of "{layer}" is {mean}: {DIVERGED}')
