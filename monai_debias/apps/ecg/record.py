# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""An ECG record of any format: leads of one rate in millivolts, NaN where there is no signal.

A gap and padding are NaN until a transform fills them, so that none of them can be mistaken for a flat line that the
heart made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from monai_debias.apps.ecg.leads import lead_name
from monai_debias.data.reading import FileReadError

__all__ = ["Channel", "Filters", "Record", "is_voltage", "make_record"]

_MILLIVOLTS = {
    **dict.fromkeys(("mv", "millivolt", "millivolts"), 1.0),
    **dict.fromkeys(("uv", "\u03bcv", "microvolt", "microvolts"), 1e-3),  # Greek mu, to which the micro sign folds
    **dict.fromkeys(("nv", "nanovolt", "nanovolts"), 1e-6),
    **dict.fromkeys(("v", "volt", "volts"), 1e3),
}


class Channel(NamedTuple):
    """One signal as a file stores it.

    Attributes:
        name: the name of its lead.
        samples: its values, (samples,), NaN where there is none.
        unit: their unit, such as ``"uV"``.
        rate: samples per second.
    """

    name: str
    samples: np.ndarray
    unit: str
    rate: float


class Filters(NamedTuple):
    """The filters that the device applied, in Hz, NaN where that is unknown.

    Attributes:
        low: frequencies below it are damped.
        high: frequencies above it are damped.
        notch: the frequency that is removed, 0 for none.
    """

    low: float = float("nan")
    high: float = float("nan")
    notch: float = float("nan")


class Record(NamedTuple):
    """The leads of a record.

    Attributes:
        signals: the samples of each lead by its name, in mV, all of one length.
        rate: samples per second.
        unusable: why a channel is none of them, by its name.
        filters: what the device did to them.
    """

    signals: dict[str, np.ndarray]
    rate: float
    unusable: dict[str, str]
    filters: Filters


def make_record(channels: Sequence[Channel], filters: Filters | None = None) -> Record:
    """Bring the channels of a file to millivolts, and set apart those that are no leads of the record.

    Args:
        channels: at least one.
        filters: what the device did to them.

    Raises:
        FileReadError: if no channel is a voltage, the rate is not above 0, two leads have one name, or values are
            infinite.

    Example:
        >>> breath = Channel("RESP", np.ones(1), "Ohm", 25)
        >>> record = make_record([Channel("lead ii", np.array([500.0]), "uV", 250), breath])
        >>> record.signals, record.unusable
        ({'II': array([0.5])}, {'RESP': "has the unit 'Ohm', expected mV, uV, nV or V"})
    """
    names = [lead_name(channel.name) for channel in channels]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise FileReadError(f"has several leads with the name {', '.join(twice)}, expected one of each.")
    unusable = {
        name: f"has the unit {channel.unit[:20]!r}, expected mV, uV, nV or V"
        for name, channel in zip(names, channels, strict=True)
        if not is_voltage(channel.unit)
    }
    voltages = {name: channel for name, channel in zip(names, channels, strict=True) if name not in unusable}
    if not voltages:
        reasons = "; ".join(f"{name} {reason}" for name, reason in unusable.items())
        raise FileReadError(f"has no lead: {reasons or 'it has no channels'}.")
    rate, length = Counter((channel.rate, len(channel.samples)) for channel in voltages.values()).most_common(1)[0][0]
    if not (np.isfinite(rate) and rate > 0):
        raise FileReadError(f"has a sampling rate of {rate:g} Hz, expected one above 0.")
    if length == 0:
        raise FileReadError("has no samples.")
    signals = {}
    for name, channel in voltages.items():
        if (channel.rate, len(channel.samples)) != (rate, length):
            unusable[name] = (
                f"has {len(channel.samples)} samples at {channel.rate:g} Hz, most have {length} at {rate:g}"
            )
            continue
        signals[name] = channel.samples * (_factor(channel.unit) or 1.0)
        if np.isinf(signals[name]).any():
            raise FileReadError(f"lead {name} has infinite values.")
    return Record(signals, float(rate), unusable, filters or Filters())


def is_voltage(unit: str) -> bool:
    """Tell whether a unit is one that :func:`make_record` brings to millivolts.

    Args:
        unit: as a file spells it.

    Example:
        >>> is_voltage("uV"), is_voltage("Ohm")
        (True, False)
    """
    return _factor(unit) is not None


def _factor(unit: str) -> float | None:
    return _MILLIVOLTS.get(unit.strip().casefold())
