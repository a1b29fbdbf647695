# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Predictions for the images of a batch, and for the same images on other backgrounds."""

from __future__ import annotations

from typing import Any

import torch
from monai.inferers import Inferer, SimpleInferer

from monai_debias.attached import attach, take_apart
from monai_debias.constraints import NONE, Instance
from monai_debias.parameters import expects

__all__ = ["BackgroundSwapInferer"]


class BackgroundSwapInferer(Inferer):
    """Run a classifier on images and on the same images with other backgrounds, for ``BackgroundConsistencyLoss``.

    The images that ``SwapBackgrounds`` made are attached to those of the batch. Both go through the network as one
    batch, so that a batch norm sees both and a distributed network runs once. The result is the logits of the batch,
    with those of the swapped images attached. If none are attached, as in evaluation, it behaves like the inferer
    inside.

    Args:
        inferer: what runs the network, e.g. an ``ISNetInferer``, whose heatmaps are those of the batch's own images;
            None for MONAI's ``SimpleInferer``.

    Raises:
        TypeError: when ``inferer`` is not an inferer of MONAI.
        ValueError: in a call, when the swapped images have another size or other channels than those of the batch.

    Example:
        >>> import torch
        >>> from monai_debias.attached import attached
        >>> images, network = torch.rand(3, 1, 4), torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2))
        >>> swapped = {"rows": torch.tensor([0, 2]), "images": torch.rand(2, 1, 4)}
        >>> logits = BackgroundSwapInferer()(attach(images, swapped=swapped), network)
        >>> logits.shape, attached(logits, "swapped")["logits"].shape
        (torch.Size([3, 2]), torch.Size([2, 2]))
    """

    @expects(inferer=NONE | Instance(Inferer))
    def __init__(self, inferer: Inferer | None = None) -> None:
        super().__init__()
        self.inferer = SimpleInferer() if inferer is None else inferer

    def __call__(self, inputs: torch.Tensor, network: torch.nn.Module, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Classify.

        Args:
            inputs: shape (B, C, spatial...), with ``"swapped"`` attached: ``{"rows": ..., "images": ...}``, indices
                (R,) of the rows that have other backgrounds, int64, and these images, (R, C, spatial...).
            network: classifier that returns logits.
            args: further positional arguments of the inferer.
            kwargs: further keyword arguments of the inferer.

        Returns:
            Logits (B, K) with what the inferer attached to them, and with ``"swapped"`` attached:
            ``{"rows": ..., "logits": ...}``, the logits (R, K) of the swapped images.
        """
        images, parts = take_apart(inputs)
        swapped = parts.pop("swapped", None)
        if swapped is None:
            return self.inferer(attach(images, **parts), network, *args, **kwargs)
        if "explain" in parts:
            parts["explain"] = _also_of_swapped(parts["explain"], len(images), swapped["rows"])
        if swapped["images"].shape[1:] != images.shape[1:]:
            raise ValueError(
                f"the images on other backgrounds are {tuple(swapped['images'].shape)}, those of the batch "
                f"{tuple(images.shape)}: copy them after all transforms that change the size or the channels."
            )
        # every operation would copy the meta data of a MetaTensor
        both = torch.cat([images.as_subclass(torch.Tensor), swapped["images"].to(images.dtype)])
        logits, found = take_apart(self.inferer(attach(both, **parts), network, *args, **kwargs))
        of_swapped = {"rows": swapped["rows"], "logits": logits[len(images) :]}
        return attach(logits[: len(images)], **found, swapped=of_swapped)


def _also_of_swapped(explain: dict[str, Any], n: int, rows: torch.Tensor) -> dict[str, Any]:
    """What an ISNet explains of n images, for a batch in which swapped images follow, which are not explained."""
    explained = explain["rows"]
    parts = {name: part.as_subclass(torch.Tensor) for name, part in explain.items() if name != "rows"}
    return {
        "rows": torch.arange(n, device=rows.device) if explained is None else explained,
        **{name: torch.cat([part, part[rows]]) for name, part in parts.items()},
    }
