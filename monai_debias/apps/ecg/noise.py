# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""White noise, as of amplifiers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor

from monai_debias.apps.ecg.map_signals import RandMapSignals, RandSignal, ascending
from monai_debias.constraints import BOOL, KEYS, Number, SequenceOf
from monai_debias.parameters import constraints_of, expects

__all__ = ["RandSignalNoise", "RandSignalNoiseD", "RandSignalNoiseDict", "RandSignalNoised"]


class RandSignalNoise(RandSignal):
    """Add Gaussian noise, independent in each lead and sample.

    MONAI's ``SignalRandAddGaussianNoise`` adds the same noise to all leads, and draws it from torch's global state.

    Args:
        prob: probability that a signal is changed.
        std: smallest and largest standard deviation, in the unit of the signal.

    Raises:
        ValueError: if an argument has another value, or the pair decreases; in a call, if the signal is not of shape
            (leads, samples).

    Example:
        >>> noisy = RandSignalNoise(prob=1.0, std=(1, 1)).set_random_state(0)(np.zeros((2, 1000)))
        >>> bool(0.9 < noisy.std() < 1.1)
        True
    """

    @expects(prob=Number("[0, 1]"), std=SequenceOf(Number("[0, inf)"), length=2))
    def __init__(self, prob: float = 0.5, std: Sequence[float] = (0.005, 0.03)) -> None:
        super().__init__(prob)
        self.std = ascending("std", std)
        self._noise = np.zeros((1, 1))

    def draw(self, n_leads: int, n_samples: int) -> None:
        """Draw the noise."""
        self._noise = self.R.normal(0, self.R.uniform(*self.std), (n_leads, n_samples))

    def change(self, leads: np.ndarray, signal: NdarrayOrTensor) -> np.ndarray:
        """Add it."""
        return leads + self._noise


class RandSignalNoised(RandMapSignals):
    """Dictionary version of :class:`RandSignalNoise`; all keys get the same draw.

    Args:
        keys: keys of the signals, each (leads, samples).
        prob: probability that a sample is changed.
        std: smallest and largest standard deviation, in the unit of the signals.
        allow_missing_keys: do not raise when a key is missing from a sample.

    Raises:
        ValueError: as :class:`RandSignalNoise`.

    Example:
        >>> RandSignalNoised("image", prob=1.0)({"image": np.ones((12, 100))})["image"].shape
        (12, 100)
    """

    @expects(keys=KEYS, **constraints_of(RandSignalNoise), allow_missing_keys=BOOL)
    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 0.5,
        std: Sequence[float] = (0.005, 0.03),
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, RandSignalNoise(prob, std), allow_missing_keys)


RandSignalNoiseD = RandSignalNoiseDict = RandSignalNoised
