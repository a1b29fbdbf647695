# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A signal on its way through transforms: an array, tensor or MetaTensor of shape (leads, samples) and its rate.

NaN is where there is no signal. A transform leaves it as it is, and does not let it spread.
"""

from __future__ import annotations

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.data import MetaTensor

from monai_debias.apps.ecg.reader import RATE
from monai_debias.origin import file_names, from_files
from monai_debias.pixels import as_pixels

__all__ = ["as_leads", "bridge_gaps", "like_signal", "rate_of"]


def as_leads(signal: NdarrayOrTensor) -> np.ndarray:
    """Return a signal as a float64 array.

    Args:
        signal: shape (leads, samples).

    Raises:
        TypeError: if it is neither an array nor a tensor.
        ValueError: if it has another shape, no samples, or complex values.
    """
    if not isinstance(signal, np.ndarray | torch.Tensor):
        raise TypeError(f"a signal is an array or tensor of shape (leads, samples), got {type(signal).__name__}.")
    values = as_pixels(signal)
    if values.ndim != 2 or values.numel() == 0 or values.is_complex():
        raise ValueError(
            f"the signal{from_files(file_names(signal))} has shape {tuple(values.shape)}, expected (leads, samples) of "
            "real numbers; for a loaded file use ensure_channel_first=True."
        )
    return values.to(torch.float64, copy=True).numpy(force=True)


def like_signal(values: np.ndarray, signal: NdarrayOrTensor, sampling_rate: float | None = None) -> NdarrayOrTensor:
    """Return values as the kind of array that a signal is, with its meta.

    Args:
        values: shape (leads, samples).
        signal: what they were made from; integers other than those of a mask become float32.
        sampling_rate: their rate for the meta, if it is another one.
    """
    pixels = as_pixels(signal)
    keeps = pixels.is_floating_point() or np.array_equal(values, values.round())
    result = torch.from_numpy(np.ascontiguousarray(values)).to(pixels.dtype if keeps else torch.float32)
    result = result.to(pixels.device)
    if isinstance(signal, MetaTensor):
        rate = {} if sampling_rate is None else {RATE: sampling_rate}
        made = MetaTensor(result, meta={**signal.meta, **rate}, applied_operations=signal.applied_operations)
        return made
    return result if isinstance(signal, torch.Tensor) else result.numpy()


def rate_of(signal: NdarrayOrTensor, given: float | None) -> float:
    """Return the samples per second of a signal.

    Args:
        signal: its meta may have the rate.
        given: what a transform was told; it counts only if the meta has none.

    Raises:
        ValueError: if neither is known, or that of the meta is not above 0.
    """
    found = signal.meta.get(RATE) if isinstance(signal, MetaTensor) else None
    rate = given if found is None else float(found)
    if rate is None or not 0 < rate < np.inf:
        raise ValueError(
            f"the signal{from_files(file_names(signal))} has the sampling rate {rate}, expected a number above 0: read "
            "it with ECGReader, which puts it into the meta, or tell the transform."
        )
    return rate


def bridge_gaps(leads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draw a straight line through every gap, so that a filter can be applied.

    Args:
        leads: (leads, samples), NaN in the gaps.

    Returns:
        The leads without NaN, 0 in one that has no values, and where the gaps were, both (leads, samples).

    Example:
        >>> bridge_gaps(np.array([[1.0, np.nan, 3.0]]))
        (array([[1., 2., 3.]]), array([[False,  True, False]]))
    """
    gaps = np.isnan(leads)
    if not gaps.any():
        return leads, gaps
    bridged, places = np.zeros_like(leads), np.arange(leads.shape[1])
    for row in np.flatnonzero(~gaps.all(axis=1)):
        there = ~gaps[row]
        bridged[row] = np.interp(places, places[there], leads[row, there])
    return bridged, gaps
