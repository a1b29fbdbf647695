# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether a classifier's decision changes when only the background does: BackMix as a counterfactual test."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.utils import convert_to_tensor

from monai_debias.constraints import FUNCTION, KEY, LOADER, MODULE, NONE, SEED, Integer
from monai_debias.masks import as_region
from monai_debias.networks import evaluating, unwrapped
from monai_debias.origin import file_names, from_files
from monai_debias.parameters import expects
from monai_debias.tasks import TASK, TASKS, THRESHOLDS
from monai_debias.transforms.background import backmix_rows

__all__ = ["BackgroundSwap", "background_swap_consistency"]


class BackgroundSwap(NamedTuple):
    """Share of decisions that survive a change of background, and the mean absolute change in probability."""

    consistency: float
    probability_change: float


@expects(
    network=MODULE,
    loader=LOADER,
    n_swaps=Integer("[1, inf)"),
    task=TASK,
    thresholds=THRESHOLDS,
    normalize=NONE | FUNCTION,
    image_key=KEY,
    mask_key=KEY,
    seed=SEED,
)
def background_swap_consistency(
    network: torch.nn.Module,
    loader: Iterable[Mapping[str, Any]],
    n_swaps: int = 1,
    task: str = "softmax",
    thresholds: float | Sequence[float] | None = None,
    normalize: Callable[[torch.Tensor], torch.Tensor] | None = None,
    image_key: str = "image",
    mask_key: str = "mask",
    seed: int = 0,
) -> BackgroundSwap:
    """Exchange the background of each image for another image's, and compare the network's predictions.

    The region of interest stays, and the background is the donor's. Where the donor has its own region of interest,
    the background is the mean of all other images that have background there, so that neither that region nor a hole
    is seen: a hole, which :func:`backmix` leaves, is new to a network that was not trained with it, and would change
    decisions by itself. Where no other image has background the new one is 0. Donors are drawn from the same data and
    are never the image itself; every image donates ``n_swaps`` times, to different images. No labels are needed: a
    network that is always wrong can be consistent, so report accuracy as well.

    **What is compared.** A softmax makes one decision d for each image, the class of the largest probability; a binary
    or multi-label task one for each output k, d_k = 1[p_k ≥ t_k]. With image x_n, mask M_n, x_s the s-th donor of n
    and products of pixels, ::

        x̃_ns = M_n x_n + (1 - M_n) [(1 - M_s) x_s + M_s b_n],   b_n = Σ_m≠n (1 - M_m) x_m / Σ_m≠n (1 - M_m),

        consistency = 1/(N S K) Σ_nsk 1[d_k(x_n) = d_k(x̃_ns)],   change = 1/(N S K) Σ_nsk |p_k(x_n) - p_k(x̃_ns)|,

    where for a softmax K = 1, and p is the probability of the class that is predicted for x_n. Most decisions about
    rare findings are negative, and stay so: look at the change as well.

    A change need not come from a learned shortcut: the edge at the border of the mask is new to a network that was not
    trained with other backgrounds.

    The network only runs forward, in evaluation mode; its modes and PyTorch's random state on the CPU are restored
    afterwards. A network in ``DistributedDataParallel`` runs without the wrapper, so that one process can measure
    alone. All images are in memory at once, on the CPU.

    Args:
        network: maps (B, C, spatial...) to logits (B, K).
        loader: mappings with a batch of images and masks, as a ``DataLoader`` of a MONAI data set gives them. The order
            of the samples determines the donors: do not shuffle.
        n_swaps: how many other backgrounds each image gets, from 1 to N - 1 for N images.
        task: "softmax", "binary" or "multi_label", see :mod:`monai_debias.tasks`.
        thresholds: the probability from which the answer is yes, one for all outputs of a binary or multi-label task
            or one each; by default 0.5.
        normalize: the transform between the images and the network, e.g. ``lambda x: 2 * x - 1`` or, for a z-score of
            each image, ``NormalizeIntensity(channel_wise=True)``. It takes and returns a batch (B, C, spatial...).
            Backgrounds are exchanged in images in which 0 is black: leave such a step out of the loader and give it
            here.
        image_key: key of the images, shape (B, C, spatial...), all of one size; 0 = black.
        mask_key: key of the masks, shape (B, 1, spatial...) or (B, C, spatial...), 1 = region of interest.
        seed: seed of the choice of donors.

    Returns:
        ``(consistency, probability_change)``, a named tuple of numbers in [0, 1].

    Raises:
        TypeError: when a batch is not a mapping.
        KeyError: when a batch lacks image or mask.
        ValueError: when ``n_swaps`` is out of range, thus also when there are fewer than two images; when images
            differ in shape, or have NaN or infinite values; when a mask does not fit its image, has values other than 0
            and 1 or no region of interest; when the network does not return finite logits of shape (B, K), or these or
            ``thresholds`` do not fit the task.

    Reference:
        The exchange: Bransby et al., BackMix, MICCAI 2024. What fills the holes, and the use as a test, are ours.

    Example:
        >>> network = torch.nn.Flatten()  # each of two pixels is the logit of a class
        >>> images, masks = torch.tensor([[[0.0, 1.0]], [[0.0, 3.0]]]), torch.tensor([[[1, 0]], [[1, 0]]])
        >>> background_swap_consistency(network, [{"image": images, "mask": masks}]).consistency
        1.0
    """
    inner = unwrapped(network)
    # a DataLoader draws its base seed from PyTorch's random state, with which a training goes on afterwards
    with torch.random.fork_rng(devices=[]), torch.no_grad(), evaluating(inner):
        images, masks, batch_size = _collected(loader, image_key, mask_key)
        n = len(images)
        if n < 2:
            raise ValueError(
                "there is only one image with a mask, and no other whose background it could get: expected at least 2."
            )
        if n_swaps >= n:
            raise ValueError(
                f"n_swaps is {n_swaps}, expected 1 to the number of other images, which is {n - 1}: lower it, or give "
                "more images."
            )
        order = np.random.default_rng(seed).permutation(n)
        donors = np.empty((n_swaps, n), dtype=np.int64)
        for swap in range(n_swaps):  # along a random ring, so that no image gets itself or the same donor twice
            donors[swap, order] = np.roll(order, swap + 1)
        background = _Background(images, masks)
        same, change, n_decisions = 0, 0.0, 0
        for rows in torch.arange(n).split(batch_size):
            image, mask = images[rows], masks[rows]
            others = background.of_others(image, mask)
            before = _logits(inner, image, normalize)
            for swap in range(n_swaps):
                theirs = torch.from_numpy(donors[swap])[rows]
                swapped = backmix_rows(image, mask, images[theirs], masks[theirs])
                after = _logits(inner, torch.where(masks[theirs] & ~mask, others, swapped), normalize)
                decisions, changes = _compared(before, after, task, thresholds)
                same += int(decisions.sum())
                change += float(changes.double().sum())
                n_decisions += decisions.numel()
    return BackgroundSwap(same / n_decisions, change / n_decisions)


