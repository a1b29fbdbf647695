# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The leads of an ECG: their names, their order, and those that follow from others.

The six limb leads are voltages between three electrodes, so that any two of them give the other four (Einthoven:
II = I + III; Goldberger: aVR = -(I + II) / 2, aVL = I - II / 2, aVF = II - I / 2).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import combinations

import numpy as np

__all__ = ["LIMB_LEADS", "STANDARD_LEADS", "derive_lead", "lead_name"]

LIMB_LEADS = {  # what each is of I and II
    "I": (1.0, 0.0),
    "II": (0.0, 1.0),
    "III": (-1.0, 1.0),
    "aVR": (-0.5, -0.5),
    "aVL": (1.0, -0.5),
    "aVF": (-0.5, 1.0),
}
STANDARD_LEADS = (*LIMB_LEADS, "V1", "V2", "V3", "V4", "V5", "V6")

_CANONICAL = {name.casefold(): name for name in (*STANDARD_LEADS, "V7", "V8", "V9", "V3R", "V4R", "V5R", "V6R")}
_PREFIX = re.compile(r"^(mdc[ _]ecg[ _]lead|lead|ecg|ekg)[ _:-]*", re.IGNORECASE)
_SUFFIX = re.compile(r"[ _]*(\(einthoven\)|, augmented voltage, (right|left|foot))$", re.IGNORECASE)


def lead_name(text: str) -> str:
    """Spell the name of a lead as it is usual.

    Args:
        text: how a file calls it.

    Returns:
        The usual name, such as ``"aVR"``; of an unknown lead what the file says, without commas, which separate names.

    Example:
        >>> lead_name("Lead I (Einthoven)"), lead_name("MDC_ECG_LEAD_AVR"), lead_name("avl"), lead_name("MLII")
        ('I', 'aVR', 'aVL', 'MLII')
    """
    plain = " ".join(text.replace(",", " , ").split()).replace(" ,", ",")
    short = _SUFFIX.sub("", _PREFIX.sub("", plain))
    return _CANONICAL.get(short.casefold(), " ".join(plain.replace(",", " ").split()))


def derive_lead(name: str, signals: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Compute a limb lead from two others.

    Args:
        name: the lead.
        signals: the samples of other leads by their names, each (samples,).

    Returns:
        Its samples, (samples,), NaN where one of the two is; None if it is no limb lead, or there are not two others.

    Example:
        >>> derive_lead("III", {"I": np.array([1.0]), "II": np.array([3.0])})
        array([2.])
    """
    if name not in LIMB_LEADS:
        return None
    known = [other for other in LIMB_LEADS if other in signals]
    for pair in combinations(known, 2):
        weights = np.linalg.solve(np.array([LIMB_LEADS[other] for other in pair]).T, np.array(LIMB_LEADS[name]))
        return np.asarray(weights[0] * signals[pair[0]] + weights[1] * signals[pair[1]])
    return None
