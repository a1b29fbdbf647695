# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Removes one frequency, such as that of the mains."""

from __future__ import annotations

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import Transform
from monai.utils import TransformBackends
from scipy.signal import filtfilt, iirnotch

from monai_debias.apps.ecg.map_signals import MapSignals
from monai_debias.apps.ecg.signal import as_leads, bridge_gaps, like_signal, rate_of
from monai_debias.constraints import BOOL, KEYS, NONE, Number
from monai_debias.parameters import constraints_of, expects

__all__ = ["NotchSignal", "NotchSignalD", "NotchSignalDict", "NotchSignald"]


class NotchSignal(Transform):
    """Remove a frequency from a signal, forwards and backwards (``scipy.signal.iirnotch`` and ``filtfilt``).

    NaN stays NaN; the filter sees a straight line there.

    Args:
        frequency: what is removed, in Hz: 50 or 60 for the mains.
        quality: the frequency divided by the width of the notch at -3 dB.
        sampling_rate: samples per second of signals whose meta does not have it.

    Raises:
        ValueError: if an argument has another value; in a call, if the signal is not of shape (leads, samples), or the
            frequency is not below half of its rate.

    Example:
        >>> hum = np.sin(2 * np.pi * 50 * np.arange(5000) / 500)[None]
        >>> abs(NotchSignal(50, sampling_rate=500)(hum)[0, 500:-500]).max() < 0.01
        np.True_
    """

    backend = [TransformBackends.NUMPY]

    @expects(frequency=Number("(0, inf)"), quality=Number("(0, inf)"), sampling_rate=NONE | Number("(0, inf)"))
    def __init__(self, frequency: float = 50.0, quality: float = 30.0, sampling_rate: float | None = None) -> None:
        self.frequency = frequency
        self.quality = quality
        self.sampling_rate = sampling_rate

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """Filter a signal.

        Args:
            img: the signal, shape (leads, samples).
        """
        rate = rate_of(img, self.sampling_rate)
        if self.frequency >= rate / 2:
            raise ValueError(
                f"a signal of {rate:g} samples per second has no frequency of {self.frequency:g} Hz: filter before "
                "resampling."
            )
        bridged, gaps = bridge_gaps(as_leads(img))
        # the notch rings for about its quality in periods: mirror as much of the signal at its ends
        padding = min(bridged.shape[1] - 1, round(self.quality * rate / self.frequency))
        filtered = filtfilt(*iirnotch(self.frequency, self.quality, rate), bridged, axis=1, padlen=padding)
        return like_signal(np.where(gaps, np.nan, filtered), img)


class NotchSignald(MapSignals):
    """Dictionary version of :class:`NotchSignal`.

    Args:
        keys: keys of the signals.
        frequency: what is removed, in Hz.
        quality: the frequency divided by the width of the notch at -3 dB.
        sampling_rate: samples per second of signals whose meta does not have it.
        allow_missing_keys: do not raise when a key is missing from a sample.

    Raises:
        ValueError: as :class:`NotchSignal`.

    Example:
        >>> NotchSignald("image", 60, sampling_rate=500)({"image": np.ones((12, 1000))})["image"].shape
        (12, 1000)
    """

    @expects(keys=KEYS, **constraints_of(NotchSignal), allow_missing_keys=BOOL)
    def __init__(
        self,
        keys: KeysCollection,
        frequency: float = 50.0,
        quality: float = 30.0,
        sampling_rate: float | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, NotchSignal(frequency, quality, sampling_rate), allow_missing_keys)


NotchSignalD = NotchSignalDict = NotchSignald
