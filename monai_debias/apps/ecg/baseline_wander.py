# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Slow drifts of the baseline, as by breathing and by electrodes that move."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor

from monai_debias.apps.ecg.map_signals import RandMapSignals, RandSignal, ascending
from monai_debias.constraints import BOOL, KEYS, NONE, Number, SequenceOf
from monai_debias.parameters import constraints_of, expects

__all__ = ["RandBaselineWander", "RandBaselineWanderD", "RandBaselineWanderDict", "RandBaselineWanderd"]

_N_WAVES = 4


class RandBaselineWander(RandSignal):
    """Add slow sine waves, whose mixture differs from lead to lead.

    Lead l gets A sum_k w_lk sin(2 pi f_k t + phi_k) / 4, with four frequencies and phases and weights in [-1, 1].

    Args:
        prob: probability that a signal is changed.
        amplitudes: smallest and largest A, in the unit of the signal.
        frequencies: lowest and highest f, in Hz.
        sampling_rate: samples per second of signals whose meta does not have it.

    Raises:
        ValueError: if an argument has another value, or a pair decreases; in a call, if the signal is not of shape
            (leads, samples), or its rate is unknown.

    Example:
        >>> wander = RandBaselineWander(prob=1.0, amplitudes=(1, 1), sampling_rate=100).set_random_state(0)
        >>> 0 < abs(wander(np.zeros((2, 1000)))).max() <= 1
        np.True_
    """

    @expects(
        prob=Number("[0, 1]"),
        amplitudes=SequenceOf(Number("[0, inf)"), length=2),
        frequencies=SequenceOf(Number("(0, inf)"), length=2),
        sampling_rate=NONE | Number("(0, inf)"),
    )
    def __init__(
        self,
        prob: float = 0.5,
        amplitudes: Sequence[float] = (0.05, 0.3),
        frequencies: Sequence[float] = (0.05, 0.5),
        sampling_rate: float | None = None,
    ) -> None:
        super().__init__(prob, sampling_rate)
        self.amplitudes = ascending("amplitudes", amplitudes)
        self.frequencies = ascending("frequencies", frequencies)
        self._waves = np.zeros((2, _N_WAVES, 1))
        self._weights = np.zeros((1, _N_WAVES))

    def draw(self, n_leads: int, n_samples: int) -> None:
        """Draw the waves, and what each lead gets of them."""
        phases = self.R.uniform(0, 2 * np.pi, (_N_WAVES, 1))
        self._waves = np.stack([self.R.uniform(*self.frequencies, (_N_WAVES, 1)), phases])
        self._weights = self.R.uniform(*self.amplitudes) / _N_WAVES * self.R.uniform(-1, 1, (n_leads, _N_WAVES))

    def change(self, leads: np.ndarray, signal: NdarrayOrTensor) -> np.ndarray:
        """Add them."""
        times = np.arange(leads.shape[1]) / self.rate(signal)
        return leads + self._weights @ np.sin(2 * np.pi * self._waves[0] * times + self._waves[1])


class RandBaselineWanderd(RandMapSignals):
    """Dictionary version of :class:`RandBaselineWander`; all keys get the same draw.

    Args:
        keys: keys of the signals, each (leads, samples).
        prob: probability that a sample is changed.
        amplitudes: smallest and largest amplitude, in the unit of the signals.
        frequencies: lowest and highest frequency, in Hz.
        sampling_rate: samples per second of signals whose meta does not have it.
        allow_missing_keys: do not raise when a key is missing from a sample.

    Raises:
        ValueError: as :class:`RandBaselineWander`.

    Example:
        >>> RandBaselineWanderd("image", sampling_rate=100)({"image": np.ones((12, 1000))})["image"].shape
        (12, 1000)
    """

    @expects(keys=KEYS, **constraints_of(RandBaselineWander), allow_missing_keys=BOOL)
    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 0.5,
        amplitudes: Sequence[float] = (0.05, 0.3),
        frequencies: Sequence[float] = (0.05, 0.5),
        sampling_rate: float | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, RandBaselineWander(prob, amplitudes, frequencies, sampling_rate), allow_missing_keys)


RandBaselineWanderD = RandBaselineWanderDict = RandBaselineWanderd
