# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How much do answers change when the whole image does: blur, contrast, noise, polarity, crop, resolution?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from monai.networks.layers import GaussianFilter
from torch.nn import functional as F  # noqa: N812

from monai_debias.audit.evidence import picture_pairs
from monai_debias.audit.finding import Finding
from monai_debias.audit.resampling import interval, patient_weights
from monai_debias.audit.subject import Subject

__all__ = ["GlobalCues"]

Change = Callable[[torch.Tensor, torch.Generator], torch.Tensor]


class GlobalCues:
    """Change all of an image in a way that scanners do, and count the decisions that change.

        effect = share of the images whose decision is another one for the changed image

    Unit: decisions, 0 for a network that does not mind. There is no test: a network may be sensitive without using a
    shortcut. But where a property of the images goes with the label in the data, sensitivity to it says that the
    network can use it. ``details`` say to which class the decisions move.

    Args:
        most: how many images are measured at most.

    Reference:
        Hendrycks and Dietterich, ICLR 2019 (corruptions), at mild strengths.
    """

    name = "global cues"

    def __init__(self, most: int = 100) -> None:
        self.most = most

    def lacks(self, subject: Subject) -> str:
        """Images with one to three spatial dimensions."""
        return "" if len(subject.size) in (2, 3, 4) else "it takes images of 1 to 3 spatial dimensions"

    def cost(self, subject: Subject) -> int:
        """An image for each change."""
        return len(CHANGES) * min(self.most, len(subject))

    def __call__(self, subject: Subject) -> list[Finding]:
        """A finding for each change."""
        rows = subject.rng(self.name).permutation(len(subject))[: self.most]
        return [self._measure(subject, rows, what, change) for what, change in CHANGES.items()]

    def _measure(self, subject: Subject, rows: np.ndarray, what: str, change: Change) -> Finding:
        def judged(part: np.ndarray) -> np.ndarray:
            noise = torch.Generator().manual_seed(subject.seed + int(part[0]))
            return subject.answer(change(subject.images(part), noise))

        odds, noise = np.concatenate(subject.in_batches(rows, judged)), torch.Generator().manual_seed(subject.seed)
        question = subject.questions[0]
        before, after = question.decided(subject.odds[rows]), question.decided(odds)
        changed = (before != after).astype(np.float64)
        patients = subject.patients[rows]
        weights = patient_weights(patients, 1000, subject.rng(f"{self.name} {what}"))
        low, high = interval(weights @ changed / weights.sum(1))
        names = question.class_names
        return Finding(
            check=self.name,
            tested=what,
            level="described",
            measure="of the decisions changed",
            effect=float(changed.mean()),
            low=low,
            high=high,
            unit="decisions",
            delta=0.05,
            p=None,
            patients=len(np.unique(patients)),
            details={
                f"decisions for {name}, before and after": [float((said == k).mean()) for said in (before, after)]
                for k, name in enumerate(names)
            },
            evidence=picture_pairs(subject, rows[np.flatnonzero(changed)[:2]], lambda x: change(x, noise), what),
        )


def _blur(x: torch.Tensor, _: torch.Generator) -> torch.Tensor:
    return GaussianFilter(x.ndim - 2, 1.0)(x)


def _gamma(power: float) -> Change:
    def change(x: torch.Tensor, _: torch.Generator) -> torch.Tensor:
        low, high = _range(x)
        return low + (high - low) * ((x - low) / (high - low)) ** power

    return change


def _noise(x: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
    low, high = _range(x)
    return x + 0.05 * (high - low) * torch.randn(x.shape, generator=noise)


def _polarity(x: torch.Tensor, _: torch.Generator) -> torch.Tensor:
    low, high = _range(x)
    return low + high - x


def _crop(x: torch.Tensor, _: torch.Generator) -> torch.Tensor:
    cuts = [side // 20 for side in x.shape[2:]]
    inside: tuple[Any, ...] = (..., *(slice(cut, side - cut) for cut, side in zip(cuts, x.shape[2:], strict=True)))
    return _resized(x[inside], x.shape[2:])


def _resolution(x: torch.Tensor, _: torch.Generator) -> torch.Tensor:
    return _resized(_resized(x, [max(1, side // 2) for side in x.shape[2:]]), x.shape[2:])


def _range(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Lowest and highest value of each image."""
    shape = (len(x), *[1] * (x.ndim - 1))
    low, high = x.flatten(1).amin(1).reshape(shape), x.flatten(1).amax(1).reshape(shape)
    return low, torch.where(high > low, high, low + 1)


def _resized(x: torch.Tensor, size: torch.Size | list[int]) -> torch.Tensor:
    return F.interpolate(x, list(size), mode=("linear", "bilinear", "trilinear")[x.ndim - 3], align_corners=False)


CHANGES: dict[str, Change] = {
    "blur": _blur,
    "brighter (gamma 0.8)": _gamma(0.8),
    "darker (gamma 1.25)": _gamma(1.25),
    "noise (5 % of the range)": _noise,
    "inverted polarity": _polarity,
    "crop (90 %)": _crop,
    "half the resolution": _resolution,
}
"""What is done to images, by its name in the report."""
