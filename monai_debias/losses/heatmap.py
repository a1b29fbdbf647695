# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What ISNet demands of a relevance heatmap: little relevance in the background, and enough of it in the foreground."""

from __future__ import annotations

import warnings
from functools import partial

import torch

from monai_debias.constraints import TENSOR, Number, OneOf
from monai_debias.losses.cuts import CUTS, Cuts, as_cuts
from monai_debias.losses.ranks import rank_pooling
from monai_debias.masks import as_region, pool_mask, require_aspect
from monai_debias.origin import file_names
from monai_debias.parameters import expects
from monai_debias.without_waiting import look, waits

__all__ = [
    "DIVERGED",
    "FOREGROUND_PENALTIES",
    "NORMALIZATIONS",
    "MaskedHeatmap",
    "background_loss",
    "foreground_loss",
]

NORMALIZATIONS = ("absRoIMean", "RoIMean")
FOREGROUND_PENALTIES = ("hybrid", "l2")
DIVERGED = (
    "training has diverged. Try a lower learning rate or relevance_weight (P), gradient clipping at a smaller norm, or "
    "a larger epsilon of the relevance."
)

_TINY = 1e-10


@expects(
    heatmap=TENSOR,
    mask=TENSOR,
    rank_decay=Number("[0, 1]"),
    background_scale=Number("(0, inf)"),
    normalization=OneOf(*NORMALIZATIONS),
)
def background_loss(
    heatmap: torch.Tensor,
    mask: torch.Tensor,
    rank_decay: float = 0.9,
    background_scale: float = 1.0,
    normalization: str = "absRoIMean",
) -> torch.Tensor:
    """ISNet's background loss of each sample: how strong the relevance outside the mask is, compared with inside.

    The map's magnitude, divided by its mean inside the mask (over all channels of a map), is pooled over the positions
    of each channel by :func:`rank_pooling`, those inside the mask counting as 0. The result g costs
    ``−ln(1 − u)`` with ``u = g/(g + E)``, at most 1 − 1e-7; the loss is the mean over channels and maps.

    Args:
        heatmap: relevance of shape (B, maps, C, spatial...), 1 to 3 spatial dimensions.
        mask: shape (B, 1, spatial...), 1 = region of interest, 0 = background; a mask of another size than the map, but
            of the same aspect, is pooled to it, where every position that the region touches belongs to it.
        rank_decay: d, from 0 (maximum) to 1 (mean).
        background_scale: E, above 0: the g that costs ln 2.
        normalization: ``"absRoIMean"`` divides the magnitude by its mean inside the mask, ``"RoIMean"`` the signed map
            by its mean before the magnitude is taken.

    Returns:
        Tensor of shape (B,), 0 or more.

    Raises:
        ValueError: when shapes do not fit, the mask has other values than 0 and 1 or is 0 everywhere for a sample, or
            an option is out of its range.
        FloatingPointError: when there is nothing finite to repair the heatmap with, see :class:`MaskedHeatmap`.

    Reference:
        Bassi et al., Nature Communications 2024, ISNet; IEEE Access 2024, Faster ISNet.

    Example:
        >>> import torch
        >>> heatmap = torch.tensor([[[[2.0, -4.0, 3.0, 0.0]]]])  # one sample, map and channel; a signal of 4 values
        >>> background_loss(heatmap, torch.tensor([[[1, 1, 0, 0]]]), rank_decay=0)  # ln(1 + 3/3)
        tensor([0.6931])
    """
    return _masked(heatmap, mask).background_loss(rank_decay, background_scale, normalization)


