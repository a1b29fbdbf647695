# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The name of a training with several overlays."""

from __future__ import annotations

from collections.abc import Mapping

from monai_debias.constraints import BOOL, STRING, MappingOf
from monai_debias.overlays.command import NAMES
from monai_debias.parameters import expects

__all__ = ["method_name", "training_command"]

_HAVE_MASKS = ("backmix", "wbackmix", "background_blend", "isnet", "background_consistency")
_NEEDS = {
    "isnet_lds": (("isnet",), "it adds hidden layers to the heatmaps of an ISNet"),
    "isnet_paper": (("isnet",), "it gives an ISNet the settings of its authors"),
    "few_masks": (_HAVE_MASKS, "it removes masks from a method that uses them"),
}
_CONFLICTS = {
    ("background_blend", "isnet"): "an ISNet blends the backgrounds of its images by itself",
    **dict.fromkeys(
        (("isnet_lds", "manifold_mixup"), ("isnet_lds", "flow_mixup")),
        "the rows of a layer after a mixed state are mixtures, and the masks of the images are not",
    ),
    **dict.fromkeys(
        [("background_consistency", mixup) for mixup in ("mixup", "manifold_mixup", "flow_mixup")],
        "the prediction of a mixture is not that of the image whose background is swapped",
    ),
}


@expects(methods=MappingOf(BOOL | STRING, key=STRING))
def method_name(methods: Mapping[str, bool | str]) -> str:
    """Name a training after its overlays, whatever their order.

    Args:
        methods: ``{overlay: True or its variant}``, as the overlays write it; empty for a plain training.

    Returns:
        The names, sorted and joined by ``"+"``, or ``"baseline"``.

    Raises:
        ValueError: when an overlay needs another one that is missing, or two cannot be combined.

    Example:
        >>> method_name({"isnet": True, "backmix": "noise"}), method_name({})
        ('backmix_noise+isnet', 'baseline')
    """
    for name, (others, why) in _NEEDS.items():
        if name in methods and not any(other in methods for other in others):
            raise ValueError(
                f"{name} needs {' or '.join(others)} as well, since {why}; the overlays are {', '.join(methods)}."
            )
    for pair, why in _CONFLICTS.items():
        if methods.keys() >= set(pair):
            raise ValueError(f"{' and '.join(pair)} cannot be combined: {why}. Choose one of them.")
    names = [name if variant is True else f"{name}_{variant}" for name, variant in methods.items() if variant]
    return "+".join(sorted(names)) or "baseline"


@expects(method=STRING)
def training_command(method: str) -> str:
    """The command that trains a bundle by a method, for those who have no model of it yet.

    Args:
        method: a name that :func:`method_name` gives.

    Returns:
        What to type in the folder of the bundle; the variant of an overlay is not in it.

    Raises:
        TypeError: when ``method`` is not a string.

    Example:
        >>> training_command("baseline")
        'python -m monai.bundle run --config_file configs/train.json'
        >>> "configs/backmix.json" in training_command("backmix_noise+isnet")
        True
    """
    parts = [] if method == "baseline" else method.split("+")
    files = [f"configs/{name}.json" for name in ["train", *(_overlay(part) for part in parts)]]
    listed = ",".join(f"'{file}'" for file in files)
    given = f'"[{listed}]"' if parts else files[0]
    return f"python -m monai.bundle run --config_file {given}"


def _overlay(part: str) -> str:
    """The overlay of a part of a method's name, which may end with a variant."""
    fitting = [name for name in NAMES if f"{part}_".startswith(f"{name}_")]
    return max(fitting, key=len, default=part)
