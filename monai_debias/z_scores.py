# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Images that were normalised one by one, whose values in the region of interest depend on their background."""

from __future__ import annotations

import warnings

import torch

from monai_debias.without_waiting import look

__all__ = ["look_for_z_scores"]


def look_for_z_scores(images: torch.Tensor) -> None:
    """Warn if each of the images (B, C, spatial...), or each of their channels, has mean 0 and standard deviation 1."""
    axes = (tuple(range(2, images.ndim)), tuple(range(1, images.ndim)))  # of each channel, of the image
    measured = [torch.std_mean(images.detach().float(), dim=dims, correction=0) for dims in axes]
    look(_warn_of_z_scores, *(values for pair in measured for values in pair))


def _warn_of_z_scores(*measured: torch.Tensor) -> None:
    """For pairs of standard deviations and means, of each channel and of each image."""
    for deviation, mean in zip(measured[::2], measured[1::2], strict=True):
        if bool(((mean.abs() < 1e-3) & ((deviation - 1).abs() < 2e-3)).all()):
            warnings.warn(
                "each image has mean 0 and standard deviation 1: a z-score carries what the background holds into the "
                "values of the region of interest, where neither a blend of backgrounds nor a heatmap finds it. "
                "Normalise by fixed numbers, e.g. ScaleIntensityRange to [0, 1] (docs/isnet.md, Normalisation).",
                stacklevel=3,
            )
            return
