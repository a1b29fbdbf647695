# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A network on images and their exchanges: what it decides, what its heatmaps say, and through which units a mark acts.

The network is the DenseNet of the testbed colour_corner.
"""

from __future__ import annotations

from typing import Any

import torch
from scipy.stats import spearmanr
from torch import nn

from benchmarks.evidence.testbeds.colour_corner import Digits
from benchmarks.patching import parts_of_logit, with_patch, with_switches_held
from monai_debias.masks import pool_mask
from monai_debias.metrics import background_relevance
from monai_debias.relevance import LRP
from monai_debias.transforms.background import backmix_rows

LAYERS = {
    "features.conv0": "first convolution, 12 by 12",
    "features.pool0": "pooling, 6 by 6",
    "features.denseblock1": "first block, 6 by 6",
    "features.transition1": "transition, 3 by 3",  # from here on no position is outside the mask
}
LAST = "class_layers.relu"  # a linear layer follows
PARTS = ("outside", "inside", "biases")


class Pairs:
    """Images and their exchanges, each on the background of the next image that has another class."""

    def __init__(self, data: Digits) -> None:
        n = len(data.label)
        other = data.label[None].ne(data.label[:, None])
        later = (torch.arange(n)[None] - torch.arange(n)[:, None]) % n
        donors = torch.where(other, later, n).argmin(1)
        masks = data.mask.bool()
        self.images, self.masks, self.label, self.mark = data.image, data.mask, data.label, data.label[donors]
        self.exchanged = backmix_rows(data.image, masks, data.image[donors], masks[donors])

    def difference(self, logits: torch.Tensor) -> torch.Tensor:
        """The logit of an image's class without that of the class that the other mark names."""
        return (logits.gather(1, self.label[:, None]) - logits.gather(1, self.mark[:, None]))[:, 0]


class Measured:
    """A network on all pairs."""

    def __init__(self, network: nn.Module, pairs: Pairs) -> None:
        self.network, self.pairs = network, pairs
        with torch.no_grad():
            self.before, self.after = network(pairs.images), network(pairs.exchanged)
        self.decided = self.before.argmax(1)
        _, heatmaps = LRP(network)(pairs.images, target=self.decided)
        self.heatmaps = heatmaps[:, 0]
        self.share = background_relevance(self.heatmaps, pairs.masks)
        changes = (self.before.softmax(1) - self.after.softmax(1)).abs()
        self.effect = changes.gather(1, self.decided[:, None])[:, 0]

    def kept(self, logits: torch.Tensor) -> float:
        """Share of images for which logits decide as the network does with the own background."""
        return (logits.argmax(1) == self.decided).double().mean().item()

    def row(self) -> dict[str, float]:
        """The columns of the results."""
        images, exchanged, masks = self.pairs.images, self.pairs.exchanged, self.pairs.masks
        here, there = (parts_of_logit(self.network, x, masks, self.pairs.difference) for x in (images, exchanged))
        found = {
            "accuracy": (self.decided == self.pairs.label).double().mean().item(),
            "kept": self.kept(self.after),
            "follows_mark": (self.after.argmax(1) == self.pairs.mark).double().mean().item(),
            "background_relevance": self.share.mean().item(),
            "difference": here.total().mean().item(),
            "biases": here.biases.mean().item(),
            "outside_absolute": (here.relevance * (1 - masks)).abs().flatten(1).sum(1).mean().item(),
            "inside_absolute": (here.relevance * masks).abs().flatten(1).sum(1).mean().item(),
            "change": (here.total() - there.total()).mean().item(),
            **{f"change_{part}": (getattr(here, part) - getattr(there, part)).mean().item() for part in PARTS},
            "kept_held": self.kept(with_switches_held(self.network, images, exchanged)),
            "kept_silenced": self.kept(self._patched(LAST, lambda ours, theirs: (theirs == 0) & (ours > 0))),
            "kept_switched": self.kept(self._patched(LAST, lambda ours, theirs: (theirs > 0) != (ours > 0))),
            "kept_on": self.kept(self._patched(LAST, lambda ours, theirs: (theirs > 0) & (ours > 0))),
            "kept_batch_statistics": self._kept_with_batch_statistics(),
            "rank_correlation": float(spearmanr(self.share, self.effect).statistic),
        }
        region = masks > 0
        for layer in LAYERS:
            found[f"{layer}_inside"] = self.kept(self._patched(layer, lambda x, _: pool_mask(region, x.shape[2:])))
            found[f"{layer}_outside"] = self.kept(self._patched(layer, lambda x, _: ~pool_mask(region, x.shape[2:])))
        return found

    def _patched(self, layer: str, where: Any) -> torch.Tensor:
        return with_patch(self.network, layer, self.pairs.exchanged, self.pairs.images, where)

    def _kept_with_batch_statistics(self) -> float:
        state = {name: value.clone() for name, value in self.network.state_dict().items()}
        with torch.no_grad():
            self.network.train()
            before, after = self.network(self.pairs.images), self.network(self.pairs.exchanged)
        self.network.eval().load_state_dict(state)  # the running statistics have moved
        return (before.argmax(1) == after.argmax(1)).double().mean().item()
