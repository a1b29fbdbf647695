# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Electrodes that look exchanged, by how the leads of a record correlate.

Correlations between leads as a sign of exchanged cables: Jekova et al., "Inter-lead correlation analysis for automated
detection of cable reversals in 12/16-lead ECG", Comput. Methods Programs Biomed. (2016). Which are compared, and how,
is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from scipy.ndimage import uniform_filter1d

from monai_debias.apps.ecg.leads import LIMB_LEADS, derive_lead

__all__ = ["exchanged_electrodes"]

_CHEST = ("V1", "V2", "V3", "V4", "V5", "V6")
_AUGMENTED = {"aVR": None, "aVL": "both arms", "aVF": "the right arm and the left leg"}
_LIKE_THE_LEG = {  # what is almost flat if an electrode is on the right leg, where the voltage is that of the left one
    "II": "the right arm and the right leg",
    "III": "the left arm and the right leg",
}
_CLEARLY = 0.15  # difference of two correlations
_FLAT = 0.05  # of the largest of the leads I, II and III
_SHORTER = 0.85
_ALONE = 0.3  # correlation with the lead that is most like it, of a lead that does not show the heart
_LEAST_SECONDS = 2.0
_SMOOTH, _DRIFT = 0.02, 0.6  # s


def exchanged_electrodes(signals: Mapping[str, np.ndarray], rate: float) -> list[str]:
    """Say which electrodes may have been exchanged; nothing is changed.

    - **The right arm's with the left arm's or the left leg's**: of aVR, aVL and aVF it is aVR that runs most against V5
      and V6; if another one does, its electrode is on the right arm. A heart on the right side looks the same.
    - **An arm's with the right leg's**: lead II or III is almost flat.
    - **Two on the chest**: from V1 to V6 each lead resembles the next. The steps 1 - r, with the correlations r of
      neighbours, add up to less if the two are put back.

    With the left arm and the left leg exchanged, a record is one that another heart may have: a published method finds
    22 % of them (J. Electrocardiol. 47:794-797, 2014), this one none. V5 and V6 are often too alike to tell. Exchanged
    legs change nothing.

    Args:
        signals: the leads of a record by their names, each (samples,) in mV, NaN where there is no signal.
        rate: samples per second.

    Returns:
        Sentences without a dot; none for a record that looks right, is shorter than 2 s, or lacks the leads.

    Example:
        >>> exchanged_electrodes({"I": np.ones(1000), "II": np.ones(1000)}, 500)
        []
    """
    return [*_of_limbs(signals, rate), *_of_chest(signals, rate)]


def _of_limbs(signals: Mapping[str, np.ndarray], rate: float) -> list[str]:
    limbs = {name: signals.get(name, derive_lead(name, signals)) for name in LIMB_LEADS}
    lateral = [name for name in ("V5", "V6") if name in signals]
    known = {name: signal for name, signal in limbs.items() if signal is not None}
    if len(known) < len(limbs) or not lateral:
        return []
    rows = _band({**known, **{name: signals[name] for name in lateral}}, rate)
    if rows is None:
        return []
    size = {name: float(rows[name].std()) for name in ("I", "II", "III")}
    for name, electrodes in _LIKE_THE_LEG.items():
        if size[name] < _FLAT * max(size.values()):
            return [f"lead {name} is almost flat: the electrodes of {electrodes} may have been exchanged"]
    heart = sum(rows[name] for name in lateral)
    against = {name: float(np.corrcoef(rows[name], heart)[0, 1]) for name in _AUGMENTED}
    most = min(against, key=lambda name: against[name])
    electrodes_of_most = _AUGMENTED[most]
    if electrodes_of_most is None or not against[most] < against["aVR"] - _CLEARLY:
        return []
    where = " and ".join(lateral)
    return [
        f"{most} and not aVR runs most against {where}: the electrodes of {electrodes_of_most} may have been "
        "exchanged, or the heart lies on the right"
    ]


def _of_chest(signals: Mapping[str, np.ndarray], rate: float) -> list[str]:
    if not set(_CHEST) <= signals.keys():
        return []
    rows = _band({name: signals[name] for name in _CHEST}, rate)
    if rows is None:
        return []
    alike = np.corrcoef([*rows.values()])
    if (np.abs(alike - np.eye(len(alike))).max(1) < _ALONE).any():
        return []
    order = list(range(len(_CHEST)))
    lengths = {pair: _length(alike, _put_back(order, pair)) for pair in combinations(order, 2)}
    pair = min(lengths, key=lambda pair: lengths[pair])
    if not lengths[pair] < _SHORTER * _length(alike, order):
        return []
    first, second = (_CHEST[place] for place in pair)
    return [f"the chest leads would be in order if {first} and {second} were exchanged: their electrodes may have been"]


def _put_back(order: list[int], pair: tuple[int, int]) -> list[int]:
    other = dict(zip(pair, pair[::-1], strict=True))
    return [other.get(place, place) for place in order]


def _length(alike: np.ndarray, order: list[int]) -> float:
    return float(np.sum(1 - alike[order[:-1], order[1:]]))


def _band(signals: Mapping[str, np.ndarray], rate: float) -> dict[str, np.ndarray] | None:
    """The leads without drift and hum, where all of them have a signal; None if that is too short, or one is flat."""
    rows = np.stack([*signals.values()])
    rows = rows[:, np.isfinite(rows).all(0)]
    if rows.shape[1] < _LEAST_SECONDS * rate:
        return None
    smooth, drift = (uniform_filter1d(rows, max(1, round(seconds * rate)), axis=1) for seconds in (_SMOOTH, _DRIFT))
    band = smooth - drift
    if not (band.std(axis=1) > 0).all():
        return None
    return dict(zip(signals, band, strict=True))
