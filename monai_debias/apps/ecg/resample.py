# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Another sampling rate: by a polyphase filter for signals, by the nearest sample for masks."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, ensure_tuple_rep
from scipy.signal import resample_poly

from monai_debias.apps.ecg.signal import as_leads, bridge_gaps, like_signal, rate_of
from monai_debias.constraints import BOOL, KEYS, NONE, Number, OneOf, SequenceOf
from monai_debias.parameters import constraints_of, expects

__all__ = ["ResampleSignal", "ResampleSignalD", "ResampleSignalDict", "ResampleSignald"]

_MODE = OneOf("polyphase", "nearest")
_LARGEST_FACTOR = 10_000


class ResampleSignal(Transform):
    """Resample a signal, and note the new rate in the meta of a MetaTensor.

    ``"polyphase"`` filters against aliasing (``scipy.signal.resample_poly``); a sample whose nearest original is NaN is
    NaN. ``"nearest"`` takes the nearest original, as a mask needs it.

    Args:
        sampling_rate: samples per second of the result.
        mode: ``"polyphase"`` or ``"nearest"``.
        source_rate: samples per second of signals whose meta does not have it.

    Raises:
        ValueError: if an argument has another value; in a call, if the signal is not of shape (leads, samples), or its
            rate is unknown or more than 20,000 times the new one.

    Example:
        >>> signal = np.sin(2 * np.pi * np.arange(5000) / 500)[None]
        >>> ResampleSignal(100, source_rate=500)(signal).shape
        (1, 1000)
    """

    backend = [TransformBackends.NUMPY]

    @expects(sampling_rate=Number("(0, inf)"), mode=_MODE, source_rate=NONE | Number("(0, inf)"))
    def __init__(self, sampling_rate: float, mode: str = "polyphase", source_rate: float | None = None) -> None:
        self.sampling_rate = float(sampling_rate)
        self.mode = mode
        self.source_rate = source_rate

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """Resample a signal.

        Args:
            img: the signal, shape (leads, samples).
        """
        return _resampled(img, rate_of(img, self.source_rate), self.sampling_rate, self.mode)


class ResampleSignald(MapTransform):
    """Dictionary version of :class:`ResampleSignal`.

    Args:
        keys: keys of signals and masks; one whose meta has no rate has that of the first.
        sampling_rate: samples per second of the result.
        mode: ``"polyphase"`` or ``"nearest"``, one for all keys or one for each.
        source_rate: samples per second, where the meta of the first does not have it.
        allow_missing_keys: do not raise when a key is missing from a sample.

    Raises:
        ValueError: as :class:`ResampleSignal`.

    Example:
        >>> sample = {"image": np.zeros((12, 5000)), "mask": np.ones((1, 5000))}
        >>> resample = ResampleSignald(["image", "mask"], 100, mode=["polyphase", "nearest"], source_rate=500)
        >>> resample(sample)["mask"].shape
        (1, 1000)
    """

    backend = ResampleSignal.backend

    @expects(
        keys=KEYS,
        **{**constraints_of(ResampleSignal), "mode": _MODE | SequenceOf(_MODE, least=1)},
        allow_missing_keys=BOOL,
    )
    def __init__(
        self,
        keys: KeysCollection,
        sampling_rate: float,
        mode: str | Sequence[str] = "polyphase",
        source_rate: float | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.sampling_rate = float(sampling_rate)
        self.mode = ensure_tuple_rep(mode, len(self.keys))
        self.source_rate = source_rate

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a shallow copy of the sample ``data`` with everything at the new rate."""
        sample = dict(data)
        pairs = list(self.key_iterator(sample, self.mode))
        rate = rate_of(sample[pairs[0][0]], self.source_rate) if pairs else 0.0
        for key, mode in pairs:
            sample[key] = _resampled(sample[key], rate_of(sample[key], rate), self.sampling_rate, mode)
        return sample


ResampleSignalD = ResampleSignalDict = ResampleSignald


def _resampled(signal: NdarrayOrTensor, source: float, target: float, mode: str) -> NdarrayOrTensor:
    leads = as_leads(signal)
    if source == target:
        return like_signal(leads, signal, target)
    ratio = Fraction(target / source).limit_denominator(_LARGEST_FACTOR)
    if ratio == 0:
        raise ValueError(f"nothing is left of a signal of {source:g} samples per second at {target:g}.")
    length = -(-leads.shape[1] * ratio.numerator // ratio.denominator)
    nearest = np.rint(np.arange(length) / float(ratio)).astype(int).clip(max=leads.shape[1] - 1)
    if mode == "nearest":
        return like_signal(leads[:, nearest], signal, target)
    bridged, gaps = bridge_gaps(leads)
    result = resample_poly(
        bridged, ratio.numerator, ratio.denominator, axis=1, padtype="line" if leads.shape[1] > 1 else "edge"
    )
    result[gaps[:, nearest]] = np.nan
    return like_signal(result, signal, target)
