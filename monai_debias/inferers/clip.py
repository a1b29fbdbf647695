# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""One prediction for a clip from a classifier of single frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer

from monai_debias.parameters import Integer, expects

__all__ = ["ClipInferer"]


class ClipInferer(Inferer):
    """Average a frame classifier's probabilities over the frames of a clip.

    The result is the logarithm of the mean probabilities, so that the softmax that a bundle applies to a network's
    output gives the mean probabilities themselves. An input that has no frame dimension is a clip of one frame.

    Args:
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

    @expects(spatial_dims=Integer("[1, inf)"), frame_batch_size=Integer("[1, inf)"))
    def __init__(self, spatial_dims: int = 2, frame_batch_size: int = 64) -> None:
        super().__init__()
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
            Logarithms of the probabilities averaged over the frames, shape (B, K).
        """
        extra = inputs.ndim - 2 - self.spatial_dims
        if extra not in (0, 1):
            raise ValueError(
                f"expected (B, C, {self.spatial_dims} spatial dimensions) or the same with frames at the end, "
                f"got shape {tuple(inputs.shape)}."
            )
        clips = inputs if extra else inputs.unsqueeze(-1)
        frames = clips.movedim(-1, 1).flatten(0, 1)
        log_p = torch.cat(
            [network(part, *args, **kwargs).log_softmax(1) for part in frames.split(self.frame_batch_size)]
        )
        n_frames = clips.shape[-1]
        per_clip = log_p.reshape(len(inputs), n_frames, -1)
        return per_clip.logsumexp(1) - torch.log(torch.tensor(float(n_frames), device=per_clip.device))
