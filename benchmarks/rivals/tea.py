# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Training with explanations alone (TEA): a student learns the heatmaps of a teacher that sees nothing but the region.

There is no loss on the student's logits. As in the authors' script for MNIST, the map of a random logit is learned, by
LRP-ε with an ε that is drawn anew for each batch; the student's last layer is the teacher's, and stays; heatmaps are
compared at several resolutions. The logit is drawn for each image, and teacher and student have the same size: these
are choices of ours.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from monai.inferers import Inferer
from torch import nn

from benchmarks.parts import Parts, with_masked_images
from benchmarks.rivals.last_layer import split
from monai_debias.attached import attach, attached, take_apart
from monai_debias.relevance import LRP
from monai_debias.transforms import FillMaskd

SMALLEST = 8  # side of the coarsest heatmap, pixels
EPSILONS = (-2.0, -1.0)  # exponents of ten between which ε is drawn


def with_explanations_alone(parts: Parts) -> Parts:
    """Train a teacher on masked images, and then the network by the teacher's heatmaps.

    Reference:
        Bassi et al., arXiv 2407.09788, 2025; the loss is that of the authors' code.
    """

    def first_stage(parts: Parts, batch: int, epochs: int, learning_rate: float) -> Parts:
        teacher = replace(with_masked_images(parts), network=deepcopy(parts.network))
        teacher.fit(batch, epochs, learning_rate)
        head = split(parts.network)[1]
        head.load_state_dict(split(teacher.network)[1].state_dict())
        head.requires_grad_(False)
        return replace(
            parts,
            transforms=(*parts.transforms, FillMaskd()),
            keys=(*parts.keys, "mask", "has_mask"),
            inferer=RandomLogitExplained(),
            classification_loss=TeachersHeatmap(teacher.network),
        )

    return replace(parts, first_stage=first_stage)


class RandomLogitExplained(Inferer):
    """Logits, and in training the relevance of one of them, drawn for each image, with what it takes to repeat that."""

    def __call__(self, inputs: torch.Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Run the network."""
        image, _ = take_apart(inputs)
        if not (network.training and torch.is_grad_enabled()):
            return network(image)
        n_classes = split(network)[1].out_features
        explained = torch.randint(n_classes, (len(image),))
        epsilon = 10 ** torch.empty(()).uniform_(*EPSILONS).item()
        logits, heatmap = LRP(network, epsilon)(image, explained, create_graph=True)
        return attach(logits, heatmap=heatmap, image=image, explained=explained, epsilon=epsilon)


class TeachersHeatmap(nn.Module):
    """The distance of the student's heatmap from that of a teacher, which sees the image without its background."""

    def __init__(self, teacher: nn.Module) -> None:
        super().__init__()
        self.teacher = teacher.eval().requires_grad_(False)

    def forward(self, pred: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """The loss of a batch, from what :class:`RandomLogitExplained` returns and labels with the mask attached."""
        _, of_student = take_apart(pred)
        mask = attached(label, "mask").as_subclass(torch.Tensor)
        attached(label, "has_mask")
        lrp = LRP(self.teacher, of_student["epsilon"])
        _, target = lrp(of_student["image"].as_subclass(torch.Tensor) * mask, of_student["explained"])
        return distance(of_student["heatmap"], target)


def distance(heatmap: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    r"""Mean absolute difference of heatmaps (B, maps, C, rows, columns), at every resolution down to 8 pixels.

    Both are first divided by the geometric mean of their mean absolute values, so that the student gains nothing by
    making its heatmap small or large:

    .. math:: \Bigl\langle \Bigl| \frac{R - T}{g} \Bigr| \Bigr\rangle, \qquad
              g = \sqrt{\langle |R| \rangle \langle |T| \rangle}

    for each map; at coarser resolutions, of halved size, the heatmaps are averaged over 2 × 2, 4 × 4 … pixels.

    >>> student, teacher = torch.tensor([4.0, 0.0]), torch.tensor([1.0, 0.0])  # g = sqrt(2 × 0.5) = 1
    >>> distance(student.reshape(1, 1, 1, 1, 2), teacher.reshape(1, 1, 1, 1, 2))
    tensor(1.5000)
    """
    found, factor = [], 1
    while factor == 1 or min(heatmap.shape[-2:]) / factor >= SMALLEST:
        ours, theirs = (nn.functional.avg_pool2d(maps.flatten(1, 2), factor) for maps in (heatmap, target))
        ours, theirs = (maps.unflatten(1, heatmap.shape[1:3]) for maps in (ours, theirs))
        scale = ours.abs().mean((2, 3, 4), keepdim=True) * theirs.abs().mean((2, 3, 4), keepdim=True)
        found.append(((ours - theirs) / (scale + 1e-20).sqrt()).abs().mean())
        factor *= 2
    return torch.stack(found).mean()
