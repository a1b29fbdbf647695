# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Measures of a trained network that may have learned a shortcut: what it decides, and what it looks at.

There are two axes, and either alone can be gamed. *Robustness*: how accuracy falls from data with the shortcut to data
without it, and how the worst group fares. *Attention*: how much of the relevance lies outside the region of interest.
A third measure, what an exchange of backgrounds changes, is
:func:`monai_debias.metrics.background_swap_consistency`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from monai.utils import convert_to_tensor

from monai_debias.constraints import FUNCTION, KEY, LOADER, MODULE, NONE, STRING, MappingOf
from monai_debias.metrics import background_relevance, group_accuracy, pointing_game
from monai_debias.networks import evaluating
from monai_debias.parameters import expects
from monai_debias.relevance import LRP

__all__ = ["Attention", "Robustness", "attention", "decisions", "robustness"]

Loader = Iterable[Mapping[str, Any]]
Normalize = Callable[[torch.Tensor], torch.Tensor]


class Robustness(NamedTuple):
    """How accurate a network is with the shortcut and without it."""

    accuracy: dict[str, float]
    """Of each split, in [0, 1]."""
    worst_group: float
    """The lowest accuracy of a class in a split."""
    gap: float
    """The accuracy lost from the first split to the last."""


class Attention(NamedTuple):
    """Where the relevance of a network's decisions lies, as means over the images."""

    background_relevance: float
    """Share of the relevance outside the region of interest."""
    pointing_game: float
    """Share of the images whose largest relevance is inside."""


@expects(network=MODULE, loader=LOADER, normalize=NONE | FUNCTION, image_key=KEY)
def decisions(
    network: torch.nn.Module, loader: Loader, normalize: Normalize | None = None, image_key: str = "image"
) -> torch.Tensor:
    """Return the class that a network predicts for each image.

    The network runs in evaluation mode, on the device of its parameters; afterwards each module is in the mode that it
    was in before.

    Args:
        network: maps (B, C, spatial...) to logits (B, K), K at least 2.
        loader: mappings with a batch of images, as a ``DataLoader`` of a MONAI data set gives them.
        normalize: what is done to images before the network; takes and returns a batch (B, C, spatial...).
        image_key: key of the images.

    Returns:
        Indices of classes, shape (N,), on the CPU.

    Raises:
        TypeError: when a batch is not a mapping.
        KeyError: when a batch has no images.
        ValueError: when the loader is empty, or the network does not return finite logits (B, K) with K of at least 2.

    Example:
        >>> network = torch.nn.Flatten()  # each of two pixels is the logit of a class
        >>> decisions(network, [{"image": torch.tensor([[[0.0, 1.0]], [[3.0, 0.0]]])}])
        tensor([1, 0])
    """
    with torch.no_grad(), evaluating(network):
        found = [
            _logits(network, _normalized(network, batch, image_key, normalize)).argmax(1).cpu() for batch in loader
        ]
    if not found:
        raise ValueError("the loader is empty, expected at least one batch of images.")
    return torch.cat(found)


@expects(
    network=MODULE,
    splits=MappingOf(LOADER, STRING, least=2),
    normalize=NONE | FUNCTION,
    image_key=KEY,
    label_key=KEY,
)
def robustness(
    network: torch.nn.Module,
    splits: Mapping[str, Loader],
    normalize: Normalize | None = None,
    image_key: str = "image",
    label_key: str = "label",
) -> Robustness:
    """Compare a network's accuracy on data with a shortcut with that on data where it is missing or wrong.

    A group is a class in a split. The worst one falls by chance alone where groups are small: report their sizes.

    Args:
        network: maps (B, C, spatial...) to logits (B, K), K at least 2.
        splits: by name, loaders of batches with images and labels that can be passed through more than once: a list, or
            a ``DataLoader`` that does not shuffle. The first has the shortcut of the training data, the last none, or
            one that is wrong.
        normalize: what is done to images before the network; takes and returns a batch (B, C, spatial...).
        image_key: key of the images.
        label_key: key of the labels, indices of classes, shape (B,).

    Returns:
        ``(accuracy, worst_group, gap)``, a named tuple.

    Raises:
        TypeError: when a batch is not a mapping.
        KeyError: when a batch has no images or no labels.
        ValueError: when there are fewer than two splits, one is empty, or labels are not indices of classes (B,).

    Reference:
        Sagawa et al., Distributionally robust neural networks, ICLR 2020 (worst-group accuracy).

    Example:
        >>> network = torch.nn.Flatten()  # each of two pixels is the logit of a class
        >>> images = torch.tensor([[[0.0, 1.0]], [[3.0, 0.0]]])
        >>> batches = {"same": [{"image": images, "label": [1, 0]}], "reversed": [{"image": images, "label": [0, 0]}]}
        >>> robustness(network, batches)
        Robustness(accuracy={'same': 1.0, 'reversed': 0.5}, worst_group=0.5, gap=0.5)
    """
    accuracy, worst = {}, 1.0
    for name, loader in splits.items():
        decided = decisions(network, loader, normalize, image_key)
        labels = torch.cat([_labels(batch, label_key) for batch in loader])
        if len(labels) != len(decided):
            raise ValueError(
                f"the split {name!r} has {len(labels)} labels for {len(decided)} images: give one label for each, and "
                "a loader that can be passed through twice."
            )
        accuracy[name] = (decided == labels).double().mean().item()
        worst = min(worst, *group_accuracy(labels, decided, labels).values())
    first, *_, last = accuracy.values()
    return Robustness(accuracy, worst, first - last)


