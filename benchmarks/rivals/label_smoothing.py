# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Label smoothing (Szegedy et al., CVPR 2016) of multi-label vectors: no label is taken for certain."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.parts import Parts, Step


def with_label_smoothing(smoothing: float = 0.1) -> Step:
    """Labels (1 − ε)·y + ε/2 in the training."""

    def step(parts: Parts) -> Parts:
        soft = [{**sample, "label": sample["label"] * (1 - smoothing) + smoothing / 2} for sample in parts.samples]
        return replace(parts, samples=soft)

    return step
