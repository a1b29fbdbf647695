# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The cuts C1 and C2 of ISNet's foreground loss, for each layer and map, in buffers that a checkpoint carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from monai_debias.constraints import Number, SequenceOf

__all__ = ["CUTS", "Cuts", "LayerCuts", "as_cuts", "cuts_of_plain_classifier"]

_PAIR = SequenceOf(Number("(0, inf)"), length=2)
CUTS = (_PAIR | SequenceOf(_PAIR, least=1)).called("a pair (C1, C2) of numbers above 0, or such a pair for each map")
Cuts = Sequence[float] | Sequence[Sequence[float]] | torch.Tensor

# a buffer must not have the name of an attribute, nor a dot: a layer's name follows a prefix, its dots become /
_PREFIX = "of:"
_OTHER = "*"


def as_cuts(cuts: Cuts) -> torch.Tensor:
    """Check the cuts of the foreground loss and return them as a tensor.

    Args:
        cuts: a pair (C1, C2), or a pair for each map.

    Returns:
        Tensor of shape (2,) or (maps, 2).

    Raises:
        ValueError: when the cuts are not pairs or not 0 < C1 < C2.

    Example:
        >>> as_cuts((0.25, 2.5))
        tensor([0.2500, 2.5000])
    """
    pairs = torch.as_tensor(cuts, dtype=torch.float32).detach()
    if pairs.ndim not in (1, 2) or pairs.shape[-1] != 2 or pairs.numel() == 0:
        raise ValueError(f"cuts must be a pair (C1, C2), or such a pair for each map, got {cuts}.")
    low, high = pairs.unbind(-1)
    if not bool(((low > 0) & (low < high) & high.isfinite()).all()):
        raise ValueError(f"cuts must be finite with 0 < C1 < C2, got {pairs.tolist()}.")
    return pairs


def cuts_of_plain_classifier(mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    r"""The cuts by the total relevance that the maps of a plain classifier have.

    .. math:: C_1 = \max(\mu/5, \mu - 3\sigma),\quad C_2 = \min(25\,C_1, \mu + 3\sigma)

    Args:
        mean: μ of the total absolute relevance over the samples, of each map; shape (maps,).
        std: its standard deviation σ, likewise.

    Returns:
        Pairs (C1, C2), shape (maps, 2).

    Raises:
        ValueError: when the relevance is 0 or the same for all samples, so that there is not 0 < C1 < C2.

    Reference:
        Bassi et al., Nature Communications 2024 (ISNet).

    Example:
        >>> cuts_of_plain_classifier(torch.tensor([8.0]), torch.tensor([2.0]))
        tensor([[ 2., 14.]])
    """
    # what rounding leaves of the spread of equal values is not a spread
    if not bool(((mean > 0) & (std > 1e-6 * mean)).all()):
        raise ValueError(
            f"the total relevance is {mean.tolist()} on average, with a standard deviation of {std.tolist()}: where it "
            "is 0 or the same for all samples, no cuts have 0 < C1 < C2. Has the plain classifier learned anything?"
        )
    low = torch.maximum(mean / 5, mean - 3 * std)
    return torch.stack([low, torch.minimum(25 * low, mean + 3 * std)], -1)


class LayerCuts(torch.nn.Module):
    """Cuts for one or many heatmaps; a ``state_dict`` that is loaded replaces them all, whatever they were made with.

    Args:
        cuts: a pair (C1, C2) or a pair for each map, shape (2,) or (maps, 2), of every heatmap; or ``{layer: these}``,
            where ``"*"`` is every layer that is not named.

    Raises:
        ValueError: when the cuts are not pairs with 0 < C1 < C2, or a heatmap has none.

    Example:
        >>> cuts = LayerCuts({"input": (0.5, 2.0), "layer1.0": (0.25, 1.0)})
        >>> cuts.of("layer1.0")
        tensor([0.2500, 1.0000])
    """

    def __init__(self, cuts: Cuts | Mapping[str, Cuts]) -> None:
        super().__init__()
        self.set(cuts)

    def set(self, cuts: Cuts | Mapping[str, Cuts]) -> None:
        """Replace all cuts."""
        given = cuts if isinstance(cuts, Mapping) else {_OTHER: cuts}
        if not given:
            raise ValueError("cuts is an empty mapping; give (C1, C2) or {layer: (C1, C2)}.")
        checked = {_buffer(layer): as_cuts(pairs) for layer, pairs in given.items()}
        device = next((buffer.device for buffer in self.buffers()), None)
        self._buffers.clear()
        for name, pairs in checked.items():
            self.register_buffer(name, pairs.clone().to(device))

    def get(self) -> torch.Tensor | dict[str, torch.Tensor]:
        """All cuts, in the form that :meth:`set` takes."""
        cuts = {name.removeprefix(_PREFIX).replace("/", "."): buffer for name, buffer in self.named_buffers()}
        return cuts[_OTHER] if cuts.keys() == {_OTHER} else cuts

    def of(self, layer: str) -> torch.Tensor:
        """The cuts of one heatmap, shape (2,) or (maps, 2)."""
        buffers = dict(self.named_buffers())
        for name in (layer, _OTHER):
            if _buffer(name) in buffers:
                return buffers[_buffer(name)]
        raise ValueError(
            f'there are no cuts for the heatmap of "{layer}", only for {sorted(self.get())}: add it, or "*" for every '
            "other one."
        )

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        start = prefix + _PREFIX
        loaded = {
            key.removeprefix(start).replace("/", "."): state_dict[key] for key in state_dict if key.startswith(start)
        }
        if loaded:
            self.set(loaded)
        super()._load_from_state_dict(state_dict, prefix, *args)


def _buffer(layer: str) -> str:
    return _PREFIX + layer.replace(".", "/")