@expects(heatmap=TENSOR, mask=TENSOR, cuts=CUTS, penalty=OneOf(*FOREGROUND_PENALTIES))
def foreground_loss(
    heatmap: torch.Tensor,
    mask: torch.Tensor,
    cuts: Cuts = (1.0, 100.0),
    penalty: str = "hybrid",
) -> torch.Tensor:
    """ISNet's foreground loss of each sample: 0 while the total relevance inside the mask lies between two cuts.

    With F the sum of the map's magnitude inside the mask, ``(min(F/C1, 1) − 1)²`` keeps the map from vanishing, and
    above C2 ``((F − C2)/C1)²`` from exploding; ``"hybrid"`` goes on as ``F − (C1 + C2) + 1`` above C1 + C2. The loss is
    the mean over the maps.

    Args:
        heatmap: relevance of shape (B, maps, C, spatial...), 1 to 3 spatial dimensions.
        mask: as for :func:`background_loss`, shape (B, 1, spatial...).
        cuts: (C1, C2) with 0 < C1 < C2, or such a pair for each map, shape (2,) or (maps, 2).
        penalty: ``"hybrid"`` or ``"l2"``.

    Returns:
        Tensor of shape (B,), 0 or more.

    Raises:
        ValueError: when shapes do not fit, the mask has other values than 0 and 1 or is 0 everywhere for a sample, or
            the cuts are not 0 < C1 < C2.
        FloatingPointError: when there is nothing finite to repair the heatmap with, see :class:`MaskedHeatmap`.

    Reference:
        Bassi et al., Nature Communications 2024, ISNet; IEEE Access 2024, Faster ISNet (the hybrid penalty).

    Example:
        >>> import torch
        >>> heatmap = torch.tensor([[[[0.02, -0.03, 3.0, 0.0]]]])  # one sample, map and channel; a signal of 4 values
        >>> foreground_loss(heatmap, torch.tensor([[[1, 1, 0, 0]]]), cuts=(0.1, 2.5))  # (0.05/0.1 - 1)^2
        tensor([0.2500])
    """
    return _masked(heatmap, mask).foreground_loss(as_cuts(cuts), penalty)


class MaskedHeatmap:
    """A heatmap and its masks, for the two losses that share most of the work on them.

    Single NaN and infinite values are repaired, with a warning and without a gradient: NaN becomes the mean relevance
    inside the masks of the batch, ±inf the largest or smallest finite value of the heatmap; in a distributed training
    those of the process's own samples: to ask the others, all would have to wait in every step for a rare case.

    Args:
        heatmap: relevance of shape (B, maps, C, spatial...), 1 to 3 spatial dimensions; the calculation is in
            float64 if it is float64, else in float32.
        region: boolean masks of shape (B, 1, spatial...), not empty, as
            :func:`~monai_debias.masks.as_region` returns them.
        name: what messages call the heatmap.

    Raises:
        ValueError: when the shapes do not fit.
        FloatingPointError: when a map of a sample has no finite value, or no map has one inside its mask.

    Example:
        >>> import torch
        >>> heatmap = MaskedHeatmap(torch.tensor([[[[2.0, -4.0, 3.0]]]]), torch.tensor([[[True, True, False]]]))
        >>> heatmap.foreground_relevance
        tensor([[6.]])
    """

    def __init__(self, heatmap: torch.Tensor, region: torch.Tensor, name: str = "heatmap") -> None:
        if heatmap.ndim != region.ndim + 1 or len(heatmap) != len(region):
            raise ValueError(
                f"the {name} must be of shape (rows with a mask, maps, channels, spatial...), got "
                f"{tuple(heatmap.shape)} for masks of shape {tuple(region.shape)}."
            )
        if heatmap.numel() == 0:
            raise ValueError(f"the {name} of shape {tuple(heatmap.shape)} is empty.")
        dtype = torch.float64 if heatmap.dtype == torch.float64 else torch.float32
        self.inside = pool_mask(region, heatmap.shape[3:]).flatten(2).unsqueeze(1).to(dtype)  # (B, 1, 1, positions)
        self.relevance = heatmap.as_subclass(torch.Tensor).to(dtype).flatten(3)  # (B, maps, C, positions)
        # a sum is one pass, and finite unless a value is not; where it had to be waited for, all is repaired unseen
        if waits(heatmap) or not bool(self.relevance.detach().sum().isfinite()):
            self.relevance = _repaired(self.relevance, self.inside, name)
        self.magnitude = self.relevance.abs()
        self.foreground_relevance = (self.magnitude * self.inside).sum((2, 3))  # F, (B, maps)

    def background_loss(self, rank_decay: float, background_scale: float, normalization: str) -> torch.Tensor:
        """See the function :func:`background_loss`."""
        if normalization == "absRoIMean":
            total = self.foreground_relevance
        else:
            total = (self.relevance * self.inside).sum((2, 3))
        size = self.inside.sum((2, 3)) * self.relevance.shape[2]
        norm = (total / (size + _TINY) + _TINY).abs()
        # pooling is homogeneous: dividing its results is dividing the map
        background = rank_pooling(self.magnitude * (1 - self.inside), rank_decay) / norm.unsqueeze(-1)
        # by way of u, although this is ln(1 + g/E): the authors' rounding of u shows beyond the fifth digit
        activation = (background / (background + background_scale)).clamp(max=1 - 1e-7)
        return -(-activation).log1p().mean((1, 2))

    def foreground_loss(self, cuts: torch.Tensor, penalty: str) -> torch.Tensor:
        """See the function :func:`foreground_loss`."""
        if cuts.ndim == 2 and len(cuts) != self.relevance.shape[1]:
            raise ValueError(
                f"there are cuts for {len(cuts)} maps, but the heatmap has {self.relevance.shape[1]}: give one pair "
                "(C1, C2) for all maps, or one for each."
            )
        low, high = cuts.to(self.relevance).unbind(-1)
        missing = 1 - (self.foreground_relevance / low).clamp(max=1)
        excess = (self.foreground_relevance - high).clamp(min=0)
        if penalty == "l2":
            return (missing.square() + (excess / low).square()).mean(1)
        near = torch.minimum(excess, low)  # the square up to C1 + C2, and the straight line after it
        return (missing.square() + (near / low).square() + (excess - near)).mean(1)


