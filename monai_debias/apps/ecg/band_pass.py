# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The band of frequencies in which the heart is, without drift below and muscle above."""

from __future__ import annotations

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import Transform
from monai.utils import TransformBackends
from scipy.signal import butter, sosfiltfilt

from monai_debias.apps.ecg.map_signals import MapSignals
from monai_debias.apps.ecg.signal import as_leads, bridge_gaps, like_signal, rate_of
from monai_debias.constraints import BOOL, KEYS, NONE, Integer, Number
from monai_debias.parameters import constraints_of, expects

__all__ = ["BandPassSignal", "BandPassSignalD", "BandPassSignalDict", "BandPassSignald"]


class BandPassSignal(Transform):
    """Filter a signal forwards and backwards, so that no wave moves (``scipy.signal.sosfiltfilt``, Butterworth).

    NaN stays NaN; the filter sees a straight line there.

    Args:
        low: lower end of the band in Hz, None for a low-pass filter.
        high: upper end in Hz, None for a high-pass filter.
        order: order of the filter, which is applied twice.
        sampling_rate: samples per second of signals whose meta does not have it.

    Raises:
        ValueError: if an argument has another value, or there is no band; in a call, if the signal is not of shape
            (leads, samples), or the band does not lie below half of its rate.

    Example:
        >>> drift = np.linspace(0, 3, 1000)[None]
        >>> abs(BandPassSignal(0.5, 40, sampling_rate=100)(drift)[0, 100:-100]).max() < 0.05
        np.True_
    """

    backend = [TransformBackends.NUMPY]

    @expects(
        low=NONE | Number("(0, inf)"),
        high=NONE | Number("(0, inf)"),
        order=Integer("[1, inf)"),
        sampling_rate=NONE | Number("(0, inf)"),
    )
    def __init__(
        self,
        low: float | None = 0.5,
        high: float | None = 40.0,
        order: int = 2,
        sampling_rate: float | None = None,
    ) -> None:
        if (low is None and high is None) or (low is not None and high is not None and low >= high):
            raise ValueError(f"the band from low={low} to high={high} Hz is empty, expected low < high.")
        self.low = low
        self.high = high
        self.order = order
        self.sampling_rate = sampling_rate

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """Filter a signal.

        Args:
            img: the signal, shape (leads, samples).
        """
        rate = rate_of(img, self.sampling_rate)
        ends = [end for end in (self.low, self.high) if end is not None]
        if max(ends) >= rate / 2:
            raise ValueError(
                f"a signal of {rate:g} samples per second has no frequencies of {max(ends):g} Hz: choose a band below "
                f"{rate / 2:g} Hz, or filter before resampling."
            )
        kind = "bandpass" if len(ends) == 2 else "highpass" if self.high is None else "lowpass"
        sections = butter(self.order, ends if len(ends) == 2 else ends[0], kind, fs=rate, output="sos")
        bridged, gaps = bridge_gaps(as_leads(img))
        padding = min(bridged.shape[1] - 1, max(6 * self.order, round(rate / min(ends))))
        filtered = sosfiltfilt(sections, bridged, axis=1, padlen=padding)
        return like_signal(np.where(gaps, np.nan, filtered), img)


class BandPassSignald(MapSignals):
    """Dictionary version of :class:`BandPassSignal`.

    Args:
        keys: keys of the signals.
        low: lower end of the band in Hz, None for a low-pass filter.
        high: upper end in Hz, None for a high-pass filter.
        order: order of the filter, which is applied twice.
        sampling_rate: samples per second of signals whose meta does not have it.
        allow_missing_keys: do not raise when a key is missing from a sample.

    Raises:
        ValueError: as :class:`BandPassSignal`.

    Example:
        >>> BandPassSignald("image", sampling_rate=100)({"image": np.ones((12, 1000))})["image"].shape
        (12, 1000)
    """

    @expects(keys=KEYS, **constraints_of(BandPassSignal), allow_missing_keys=BOOL)
    def __init__(
        self,
        keys: KeysCollection,
        low: float | None = 0.5,
        high: float | None = 40.0,
        order: int = 2,
        sampling_rate: float | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, BandPassSignal(low, high, order, sampling_rate), allow_missing_keys)


BandPassSignalD = BandPassSignalDict = BandPassSignald