class _Background:
    """The mean background of a set of images, of those that have background at a pixel.

    Args:
        images: shape (N, C, spatial...).
        masks: boolean, of the same shape, True in the regions of interest.
    """

    def __init__(self, images: torch.Tensor, masks: torch.Tensor) -> None:
        self.total = images.masked_fill(masks, 0).sum(0, dtype=torch.float64)
        self.count = (~masks).sum(0)

    def of_others(self, images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """For images of the set the mean of all others, of their shape and type; 0 where no other has background."""
        total, count = self.total - images.masked_fill(masks, 0), self.count - (~masks).long()
        mean = (total / count).masked_fill(count == 0, 0)
        return (mean if images.is_floating_point() else mean.round()).to(images)


def _collected(
    loader: Iterable[Mapping[str, Any]], image_key: str, mask_key: str
) -> tuple[torch.Tensor, torch.Tensor, int]:
    """All images, their masks as booleans of the same shape, and the size of the first batch."""
    images: list[torch.Tensor] = []
    masks: list[torch.Tensor] = []
    for i, batch in enumerate(loader):
        image, mask = (_tensor(batch, key) for key in (image_key, mask_key))
        where, files = f"batch {i}", file_names(batch[mask_key])
        if image.ndim < 3 or not len(image) or (images and image.shape[1:] != images[0].shape[1:]):
            expected = f"(B, {', '.join(map(str, images[0].shape[1:]))})" if images else "(B, C, spatial...)"
            raise ValueError(f"images of {where} are {tuple(image.shape)}, expected {expected}: bring all to one size.")
        if not bool(image.isfinite().all()):
            raise ValueError(f"images of {where} have NaN or infinite values; repair or leave out these samples.")
        sizes = [(len(image), channels, *image.shape[2:]) for channels in (1, image.shape[1])]
        if tuple(mask.shape) not in sizes:
            raise ValueError(
                f"masks of {where} are {tuple(mask.shape)} for images {tuple(image.shape)}, expected {sizes[0]}: apply "
                f"the same spatial transforms to image and mask{from_files(files)}."
            )
        region = as_region(mask, f"mask of {where}", files, channels=image.shape[1])
        images.append(image)
        masks.append(region.expand(image.shape))
    if not images:
        raise ValueError("the loader is empty: give images with masks, whose backgrounds can be exchanged.")
    return torch.cat(images), torch.cat(masks), len(images[0])


def _tensor(batch: Mapping[str, Any], key: str) -> torch.Tensor:
    if not isinstance(batch, Mapping):
        raise TypeError(f"the loader must give mappings with {key!r}, got {type(batch).__name__}.")
    if key not in batch:
        raise KeyError(f"a batch has no {key!r}, it has {sorted(map(str, batch))}: set image_key and mask_key.")
    value = convert_to_tensor(batch[key], track_meta=False, device="cpu")
    if not isinstance(value, torch.Tensor):
        raise ValueError(f"expected a batch (B, C, spatial...) as {key!r}, got {type(value).__name__}.")
    return value.detach()


def _logits(
    network: torch.nn.Module, image: torch.Tensor, normalize: Callable[[torch.Tensor], torch.Tensor] | None
) -> torch.Tensor:
    parameter = next(network.parameters(), None)
    batch = image.clone()  # the network or ``normalize`` may work in place
    if normalize is not None:
        batch = convert_to_tensor(normalize(batch), track_meta=False)
        if batch.shape[:1] != image.shape[:1]:
            raise ValueError(f"normalize made {tuple(batch.shape)} of a batch {tuple(image.shape)}.")
    logits = network(batch if parameter is None else batch.to(parameter.device))
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != len(image) or not logits.numel():
        got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ValueError(f"the network must return logits of shape ({len(image)}, K), got {got}.")
    if not bool(logits.isfinite().all()):
        raise ValueError(
            "the network returned NaN or infinite logits, from which no decision follows: check its weights."
        )
    return logits.detach().as_subclass(torch.Tensor).float()


def _compared(
    before: torch.Tensor, after: torch.Tensor, task: str, thresholds: float | Sequence[float] | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Whether each decision stays, and the change of its probability, both (B,) or (B, K)."""
    kind = TASKS[task]
    p, q = kind.probabilities(before.double()), kind.probabilities(after.double())
    cuts = kind.thresholds(thresholds, before.shape[1]).to(p)
    said, says, change = kind.decisions(p, cuts), kind.decisions(q, cuts), (p - q).abs()
    if kind.has_thresholds:
        return said == says, change
    return (said & says).any(1), change[said]  # a softmax predicts one class
