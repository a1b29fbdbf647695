# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The leads that are asked for, in their order: those of the record, those computed from them, and those missing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monai_debias.apps.ecg.exchanged import exchanged_electrodes
from monai_debias.apps.ecg.leads import LIMB_LEADS, derive_lead, lead_name
from monai_debias.apps.ecg.record import Record
from monai_debias.data.reading import FileReadError, warn

__all__ = ["choose_leads", "warn_of_leads"]

_ALMOST_EQUAL = 0.05  # of the root mean square
_LEAST, _MOST = 0.02, 50.0  # mV, the largest value of a record: from a very quiet one to a lead at its rail


def choose_leads(record: Record, leads: Sequence[str] | None, missing: str) -> tuple[np.ndarray, list[str], list[str]]:
    """Return the leads that are asked for.

    Args:
        record: the record.
        leads: their names in the order of the result; None for all leads of the record.
        missing: ``"error"`` or ``"nan"``, what becomes of a lead that the record neither has nor gives.

    Returns:
        The signals, (leads, samples), their names, and the names of those that are missing.

    Raises:
        FileReadError: if a lead is missing and that is an error, all are missing, or, where no leads are asked for, a
            channel is no lead.
    """
    if leads is None:
        if record.unusable:
            reasons = "; ".join(f"{name} {reason}" for name, reason in record.unusable.items())
            raise FileReadError(f"has channels that are no leads: {reasons}. Ask for the others by leads=[...].")
        return np.stack([*record.signals.values()]), [*record.signals], []
    names = [lead_name(name) for name in leads]
    found = {name: record.signals.get(name, derive_lead(name, record.signals)) for name in names}
    lacking = [name for name, signal in found.items() if signal is None]
    if lacking and (missing == "error" or len(lacking) == len(found)):
        raise FileReadError(_what_is_missing(record, lacking))
    empty = np.full(len(next(iter(record.signals.values()))), np.nan)
    chosen = [empty if signal is None else signal for signal in found.values()]
    return np.stack(chosen), names, lacking


def warn_of_leads(signals: np.ndarray, names: Sequence[str], rate: float) -> None:
    """Warn of leads without a signal, of a unit that looks wrong, and of electrodes that look exchanged.

    - Values that are all below 0.02 mV, or that reach 50 mV.
    - A lead whose values are all equal, or all NaN.
    - Limb leads that contradict Einthoven's II = I + III, where a lead with the opposite sign would obey it.
    - Electrodes that look exchanged, see :func:`~monai_debias.apps.ecg.exchanged.exchanged_electrodes`.

    Args:
        signals: the leads of the record as it is stored, (leads, samples).
        names: their names.
        rate: samples per second.

    Raises:
        FileReadError: if no lead has a signal, or a value is absurd.
    """
    empty = [name for name, signal in zip(names, signals, strict=True) if np.isnan(signal).all()]
    of_lead = {name: signal for name, signal in zip(names, signals, strict=True) if name not in empty}
    flat = [name for name, signal in of_lead.items() if np.nanmin(signal) == np.nanmax(signal)]
    if len(empty) + len(flat) == len(names):
        raise FileReadError("has no lead with a signal: all values of each are equal, or missing.")
    for found, what in ((flat, "is flat: all its values are equal"), (empty, "has no values")):
        if found:
            warn(f"lead {', '.join(found)} {what}.")
    largest = max(np.nanmax(np.abs(signal)) for signal in of_lead.values())
    if largest > np.finfo(np.float32).max:
        raise FileReadError(f"has a value of {largest:g} mV: the file is damaged.")
    if not _LEAST <= largest <= _MOST:
        warn(f"the largest value is {largest:.3g} mV, that of an ECG is about 1 mV: is the unit right?")
    with_signal = {name: signal for name, signal in of_lead.items() if name not in flat}
    turned = _turned_lead(with_signal)
    if turned:
        warn(f"leads I, II and III contradict II = I + III; they agree if {turned} is inverted. It is left as it is.")
        with_signal = {name: signal for name, signal in with_signal.items() if name not in LIMB_LEADS}
    for exchange in exchanged_electrodes(with_signal, rate):
        warn(f"{exchange}. It is left as it is.")


def _what_is_missing(record: Record, lacking: Sequence[str]) -> str:
    reasons = [f"{name} {record.unusable[name]}" for name in lacking if name in record.unusable]
    found = ", ".join(record.signals)
    limbs = " (two limb leads give the other four)" if set(lacking) & set(LIMB_LEADS) else ""
    why = f" ({'; '.join(reasons)})" if reasons else ""
    return f'lacks lead {", ".join(lacking)}{why}; it has {found}{limbs}. missing="nan" reads it with NaN instead.'


def _turned_lead(signals: dict[str, np.ndarray]) -> str | None:
    """The one of I, II and III whose sign contradicts the others."""
    if not {"I", "II", "III"} <= signals.keys():
        return None
    first, second, third = (signals[name] for name in ("I", "II", "III"))

    def off(i: int, ii: int, iii: int) -> float:
        size = np.sqrt(np.nanmean(first**2 + second**2 + third**2))
        return float(np.sqrt(np.nanmean((i * first + iii * third - ii * second) ** 2)) / size)

    if not off(1, 1, 1) > 0.5:
        return None
    turned = {"I": off(-1, 1, 1), "II": off(1, -1, 1), "III": off(1, 1, -1)}
    best = min(turned, key=lambda name: turned[name])
    return best if turned[best] < _ALMOST_EQUAL else None
