# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Signals of one length: what is too long is cut, what is too short gets samples without a signal."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, ensure_tuple_rep

from monai_debias.apps.ecg.signal import as_leads, like_signal, rate_of
from monai_debias.constraints import BOOL, KEYS, NONE, Number, OneOf, SequenceOf
from monai_debias.parameters import constraints_of, expects

__all__ = ["FitDuration", "FitDurationD", "FitDurationDict", "FitDurationd"]

_PADDING = OneOf("nan", "zero")
_VALUES = {"nan": np.nan, "zero": 0.0}


class FitDuration(Transform):
    """Crop or pad a signal to a duration.

    Padding is NaN, as every other place without a signal, or 0, as a mask needs it: so a mask that is fitted
    together with its signal says where the signal is valid.

    Args:
        duration: in seconds.
        place: ``"start"`` keeps the first samples and pads at the end, ``"center"`` does both on either side.
        padding: ``"nan"`` or ``"zero"``.
        sampling_rate: samples per second of signals whose meta does not have it.

    Raises:
        ValueError: if an argument has another value; in a call, if the signal is not of shape (leads, samples), its
            rate is unknown, or the duration is shorter than a sample.

    Example:
        >>> FitDuration(0.04, sampling_rate=100)(np.ones((1, 3)))
        array([[ 1.,  1.,  1., nan]])
    """

    backend = [TransformBackends.NUMPY]

    @expects(
        duration=Number("(0, inf)"),
        place=OneOf("start", "center"),
        padding=_PADDING,
        sampling_rate=NONE | Number("(0, inf)"),
    )
    def __init__(
        self, duration: float, place: str = "start", padding: str = "nan", sampling_rate: float | None = None
    ) -> None:
        self.duration = duration
        self.place = place
        self.padding = padding
        self.sampling_rate = sampling_rate

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """Crop or pad a signal.

        Args:
            img: the signal, shape (leads, samples).
        """
        return _fitted(img, self.duration * rate_of(img, self.sampling_rate), self.place, self.padding)


class FitDurationd(MapTransform):
    """Dictionary version of :class:`FitDuration`.

    Args:
        keys: keys of signals and masks; one whose meta has no rate has that of the first.
        duration: in seconds.
        place: ``"start"`` or ``"center"``.
        padding: ``"nan"`` or ``"zero"``, one for all keys or one for each.
        sampling_rate: samples per second, where the meta of the first does not have it.
        allow_missing_keys: do not raise when a key is missing from a sample.

    Raises:
        ValueError: as :class:`FitDuration`.

    Example:
        >>> fit = FitDurationd(["image", "mask"], 10, padding=["nan", "zero"], sampling_rate=100)
        >>> fit({"image": np.ones((12, 800)), "mask": np.ones((1, 800))})["mask"].sum()
        np.float64(800.0)
    """

    backend = FitDuration.backend

    @expects(
        keys=KEYS,
        **{**constraints_of(FitDuration), "padding": _PADDING | SequenceOf(_PADDING, least=1)},
        allow_missing_keys=BOOL,
    )
    def __init__(
        self,
        keys: KeysCollection,
        duration: float,
        place: str = "start",
        padding: str | Sequence[str] = "nan",
        sampling_rate: float | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.duration = duration
        self.place = place
        self.padding = ensure_tuple_rep(padding, len(self.keys))
        self.sampling_rate = sampling_rate

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a shallow copy of the sample ``data`` with everything of the duration."""
        sample = dict(data)
        pairs = list(self.key_iterator(sample, self.padding))
        rate = rate_of(sample[pairs[0][0]], self.sampling_rate) if pairs else 0.0
        for key, padding in pairs:
            sample[key] = _fitted(sample[key], self.duration * rate_of(sample[key], rate), self.place, padding)
        return sample


FitDurationD = FitDurationDict = FitDurationd


def _fitted(signal: NdarrayOrTensor, samples: float, place: str, padding: str) -> NdarrayOrTensor:
    leads, length = as_leads(signal), round(samples)
    if length < 1:
        raise ValueError(
            f"a duration of {samples:.3g} samples leaves nothing of a signal, expected at least one sample."
        )
    spare = length - leads.shape[1]
    before = spare // 2 if place == "center" else 0
    if spare < 0:
        kept = leads[:, -before : -before + length]
    else:
        kept = np.pad(leads, ((0, 0), (before, spare - before)), constant_values=_VALUES[padding])
    return like_signal(kept, signal)
