# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The sample weights of wBackMix: with few masks, augmented samples count more."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import Transform
from monai.utils import TransformBackends

from monai_debias.constraints import BOOL, KEY, Number
from monai_debias.parameters import expects

__all__ = ["BackMixWeightD", "BackMixWeightDict", "BackMixWeightd", "backmix_weight"]


@expects(has_mask=BOOL, mask_fraction=Number("(0, 1]"), strength=Number("[0, inf)"))
def backmix_weight(has_mask: bool, mask_fraction: float, strength: float) -> float:
    """Loss weight of one sample in wBackMix: ``1 + λ(1 - f)`` with a mask, ``1 - λf`` without one.

    The mean over a data set in which the fraction f of the samples has a mask is 1.

    Args:
        has_mask: whether the sample has a mask, and is thus augmented.
        mask_fraction: f in (0, 1], the fraction of all training samples that have a mask.
        strength: λ in [0, 1/f]; 0 gives the plain loss, the paper uses 1 and 2 with f = 0.05.

    Returns:
        The weight, 0 or more.

    Raises:
        ValueError: when ``mask_fraction`` is not in (0, 1] or ``strength`` is not in [0, 1/f].

    Reference:
        Bransby et al., MICCAI 2024, wBackMix.

    Example:
        >>> backmix_weight(True, 0.05, 1.0), backmix_weight(False, 0.05, 1.0)
        (1.95, 0.95)
    """
    if strength * mask_fraction > 1.0:
        raise ValueError(
            f"strength must lie in [0, 1/mask_fraction] = [0, {1 / mask_fraction:g}], got {strength}: beyond it "
            "samples without a mask would get a negative weight."
        )
    return 1.0 + strength * (1.0 - mask_fraction) if has_mask else 1.0 - strength * mask_fraction


class BackMixWeightd(Transform):
    """Write the wBackMix loss weight of a sample (see :func:`backmix_weight`) for :class:`SampleWeightedLoss`.

    Put it where the sample still has its mask, before the mask is deleted for batching.

    Args:
        mask_key: key of the mask; a sample without it, or with None under it, counts as one without a mask.
        weight_key: key that the weight is written to, a float32 tensor without dimensions (a batch collates to (B,)).
        mask_fraction: f in (0, 1], the fraction of all training samples that have a mask.
        strength: λ in [0, 1/f]; the paper uses 1 and 2 with f = 0.05.

    Raises:
        ValueError: when ``mask_fraction`` is not in (0, 1] or ``strength`` is not in [0, 1/f].

    Reference:
        Bransby et al., MICCAI 2024, wBackMix.

    Example:
        >>> weigh = BackMixWeightd(mask_key="mask", weight_key="weight", mask_fraction=0.25, strength=2.0)
        >>> weigh({"label": 3})["weight"]
        tensor(0.5000)
    """

    backend = [TransformBackends.TORCH]

    @expects(mask_key=KEY, weight_key=KEY, mask_fraction=Number("(0, 1]"), strength=Number("[0, inf)"))
    def __init__(
        self,
        mask_key: Hashable = "mask",
        weight_key: Hashable = "weight",
        mask_fraction: float = 0.05,
        strength: float = 1.0,
    ) -> None:
        self.mask_key = mask_key
        self.weight_key = weight_key
        self._with_mask = backmix_weight(True, mask_fraction, strength)
        self._without_mask = backmix_weight(False, mask_fraction, strength)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a shallow copy of the sample ``data`` with its weight under ``weight_key``."""
        weight = self._without_mask if data.get(self.mask_key) is None else self._with_mask
        return {**data, self.weight_key: torch.tensor(weight, dtype=torch.float32)}


BackMixWeightD = BackMixWeightDict = BackMixWeightd
