# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Network, images and masks of a bundle that is published without its training, derived from ``inference.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monai_debias.overlays.guest.config_graph import ConfigGraph
from monai_debias.overlays.guest.data_sets import load_masks, validation_data
from monai_debias.overlays.guest.parts import GuestParts

__all__ = ["judging_sockets"]

_EVALUATORS = ("evaluator", "validate#evaluator", "inference#evaluator")


def judging_sockets(config: Mapping[str, Any]) -> GuestParts:
    """Read a bundle's inference config, and collect what it takes to ask its network about images with masks.

    References must lead from the evaluator to the network, and over its loader and data set to the transforms. Nothing
    is built, and no data are needed.

    Args:
        config: the content of ``inference.json``.

    Returns:
        ``network``, ``validate#masked_dataset`` and ``validate#normalize``, with what they refer to.

    Raises:
        ValueError: when there is no evaluator, or something that it needs is missing.
    """
    parts = GuestParts(ConfigGraph(config))
    place = next((place for place in _EVALUATORS if place in parts.graph), _EVALUATORS[0])
    parts.component_at(place, "network", "val_data_loader")
    parts.import_modules("monai_debias", "monai_debias.overlays.guest")
    parts.expose("network", f"{place}#network")
    parts["select_by_swap"] = False
    load_masks(parts, f"{place}#val_data_loader")
    validation_data(parts, place)
    return parts
