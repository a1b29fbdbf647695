# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How sharply the hidden states of a network fall into clusters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.utils import convert_to_tensor
from sklearn.cluster import KMeans

from monai_debias.constraints import ARRAY, KEY, LOADER, MODULE, SEED, STRING, Integer, SequenceOf
from monai_debias.networks import evaluating, layer_outputs, unwrapped
from monai_debias.parameters import expects

__all__ = ["cluster_r2", "cluster_separation"]


@expects(
    network=MODULE,
    loader=LOADER,
    layers=SequenceOf(STRING, least=1),
    n_clusters=Integer("[2, inf)"),
    image_key=KEY,
    seed=SEED,
)
def cluster_separation(
    network: torch.nn.Module,
    loader: Iterable[Mapping[str, Any]],
    layers: Sequence[str],
    n_clusters: int,
    image_key: str = "image",
    seed: int = 0,
) -> dict[str, float]:
    """Measure how sharply each hidden state of a network falls into clusters: its :func:`cluster_r2`.

    Measured repeatedly during training, on the same samples, it shows the distribution shift of a method: the value of
    a hidden state jumps if the input of that state changes from one iteration to the next. The paper reports that Mixup
    increases the shift; we do not find this on MNIST (``docs/mixup.md``).

    The network only runs forward, in evaluation mode; its modes, parameters, buffers and PyTorch's random state on the
    CPU are restored afterwards, so that a training goes on as if it had not been measured. A network in
    ``DistributedDataParallel`` runs without the wrapper, so that one process can measure alone. The states of all
    samples are in memory at once, on the CPU: a few hundred to a few thousand samples are enough.

    Args:
        network: maps (B, C, spatial...) to anything.
        loader: mappings with a batch of inputs, as a ``DataLoader`` of a MONAI data set gives them.
        layers: names of modules whose outputs (B, ...) are measured, as in ``network.named_modules()``; ``"input"`` is
            the batch itself.
        n_clusters: k of k-means; in the paper, the number of classes.
        image_key: key of the input, shape (B, C, spatial...).
        seed: seed of k-means.

    Returns:
        ``{layer: R²}``, each in [0, 1], in the order of ``layers``.

    Raises:
        TypeError: when ``layers`` is a string, or a batch is not a mapping.
        KeyError: when a batch lacks the image.
        ValueError: when ``layers`` is empty or names something else than a module; when a module does not run once in a
            forward pass, or does not return one floating-point tensor with the batch first; when samples differ in
            shape; when the loader is empty; when a state has no R², see :func:`cluster_r2`.

    Reference:
        Chen et al., Flow-Mixup, BIBM 2020 (the analysis of distribution shift).

    Example:
        >>> network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.ReLU())
        >>> loader = [{"image": torch.tensor([[-5.0], [-1.0], [0.0]])}, {"image": torch.tensor([[10.0], [11.0]])}]
        >>> {name: round(r2, 4) for name, r2 in cluster_separation(network, loader, ["input", "1"], 2).items()}
        {'input': 0.9282, '1': 0.9962}
    """
    inner = unwrapped(network)
    states: dict[str, list[torch.Tensor]] = {name: [] for name in layers}
    named = [name for name in states if name != "input"]
    # a DataLoader draws its base seed from PyTorch's random state, with which the training goes on afterwards
    with (
        torch.random.fork_rng(devices=[]),
        torch.no_grad(),
        evaluating(inner),
        layer_outputs(inner, named, _kept) as seen,
    ):
        for batch in loader:
            image = _image(batch, image_key, inner)
            seen.clear()
            if "input" in states:
                seen["input"] = _kept(image)  # before the network may change it in place
            inner(image)
            for name in states:
                states[name].append(_sound_state(name, seen[name], len(image)))
    return {name: _r2_of(name, parts, n_clusters, seed) for name, parts in states.items()}


