# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Hum of the mains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor

from monai_debias.apps.ecg.map_signals import RandMapSignals, RandSignal, ascending
from monai_debias.constraints import BOOL, KEYS, NONE, Number, SequenceOf
from monai_debias.parameters import constraints_of, expects

__all__ = ["RandMainsHum", "RandMainsHumD", "RandMainsHumDict", "RandMainsHumd"]


class RandMainsHum(RandSignal):
    """Add a sine wave of the mains to all leads, in each 0.5 to 1.5 times as strong.

    Put it before a resampling: a signal of 100 samples per second has no 50 Hz.

    Args:
        prob: probability that a signal is changed.
        amplitudes: smallest and largest amplitude, in the unit of the signal.
        frequencies: the frequencies of the mains in Hz, of which one is drawn.
        sampling_rate: samples per second of signals whose meta does not have it.

    Raises:
        ValueError: if an argument has another value, or the amplitudes decrease; in a call, if the signal is not of
            shape (leads, samples), its rate is unknown, or too low for the frequencies.

    Example:
        >>> hum = RandMainsHum(prob=1.0, amplitudes=(0.1, 0.1), sampling_rate=500).set_random_state(0)
        >>> 0.05 <= abs(hum(np.zeros((1, 500)))).max() <= 0.15
        np.True_
    """

    @expects(
        prob=Number("[0, 1]"),
        amplitudes=SequenceOf(Number("[0, inf)"), length=2),
        frequencies=SequenceOf(Number("(0, inf)"), least=1),
        sampling_rate=NONE | Number("(0, inf)"),
    )
    def __init__(
        self,
        prob: float = 0.5,
        amplitudes: Sequence[float] = (0.01, 0.1),
        frequencies: Sequence[float] = (50.0, 60.0),
        sampling_rate: float | None = None,
    ) -> None:
        super().__init__(prob, sampling_rate)
        self.amplitudes = ascending("amplitudes", amplitudes)
        self.frequencies = tuple(frequencies)
        self._frequency, self._phase = 0.0, 0.0
        self._weights = np.zeros((1, 1))

    def draw(self, n_leads: int, n_samples: int) -> None:
        """Draw the frequency, the phase, and the strength in each lead."""
        self._frequency, self._phase = self.R.choice(self.frequencies), self.R.uniform(0, 2 * np.pi)
        self._weights = self.R.uniform(*self.amplitudes) * self.R.uniform(0.5, 1.5, (n_leads, 1))

    def change(self, leads: np.ndarray, signal: NdarrayOrTensor) -> np.ndarray:
        """Add it."""
        rate = self.rate(signal)
        if max(self.frequencies) >= rate / 2:
            raise ValueError(
                f"a signal of {rate:g} samples per second has no hum of {max(self.frequencies):g} Hz: add it before "
                "resampling."
            )
        times = np.arange(leads.shape[1]) / rate
        return leads + self._weights * np.sin(2 * np.pi * self._frequency * times + self._phase)


class RandMainsHumd(RandMapSignals):
    """Dictionary version of :class:`RandMainsHum`; all keys get the same draw.

    Args:
        keys: keys of the signals, each (leads, samples).
        prob: probability that a sample is changed.
        amplitudes: smallest and largest amplitude, in the unit of the signals.
        frequencies: the frequencies of the mains in Hz, of which one is drawn.
        sampling_rate: samples per second of signals whose meta does not have it.
        allow_missing_keys: do not raise when a key is missing from a sample.

    Raises:
        ValueError: as :class:`RandMainsHum`.

    Example:
        >>> RandMainsHumd("image", sampling_rate=500)({"image": np.ones((12, 1000))})["image"].shape
        (12, 1000)
    """

    @expects(keys=KEYS, **constraints_of(RandMainsHum), allow_missing_keys=BOOL)
    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 0.5,
        amplitudes: Sequence[float] = (0.01, 0.1),
        frequencies: Sequence[float] = (50.0, 60.0),
        sampling_rate: float | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, RandMainsHum(prob, amplitudes, frequencies, sampling_rate), allow_missing_keys)


RandMainsHumD = RandMainsHumDict = RandMainsHumd
