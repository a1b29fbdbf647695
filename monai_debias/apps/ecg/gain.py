# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Another amplification, as between devices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor

from monai_debias.apps.ecg.map_signals import RandMapSignals, RandSignal, ascending
from monai_debias.constraints import BOOL, KEYS, Number, SequenceOf
from monai_debias.parameters import constraints_of, expects

__all__ = ["RandSignalGain", "RandSignalGainD", "RandSignalGainDict", "RandSignalGaind"]


class RandSignalGain(RandSignal):
    """Multiply all leads by one factor, which is drawn uniformly on a logarithmic scale.

    Args:
        prob: probability that a signal is changed.
        factors: smallest and largest factor.

    Raises:
        ValueError: if an argument has another value, or the factors decrease; in a call, if the signal is not of shape
            (leads, samples).

    Example:
        >>> RandSignalGain(prob=1.0, factors=(2, 2))(np.ones((1, 3)))
        array([[2., 2., 2.]])
    """

    @expects(prob=Number("[0, 1]"), factors=SequenceOf(Number("(0, inf)"), length=2))
    def __init__(self, prob: float = 0.5, factors: Sequence[float] = (0.8, 1.25)) -> None:
        super().__init__(prob)
        self.factors = ascending("factors", factors)
        self._factor = 1.0

    def draw(self, n_leads: int, n_samples: int) -> None:
        """Draw the factor."""
        self._factor = float(np.exp(self.R.uniform(*np.log(self.factors))))

    def change(self, leads: np.ndarray, signal: NdarrayOrTensor) -> np.ndarray:
        """Multiply by it."""
        return leads * self._factor


class RandSignalGaind(RandMapSignals):
    """Dictionary version of :class:`RandSignalGain`; all keys get the same draw.

    Args:
        keys: keys of the signals, each (leads, samples).
        prob: probability that a sample is changed.
        factors: smallest and largest factor.
        allow_missing_keys: do not raise when a key is missing from a sample.

    Raises:
        ValueError: as :class:`RandSignalGain`.

    Example:
        >>> RandSignalGaind("image", prob=1.0, factors=(2, 2))({"image": np.ones((1, 3))})
        {'image': array([[2., 2., 2.]])}
    """

    @expects(keys=KEYS, **constraints_of(RandSignalGain), allow_missing_keys=BOOL)
    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 0.5,
        factors: Sequence[float] = (0.8, 1.25),
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, RandSignalGain(prob, factors), allow_missing_keys)


RandSignalGainD = RandSignalGainDict = RandSignalGaind