def _masked(heatmap: torch.Tensor, mask: torch.Tensor) -> MaskedHeatmap:
    masked = MaskedHeatmap(heatmap, as_region(mask))
    require_aspect(mask.shape[2:], heatmap.shape[3:], file_names(mask))
    return masked


def _repaired(relevance: torch.Tensor, inside: torch.Tensor, name: str) -> torch.Tensor:
    """Replace NaN and infinite values, as long as there is something to judge them by."""
    values = relevance.detach()
    finite = values.isfinite()
    known = finite & inside.bool()
    n_known, per_map = known.sum(), values[0, 0].numel()
    look(partial(_tell_of_repair, name, per_map), finite.sum((2, 3)), n_known)
    mean = torch.where(known, values, 0).sum() / n_known
    low, high = torch.where(finite, values, torch.inf).amin(), torch.where(finite, values, -torch.inf).amax()
    replacement = torch.where(values.isnan(), mean, torch.where(values > 0, high, low))
    return torch.where(finite, relevance, replacement)


def _tell_of_repair(name: str, per_map: int, n_finite: torch.Tensor, n_known: torch.Tensor) -> None:
    """Warn of values that were replaced, and refuse maps without any finite value; n_finite is (B, maps)."""
    n_replaced = per_map * n_finite.numel() - int(n_finite.sum())
    if n_replaced == 0:  # finite values, but a sum beyond the range of the dtype: for the loss to report
        return
    if int(n_known) == 0 or bool((n_finite == 0).any()):
        raise FloatingPointError(f"the {name} has a map without any finite value, or none inside the masks: {DIVERGED}")
    warnings.warn(
        f"{n_replaced} of {per_map * n_finite.numel()} values of the {name} are NaN or infinite and were replaced; if "
        "this goes on, lower the learning rate or relevance_weight (P), or raise epsilon.",
        stacklevel=2,
    )