@expects(network=MODULE, loader=LOADER, normalize=NONE | FUNCTION, image_key=KEY, mask_key=KEY)
def attention(
    network: torch.nn.Module,
    loader: Loader,
    normalize: Normalize | None = None,
    image_key: str = "image",
    mask_key: str = "mask",
) -> Attention:
    """Measure where the relevance of each decision lies, by a heatmap of the class that the network decides for.

    Heatmaps miss what decides without relevance, so a clean one proves nothing: measure robustness as well, or the
    consistency under an exchange of backgrounds. Images whose heatmap is 0 everywhere are left out.

    Args:
        network: maps (B, C, spatial...) to logits (B, K), K at least 2; any that :class:`LRP` can explain.
        loader: mappings with a batch of images and masks.
        normalize: what is done to images before the network; takes and returns a batch (B, C, spatial...).
        image_key: key of the images, shape (B, C, spatial...).
        mask_key: key of the masks, shape (B, 1, spatial...), 1 = region of interest.

    Returns:
        ``(background_relevance, pointing_game)``, a named tuple of means in [0, 1].

    Raises:
        TypeError: when a batch is not a mapping.
        KeyError: when a batch has no images or no masks.
        ValueError: when the loader is empty, when all heatmaps are 0 everywhere, or for what
            :func:`monai_debias.metrics.background_relevance` refuses.

    Reference:
        Wang et al., Score-CAM, CVPR workshops 2020; Zhang et al., Top-down neural attention by excitation backprop,
        ECCV 2016.

    Example:
        >>> network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2, 2, bias=False))
        >>> network[1].weight.data = torch.tensor([[3.0, 1.0], [0.0, 0.0]])
        >>> batch = {"image": torch.ones(1, 1, 2), "mask": torch.tensor([[[1, 0]]])}
        >>> attention(network, [batch])
        Attention(background_relevance=0.25, pointing_game=1.0)
    """
    shares, hits = [], []
    with evaluating(network):
        for batch in loader:
            image = _normalized(network, batch, image_key, normalize)
            with torch.no_grad():
                classes = _logits(network, image).argmax(1)
            relevance = LRP(network)(image, target=classes)[1][:, 0]
            mask = _tensor(batch, mask_key)
            somewhere = relevance.flatten(1).abs().amax(1) > 0
            if bool(somewhere.any()):
                looked = relevance[somewhere], mask[somewhere.cpu()]
                shares.append(background_relevance(*looked))
                hits.append(pointing_game(*looked).float())
    if not shares:
        raise ValueError("there is no image with a heatmap: the loader is empty, or the relevance is 0 everywhere.")
    return Attention(torch.cat(shares).mean().item(), torch.cat(hits).mean().item())


def _normalized(
    network: torch.nn.Module, batch: Mapping[str, Any], image_key: str, normalize: Normalize | None
) -> torch.Tensor:
    """The images of a batch as the network sees them, on its device."""
    image = _tensor(batch, image_key).clone()  # ``normalize`` may work in place
    if normalize is not None:
        image = convert_to_tensor(normalize(image), track_meta=False)
    parameter = next(network.parameters(), None)
    return image if parameter is None else image.to(parameter.device)


def _tensor(batch: Mapping[str, Any], key: str) -> torch.Tensor:
    if not isinstance(batch, Mapping):
        raise TypeError(f"the loader must give mappings with {key!r}, got {type(batch).__name__}.")
    if key not in batch:
        raise KeyError(f"a batch has no {key!r}, it has {sorted(map(str, batch))}: say which of these it is.")
    return convert_to_tensor(batch[key], wrap_sequence=True, track_meta=False, device="cpu").detach()


def _labels(batch: Mapping[str, Any], key: str) -> torch.Tensor:
    labels = _tensor(batch, key)
    if labels.ndim != 1 or labels.is_floating_point():
        raise ValueError(
            f"labels are of shape {tuple(labels.shape)} and {labels.dtype}, expected indices of classes, shape (B,)."
        )
    return labels


def _logits(network: torch.nn.Module, image: torch.Tensor) -> torch.Tensor:
    logits = network(image)
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != len(image) or logits.shape[1] < 2:
        got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ValueError(f"the network must return logits of shape ({len(image)}, K) with K of at least 2, got {got}.")
    if not bool(logits.isfinite().all()):
        raise ValueError(
            "the network returned NaN or infinite logits: check its weights, and the values of the images."
        )
    return logits
