# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Leads that are lost at random, as by an electrode that comes off."""

from __future__ import annotations

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor

from monai_debias.apps.ecg.map_signals import RandMapSignals, RandSignal
from monai_debias.constraints import BOOL, KEYS, Integer, Number
from monai_debias.parameters import constraints_of, expects

__all__ = ["RandLeadDropout", "RandLeadDropoutD", "RandLeadDropoutDict", "RandLeadDropoutd"]


class RandLeadDropout(RandSignal):
    """Set some leads to 0, at least one and never all of them.

    Args:
        prob: probability that a signal is changed.
        most: largest number of leads that are lost.

    Raises:
        ValueError: if an argument has another value; in a call, if the signal is not of shape (leads, samples).

    Example:
        >>> RandLeadDropout(prob=1.0, most=1)(np.ones((3, 2))).sum()
        np.float64(4.0)
    """

    @expects(prob=Number("[0, 1]"), most=Integer("[1, inf)"))
    def __init__(self, prob: float = 0.2, most: int = 2) -> None:
        super().__init__(prob)
        self.most = most
        self._lost = np.zeros(0, int)

    def draw(self, n_leads: int, n_samples: int) -> None:
        """Draw the leads that are lost; a single lead never is."""
        most = min(self.most, n_leads - 1)
        number = self.R.randint(1, most + 1) if most else 0
        self._lost = self.R.choice(n_leads, number, replace=False)

    def change(self, leads: np.ndarray, signal: NdarrayOrTensor) -> np.ndarray:
        """Set the leads to 0."""
        kept = leads.copy()
        kept[self._lost] = 0
        return kept


class RandLeadDropoutd(RandMapSignals):
    """Dictionary version of :class:`RandLeadDropout`; all keys get the same draw.

    Args:
        keys: keys of the signals, each (leads, samples).
        prob: probability that a sample is changed.
        most: largest number of leads that are lost.
        allow_missing_keys: do not raise when a key is missing from a sample.

    Raises:
        ValueError: as :class:`RandLeadDropout`.

    Example:
        >>> RandLeadDropoutd("image", prob=1.0, most=1)({"image": np.ones((3, 2))})["image"].sum()
        np.float64(4.0)
    """

    @expects(keys=KEYS, **constraints_of(RandLeadDropout), allow_missing_keys=BOOL)
    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 0.2,
        most: int = 2,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, RandLeadDropout(prob, most), allow_missing_keys)


RandLeadDropoutD = RandLeadDropoutDict = RandLeadDropoutd
