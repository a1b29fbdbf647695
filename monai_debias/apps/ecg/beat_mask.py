# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the beats of a record are, by a detector of QRS complexes."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import Transform
from monai.utils import OptionalImportError, TransformBackends

from monai_debias.apps.ecg.map_signals import MaskSignals
from monai_debias.apps.ecg.signal import as_leads, bridge_gaps, rate_of
from monai_debias.apps.ecg.signal_mask import heart_is_seen, in_all_leads, to_mask
from monai_debias.constraints import BOOL, KEY, KEYS, NONE, Integer, Number, SequenceOf
from monai_debias.data.reading import warn
from monai_debias.origin import file_names, from_files
from monai_debias.parameters import constraints_of, expects

__all__ = ["BeatMask", "BeatMaskD", "BeatMaskDict", "BeatMaskd"]

_FLAT_SECONDS = 0.7
_SHORTEST = 2.0  # s, which the detector needs to learn what a beat is


class BeatMask(Transform):
    """Find the beats of a record: from a while before each QRS complex to a while after it.

    The detector is ``wfdb.processing.xqrs_detect`` (extra ``ecg``), in one lead. Beats lie in the mask of
    ``SignalMask``, which a record without beats, as in ventricular fibrillation, gets as a whole, with a warning.

    Args:
        around: seconds before and after a QRS complex that belong to the beat; the default has the P and the T wave.
        lead: place of the lead in which beats are sought, from 0; II is the second of the standard leads.
        sampling_rate: samples per second of signals whose meta does not have it.

    Returns:
        From a call, the mask: uint8, shape (1, samples), 1 = a beat.

    Raises:
        ValueError: if an argument has another value; in a call, if the signal is not of shape (leads, samples), has no
            such lead, is shorter than two seconds, or shows the heart nowhere, or its rate is unknown.
        OptionalImportError: in a call, if wfdb is not installed.

    Example:
        >>> times = np.arange(5000) / 500
        >>> beats = np.exp(-0.5 * ((times % 1 - 0.5) / 0.01) ** 2) + np.random.default_rng(0).normal(0, 0.01, 5000)
        >>> bool(0.6 < BeatMask(lead=0, sampling_rate=500)(beats[None]).mean() < 0.8)
        True
    """

    backend = [TransformBackends.NUMPY]

    @expects(
        around=SequenceOf(Number("[0, inf)"), length=2),
        lead=Integer("[0, inf)"),
        sampling_rate=NONE | Number("(0, inf)"),
    )
    def __init__(
        self, around: Sequence[float] = (0.25, 0.45), lead: int = 1, sampling_rate: float | None = None
    ) -> None:
        self.around = (float(around[0]), float(around[1]))
        self.lead = lead
        self.sampling_rate = sampling_rate

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """Find the beats.

        Args:
            img: the signal, shape (leads, samples).
        """
        leads, rate, where = as_leads(img), rate_of(img, self.sampling_rate), from_files(file_names(img))
        if self.lead >= len(leads):
            raise ValueError(
                f"the signal{where} has {len(leads)} leads; beats are sought in number {self.lead}, from 0."
            )
        if leads.shape[1] < _SHORTEST * rate:
            raise ValueError(
                f"the signal{where} lasts {leads.shape[1] / rate:.3g} s, too short to find beats; expected "
                f"{_SHORTEST:g} s or more."
            )
        seen = heart_is_seen(leads, rate, _FLAT_SECONDS)
        valid = in_all_leads(seen)
        beats = np.zeros_like(valid)
        before, after = (round(seconds * rate) for seconds in self.around)
        for place in _qrs_complexes(np.where(seen[self.lead], leads[self.lead], np.nan), rate):
            beats[0, max(place - before, 0) : place + after + 1] = True
        if not (beats & valid).any():
            warn(f"no beat was found in the signal{where}: its mask is all that shows the heart.")
            return to_mask(valid, img)
        return to_mask(beats & valid, img)


class BeatMaskd(MaskSignals):
    """Dictionary version of :class:`BeatMask`.

    Args:
        keys: key of the signal; of several, with the heart in the same places, the first that the sample has is used.
        mask_key: key of the mask that is added, shape (1, samples).
        around: seconds before and after a QRS complex that belong to the beat.
        lead: place of the lead in which beats are sought, from 0.
        sampling_rate: samples per second of signals whose meta does not have it.
        allow_missing_keys: do not raise when a key is missing from a sample.

    Raises:
        ValueError: as :class:`BeatMask`.
        OptionalImportError: as :class:`BeatMask`.

    Example:
        >>> beats = np.exp(-0.5 * ((np.arange(5000) / 500 % 1 - 0.5) / 0.01) ** 2)[None].repeat(2, 0)
        >>> beats += np.random.default_rng(0).normal(0, 0.01, beats.shape)
        >>> BeatMaskd("image", sampling_rate=500)({"image": beats})["mask"].shape
        (1, 5000)
    """

    @expects(keys=KEYS, mask_key=KEY, **constraints_of(BeatMask), allow_missing_keys=BOOL)
    def __init__(
        self,
        keys: KeysCollection,
        mask_key: Hashable = "mask",
        around: Sequence[float] = (0.25, 0.45),
        lead: int = 1,
        sampling_rate: float | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, mask_key, BeatMask(around, lead, sampling_rate), allow_missing_keys)


BeatMaskD = BeatMaskDict = BeatMaskd


def _qrs_complexes(lead: np.ndarray, rate: float) -> np.ndarray:
    """The places of the QRS complexes."""
    try:
        from wfdb.processing import xqrs_detect
    except ModuleNotFoundError as error:
        raise OptionalImportError("BeatMask needs the package wfdb: pip install wfdb.") from error
    bridged, _ = bridge_gaps(lead[None])
    if np.ptp(bridged) == 0:
        return np.zeros(0, int)
    return np.asarray(xqrs_detect(bridged[0], fs=rate, verbose=False), int)
