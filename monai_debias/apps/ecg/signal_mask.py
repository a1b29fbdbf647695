# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Where a record shows the heart: not in padding and gaps, with a lead off, or during a calibration pulse."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import Transform
from monai.utils import TransformBackends

from monai_debias.apps.ecg.map_signals import MaskSignals
from monai_debias.apps.ecg.signal import as_leads, rate_of
from monai_debias.constraints import BOOL, KEY, KEYS, NONE, Number
from monai_debias.origin import file_names, from_files
from monai_debias.parameters import constraints_of, expects
from monai_debias.pixels import as_pixels, like

__all__ = ["SignalMask", "SignalMaskD", "SignalMaskDict", "SignalMaskd", "heart_is_seen", "in_all_leads", "to_mask"]

_TOGETHER = 0.1  # s; no heart is silent in every lead for that long
_SAME = 1e-6  # mV; values closer than that are one value
_PULSE = (0.06, 0.3, 0.25)  # s, mV, and how much of its height leads may differ in a pulse
_EDGE = 0.7  # s between an end of the record and a pulse


class SignalMask(Transform):
    """Find where a record shows the heart. Put it directly after loading: filters blur what it looks for.

    A single lead does not show the heart where it is NaN, or where it stays at one value for ``flat_seconds`` or longer
    (an electrode that is off, an amplifier at its limit). No lead shows the heart where there is

    - a constant value in every lead at once for 0.1 s or longer, which is padding;
    - the same voltage of 0.3 mV or more in every lead at once, which is a calibration pulse: the heart cannot show the
      same in all leads, since I + III = II. It takes three leads or more. What lies between the pulse and the end
      of the record, if that is within 0.7 s, goes with it.

    Padding that imitates a signal, such as a mirrored end, and the hum of an open wire look like a heart to it.

    Args:
        flat_seconds: how long a lead has one value if its electrode is off.
        per_lead: whether the mask has a row for each lead; otherwise it has one, 1 where every lead that has a signal
            at all shows the heart.
        sampling_rate: samples per second of signals whose meta does not have it.

    Returns:
        From a call, the mask: uint8, shape (1, samples) or (leads, samples), 1 = the heart.

    Raises:
        ValueError: if an argument has another value; in a call, if the signal is not of shape (leads, samples), its
            rate is unknown, or the heart is nowhere in all leads at once.

    Example:
        >>> signal = np.sin(np.arange(1000) / 10) * np.array([[1.0], [0.5], [-0.5]])
        >>> signal[:, 600:] = 0
        >>> SignalMask(sampling_rate=100)(signal).sum()
        np.uint64(600)
    """

    backend = [TransformBackends.NUMPY]

    @expects(flat_seconds=Number("(0, inf)"), per_lead=BOOL, sampling_rate=NONE | Number("(0, inf)"))
    def __init__(self, flat_seconds: float = 0.7, per_lead: bool = False, sampling_rate: float | None = None) -> None:
        self.flat_seconds = flat_seconds
        self.per_lead = per_lead
        self.sampling_rate = sampling_rate

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """Find the heart.

        Args:
            img: the signal, shape (leads, samples).
        """
        seen = heart_is_seen(as_leads(img), rate_of(img, self.sampling_rate), self.flat_seconds)
        return to_mask(seen if self.per_lead else in_all_leads(seen), img)


class SignalMaskd(MaskSignals):
    """Dictionary version of :class:`SignalMask`.

    Args:
        keys: key of the signal; of several, with the heart in the same places, the first that the sample has is used.
        mask_key: key of the mask that is added.
        flat_seconds: how long a lead has one value if its electrode is off.
        per_lead: whether the mask has a row for each lead.
        sampling_rate: samples per second of signals whose meta does not have it.
        allow_missing_keys: do not raise when a key is missing from a sample.

    Raises:
        ValueError: as :class:`SignalMask`.

    Example:
        >>> sample = {"image": np.random.default_rng(0).normal(size=(12, 1000))}
        >>> SignalMaskd("image", sampling_rate=100)(sample)["mask"].shape
        (1, 1000)
    """

    @expects(keys=KEYS, mask_key=KEY, **constraints_of(SignalMask), allow_missing_keys=BOOL)
    def __init__(
        self,
        keys: KeysCollection,
        mask_key: Hashable = "mask",
        flat_seconds: float = 0.7,
        per_lead: bool = False,
        sampling_rate: float | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, mask_key, SignalMask(flat_seconds, per_lead, sampling_rate), allow_missing_keys)


SignalMaskD = SignalMaskDict = SignalMaskd


def heart_is_seen(leads: np.ndarray, rate: float, flat_seconds: float) -> np.ndarray:
    """Tell for each lead and sample whether it shows the heart.

    Args:
        leads: (leads, samples), NaN where there is no signal.
        rate: samples per second.
        flat_seconds: how long a lead has one value if its electrode is off.

    Returns:
        Boolean, (leads, samples).
    """
    still = np.abs(np.diff(leads, axis=1)) <= _SAME
    flat = np.stack([_in_runs(row, round(flat_seconds * rate)) for row in still])
    seen = np.isfinite(leads) & ~flat
    there = seen.any(axis=1)
    if not there.any():
        return seen
    silent = _in_runs(still[there].all(axis=0), max(2, round(_TOGETHER * rate)))
    pulses = _pulses(leads[there], rate) if there.sum() >= 3 else np.zeros_like(silent)
    return seen & ~(silent | pulses)


def in_all_leads(seen: np.ndarray) -> np.ndarray:
    """Tell where all leads show the heart, of those that show it anywhere.

    Args:
        seen: boolean, (leads, samples).

    Returns:
        Boolean, (1, samples).
    """
    return np.all(seen[seen.any(axis=1)], axis=0)[None] & seen.any()


def to_mask(region: np.ndarray, signal: NdarrayOrTensor) -> NdarrayOrTensor:
    """Return a region as the mask of a signal: uint8, of the signal's kind of array and with its meta.

    Args:
        region: boolean, (1, samples) or (leads, samples).
        signal: (leads, samples).

    Raises:
        ValueError: if it is empty.
    """
    if not region.any():
        raise ValueError(
            f"the signal{from_files(file_names(signal))} shows the heart nowhere in all leads at once; leave the "
            "record out, choose other leads, or use per_lead=True if its leads were recorded one after the other."
        )
    mask = torch.from_numpy(region.astype(np.uint8)).to(as_pixels(signal).device)
    return like(mask, signal)


def _in_runs(still: np.ndarray, least: int) -> np.ndarray:
    """Which samples belong to a run of so many of one value, of whether each equals the next."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], still.astype(np.int8), [0]])))
    inside = np.zeros(len(still) + 1, bool)
    for begin, end in edges.reshape(-1, 2):
        if end - begin + 1 >= least:
            inside[begin : end + 1] = True
    return inside


def _pulses(leads: np.ndarray, rate: float) -> np.ndarray:
    """Which samples belong to a calibration pulse."""
    seconds, height, tolerance = _PULSE
    common = np.median(np.nan_to_num(leads), axis=0)
    alike = np.abs(np.nan_to_num(leads) - common).max(axis=0) <= tolerance * np.abs(common)
    inside = _in_runs((alike & (np.abs(common) >= height))[1:], round(seconds * rate))
    places = np.flatnonzero(inside)
    if len(places):
        edge = round(_EDGE * rate)
        if places[0] <= edge:
            inside[: places[0]] = True
        if len(inside) - 1 - places[-1] <= edge:
            inside[places[-1] :] = True
    return inside
