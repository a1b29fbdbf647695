# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""One prediction for a clip from a classifier of single frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer

from monai_debias.constraints import Integer
from monai_debias.parameters import expects
from monai_debias.tasks import TASK, TASKS

__all__ = ["ClipInferer"]


class ClipInferer(Inferer):
    """Average a frame classifier's probabilities over the frames of a clip.

    The result is logits again: the softmax or sigmoid that a bundle applies to a network's output gives the mean
    probabilities themselves. They are log p̄ for a softmax and log p̄ - log(1 - p̄) for a sigmoid. An input that has no
    frame dimension is a clip of one frame.

    Args:
        task: "softmax", "binary" or "multi_label", see :mod:`monai_debias.tasks`.
        spatial_dims: number of spatial dimensions of one frame; frames are the dimension after them.
        frame_batch_size: how many frames the network sees at once.

    Raises:
        ValueError: when ``frame_batch_size`` is below 1, or the input has neither one frame nor a frame dimension.

    Example:
        >>> import torch
        >>> network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 4))
        >>> clip = torch.rand(2, 1, 8, 8, 5)
        >>> log_p = ClipInferer()(clip, network)
        >>> mean = torch.stack([network(clip[..., t]).softmax(1) for t in range(5)]).mean(0)
        >>> torch.allclose(log_p.softmax(1), mean)
        True
    """

    @expects(task=TASK, spatial_dims=Integer("[1, 3]"), frame_batch_size=Integer("[1, inf)"))
    def __init__(self, task: str = "softmax", spatial_dims: int = 2, frame_batch_size: int = 64) -> None:
        super().__init__()
        self.task = task
        self.spatial_dims = spatial_dims
        self.frame_batch_size = frame_batch_size

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Classify clips.

        Args:
            inputs: clips of shape (B, C, spatial..., frames), or single frames (B, C, spatial...).
            network: classifier of frames (N, C, spatial...) that returns logits (N, K).
            args: further positional arguments of ``network``.
            kwargs: further keyword arguments of ``network``.

        Returns:
            Logits of the probabilities averaged over the frames, shape (B, K).
        """
        extra = inputs.ndim - 2 - self.spatial_dims
        if extra not in (0, 1):
            raise ValueError(
                f"expected (B, C, {self.spatial_dims} spatial dimensions) or the same with frames at the end, "
                f"got shape {tuple(inputs.shape)}."
            )
        clips = inputs if extra else inputs.unsqueeze(-1)
        frames = clips.movedim(-1, 1).flatten(0, 1)
        logits = torch.cat([network(part, *args, **kwargs) for part in frames.split(self.frame_batch_size)])
        return TASKS[self.task].mean_logits(logits.reshape(len(inputs), clips.shape[-1], -1))
