# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Leads of mean 0 and standard deviation 1."""

from __future__ import annotations

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import Transform
from monai.utils import TransformBackends

from monai_debias.apps.ecg.map_signals import MapSignals
from monai_debias.apps.ecg.signal import as_leads, like_signal
from monai_debias.constraints import BOOL, KEYS
from monai_debias.parameters import expects

__all__ = ["NormalizeSignal", "NormalizeSignalD", "NormalizeSignalDict", "NormalizeSignald"]

_FLAT = 1e-9  # what rounding leaves of the standard deviation of one value


class NormalizeSignal(Transform):
    """Subtract the mean of each lead and divide by its standard deviation, both of the values that are not NaN.

    Unlike MONAI's ``NormalizeIntensity(channel_wise=True)`` it leaves NaN where it is. A flat lead becomes 0.
    Both depend on all that is on the record: a calibration pulse then changes every value, where no heatmap finds it
    (docs/isnet.md, Normalisation). A fixed unit, as in the bundle, carries nothing.

    Raises:
        ValueError: in a call, if the signal is not of shape (leads, samples).

    Example:
        >>> NormalizeSignal()(np.array([[1.0, 3.0, np.nan], [5.0, 5.0, 5.0]]))
        array([[-1.,  1., nan],
               [ 0.,  0.,  0.]])
    """

    backend = [TransformBackends.NUMPY]

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """Normalise a signal.

        Args:
            img: the signal, shape (leads, samples).
        """
        leads = as_leads(img)
        valid = np.isfinite(leads)
        count = valid.sum(axis=1, keepdims=True).clip(min=1)
        centred = leads - np.where(valid, leads, 0).sum(axis=1, keepdims=True) / count
        spread = np.sqrt((np.where(valid, centred, 0) ** 2).sum(axis=1, keepdims=True) / count)
        flat = spread <= _FLAT
        return like_signal(np.where(flat, 0 * centred, centred / np.where(flat, 1, spread)), img)


class NormalizeSignald(MapSignals):
    """Dictionary version of :class:`NormalizeSignal`.

    Args:
        keys: keys of the signals, each (leads, samples).
        allow_missing_keys: do not raise when a key is missing from a sample.

    Raises:
        ValueError: as :class:`NormalizeSignal`.

    Example:
        >>> NormalizeSignald("image")({"image": np.array([[1.0, 3.0]])})
        {'image': array([[-1.,  1.]])}
    """

    @expects(keys=KEYS, allow_missing_keys=BOOL)
    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, NormalizeSignal(), allow_missing_keys)


NormalizeSignalD = NormalizeSignalDict = NormalizeSignald