@expects(features=ARRAY, n_clusters=Integer("[2, inf)"), seed=SEED)
def cluster_r2(features: NdarrayOrTensor, n_clusters: int, seed: int = 0) -> float:
    """Compute R² = SSB / SST = 1 - SSW / SST of the clusters that k-means finds in features.

    SST is the sum of the squared distances of all samples from their mean, SSW from the means of their clusters, and
    SSB = SST - SSW. R² is 1 if each cluster is a point, and near 0 if the clusters explain nothing. Neither an offset
    nor a common scale of the features matters. R² grows with ``n_clusters`` and with fewer dimensions, so that only
    values with the same number of clusters, samples and dimensions can be compared. The best of ten starts of k-means
    is used, since the result of a single one depends on chance.

    Args:
        features: floating-point features of N samples, shape (N, ...), flattened to (N, D).
        n_clusters: k of k-means, from 2 to N.
        seed: seed of k-means.

    Returns:
        R², in [0, 1].

    Raises:
        TypeError: when the features are not of a floating-point type.
        ValueError: when ``n_clusters`` is below 2 or above N, or features are not of shape (N, ...), have NaN or
            infinite values, or are the same for all samples (SST is 0).

    Reference:
        Chen et al., Flow-Mixup, BIBM 2020 (the analysis of distribution shift).

    Example:
        >>> round(cluster_r2(torch.tensor([[0.0], [1.0], [10.0], [11.0]]), 2), 4)  # SSW = 1, SST = 101
        0.9901
    """
    tensor = convert_to_tensor(features, track_meta=False).detach().cpu()
    if not tensor.is_floating_point():
        raise TypeError(f"features must be of a floating-point type, got {tensor.dtype}: convert them.")
    if tensor.ndim < 2 or not tensor.numel():
        raise ValueError(f"expected features of shape (N, ...), got {tuple(tensor.shape)}.")
    if n_clusters > len(tensor):
        raise ValueError(f"n_clusters is {n_clusters}, expected 2 to the number of samples, which is {len(tensor)}.")
    if not bool(tensor.isfinite().all()):
        raise ValueError("features are NaN or infinite in some samples: they have no R².")
    if bool((tensor == tensor[:1]).all()):
        raise ValueError("features are the same for all samples, so that SST is 0: they have no R².")
    x = tensor.flatten(1).double().numpy()
    x = x / np.abs(x).max()  # squares could under- or overflow
    x -= x.mean(0)
    x /= np.abs(x).max()
    if x.shape[1] > len(x):  # N points lie in N dimensions: the same distances, for a fraction of the time
        strengths, directions = np.linalg.eigh(x @ x.T)
        x = directions * np.sqrt(strengths.clip(min=0))
    found = KMeans(n_clusters, n_init=10, random_state=seed).fit(x.astype(np.float32)).labels_
    within = sum(((x[found == k] - x[found == k].mean(0)) ** 2).sum() for k in np.unique(found))
    return float(np.clip(1 - within / (x**2).sum(), 0, 1))  # rounding may miss the limits


def _kept(state: torch.Tensor) -> torch.Tensor:
    """A copy, since the next layer may work in place."""
    dtype = torch.float32 if state.is_floating_point() else state.dtype
    return state.detach().as_subclass(torch.Tensor).to("cpu", dtype, copy=True)


def _image(batch: Mapping[str, Any], image_key: str, network: torch.nn.Module) -> torch.Tensor:
    if not isinstance(batch, Mapping):
        raise TypeError(f"the loader must give mappings with {image_key!r}, got {type(batch).__name__}.")
    if image_key not in batch:
        raise KeyError(f"a batch has no {image_key!r}, it has {sorted(map(str, batch))}: set image_key.")
    parameter = next(network.parameters(), None)
    image = convert_to_tensor(
        batch[image_key], track_meta=False, device=None if parameter is None else parameter.device
    )
    if not isinstance(image, torch.Tensor) or image.ndim < 2:
        got = tuple(image.shape) if isinstance(image, torch.Tensor) else type(image).__name__
        raise ValueError(f"expected a batch (B, C, spatial...) as {image_key!r}, got {got}.")
    return image


def _sound_state(name: str, state: torch.Tensor, batch_size: int) -> torch.Tensor:
    if state.ndim < 2 or len(state) != batch_size or not state.is_floating_point():
        raise ValueError(
            f"layer {name!r} returned {tuple(state.shape)} of {state.dtype} for a batch of {batch_size}, expected "
            "floating-point (B, ...): name another."
        )
    return state


def _r2_of(name: str, parts: Sequence[torch.Tensor], n_clusters: int, seed: int) -> float:
    shapes = sorted({tuple(part.shape[1:]) for part in parts})
    if len(shapes) != 1:
        got = f"samples differ in shape: {shapes}; bring the inputs to one size" if shapes else "the loader is empty"
        raise ValueError(f"hidden state {name!r} has no R²: {got}.")
    try:
        return cluster_r2(torch.cat(list(parts)), n_clusters, seed)
    except ValueError as error:
        raise ValueError(f"hidden state {name!r}: {error}") from error
