# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The stages of a network, for deep supervision and for mixing hidden states."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch

from monai_debias.constraints import MODULE
from monai_debias.networks import unwrapped
from monai_debias.parameters import expects

__all__ = ["stage_names"]

LEAST = 3  # the methods take the first two, the middle ones, or all


@expects(network=MODULE)
def stage_names(network: torch.nn.Module) -> list[str]:
    """The names of the stages that a network computes one after another.

    These are siblings with numbered names, such as ``layer1`` to ``layer4`` of a ResNet, ``features.denseblock1`` to
    ``features.denseblock4`` of a DenseNet, or ``blocks.0`` … of a transformer; the first such group of three or more
    from the top of the network. A stem, such as the ``layer0`` of an SENet, does not count if three others are left.

    Args:
        network: the classifier, also compiled or in ``DistributedDataParallel``.

    Returns:
        Three names or more, as in ``network.named_modules()``.

    Raises:
        ValueError: when no such group is found.

    Example:
        >>> from monai.networks.nets import DenseNet121
        >>> stage_names(DenseNet121(spatial_dims=2, in_channels=1, out_channels=2))
        ['features.denseblock1', 'features.denseblock2', 'features.denseblock3', 'features.denseblock4']
    """
    inner = unwrapped(network)
    for group in _numbered(inner):
        stages = [name for name in group if not name.endswith("0")] if re.search(r"[a-z]0$", group[0]) else group
        if len(stages) >= LEAST:
            return stages
    children = ", ".join(name for name, _ in inner.named_children())
    raise ValueError(
        f"the names of the modules of {type(inner).__name__} ({children}) do not tell its stages: list three or "
        'more as "stages" in the config, in the order in which they are computed, such that all that is computed '
        "later depends on the output of each alone."
    )


def _numbered(network: torch.nn.Module) -> Iterator[list[str]]:
    """Groups of siblings whose names differ by a number only, from the top of the network downwards."""
    level: list[tuple[str, torch.nn.Module]] = [("", network)]
    while level:
        for prefix, module in level:
            groups: dict[str, list[str]] = {}
            for name, child in module.named_children():
                if next(child.children(), None) is not None:  # a stage is more than one layer
                    groups.setdefault(name.rstrip("0123456789"), []).append(prefix + name)
            yield from (group for group in groups.values() if len(group) >= LEAST)
        level = [(f"{prefix}{name}.", child) for prefix, module in level for name, child in module.named_children()]
