# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Where does the network look? Heatmaps propose; they prove nothing."""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np
import torch

from monai_debias.audit.boxes import boxes_of, place
from monai_debias.audit.checks.check import NotCheckableError
from monai_debias.audit.finding import Evidence, Finding
from monai_debias.audit.pictures import before_and_after
from monai_debias.audit.resampling import interval, patient_weights
from monai_debias.audit.subject import Subject
from monai_debias.metrics.label_scores import ratio
from monai_debias.networks import evaluating
from monai_debias.relevance import LRP, UncoveredOperationError

__all__ = ["RelevanceOutside"]


class RelevanceOutside:
    """Measure where the relevance of each decision lies.

        effect = Σ |R| outside the regions of interest / Σ |R|, minus the share of the area that is outside

    over images with a mask, R by LRP-ε of the class that the network decides for. Unit: share, 0 for relevance that is
    spread evenly. Without masks there is no effect. ``details`` have the boxes of the largest mean relevance.

    There is no test, since heatmaps miss shortcuts and accuse networks that have none; exchanges decide.

    Args:
        most: how many images are explained at most.

    Reference:
        Bach et al., PLoS ONE 2015 (LRP); Adebayo et al., ICLR 2022, and docs/heatmaps.md (its limits).
    """

    name = "relevance"

    def __init__(self, most: int = 32) -> None:
        self.most = most

    def lacks(self, subject: Subject) -> str:
        """A network whose layers can be seen."""
        if len(subject.size) not in (2, 3, 4):
            return "it takes images of 1 to 3 spatial dimensions"
        return "" if subject.network.is_module else "heatmaps take a network of PyTorch whose layers can be seen"

    def cost(self, subject: Subject) -> int:
        """A pass back takes about three passes forward."""
        return 4 * min(self.most, len(subject))

    def __call__(self, subject: Subject) -> list[Finding]:
        """One finding."""
        rng = subject.rng(self.name)
        rows = rng.permutation(np.flatnonzero(subject.has_mask) if subject.has_mask.any() else len(subject))
        rows = np.sort(rows[: self.most])
        maps = torch.cat(subject.in_batches(rows, partial(self._maps, subject)))
        seen = maps.flatten(1).sum(1) > 0
        rows, maps = rows[seen.numpy()], maps[seen]
        if not len(rows):
            raise NotCheckableError("the relevance is 0 everywhere")
        maps = maps / maps.flatten(1).sum(1).reshape(-1, *[1] * (maps.ndim - 1))
        mean = maps.mean(0)
        boxes = boxes_of(subject.size[1:])
        shares = [float(mean[tuple(slice(*side) for side in box)].sum()) for box in boxes]
        best = np.argsort(shares)[::-1][:3]
        found = Finding(
            check=self.name,
            tested="heatmaps",
            level="described",
            measure="more of the relevance in the background than its share of the area",
            effect=None,
            low=None,
            high=None,
            unit="share",
            delta=0.1,
            p=None,
            patients=len(np.unique(subject.patients[rows])),
            note="A heatmap proposes where to look and proves nothing.",
            details={f"share of the relevance, {place(boxes[k], subject.size[1:])}": shares[k] for k in best},
            evidence=_shown(subject, rows[:3], maps[:3]),
        )
        return [self._outside(subject, found, rows, maps) if subject.has_mask.any() else found]

    def _maps(self, subject: Subject, rows: np.ndarray) -> torch.Tensor:
        """Absolute relevance (B, spatial...) of the decisions."""
        network = subject.network.network
        assert isinstance(network, torch.nn.Module)
        images = subject.network.prepared(subject.images(rows))
        classes = torch.as_tensor(subject.odds[rows].argmax(1))
        try:
            with evaluating(network):
                relevance = LRP(network, output=subject.network.output)(images, target=classes)[1]
        except (UncoveredOperationError, TypeError, ValueError, RuntimeError) as error:
            raise NotCheckableError(f"heatmaps cannot be computed: {error}") from error
        return relevance[:, 0].detach().abs().sum(1).cpu()

    def _outside(self, subject: Subject, finding: Finding, rows: np.ndarray, maps: torch.Tensor) -> Finding:
        masks = torch.cat([subject.images_and_masks(part)[1].any(1) for part in subject.batches(rows)])
        excess = ((maps * ~masks).flatten(1).sum(1) - (~masks).flatten(1).float().mean(1)).double().numpy()
        weights = patient_weights(subject.patients[rows], 1000, subject.rng(f"{self.name} interval"))
        low, high = interval(ratio(weights @ excess, weights.sum(1)))
        changes = tuple((subject.numbers[row], float(e)) for row, e in zip(rows.tolist(), excess, strict=True))
        return dataclasses.replace(finding, effect=float(excess.mean()), low=low, high=high, changes=changes)


def _shown(subject: Subject, rows: np.ndarray, maps: torch.Tensor) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(
            subject.numbers[row],
            "image and relevance",
            before_and_after(image, image)[0],
            before_and_after(heat[None] ** 0.5, heat[None] ** 0.5)[0],
        )
        for row, image, heat in zip(rows.tolist(), subject.images(rows), maps, strict=True)
    )
