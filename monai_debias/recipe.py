# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What a network must be used with, its architecture and its preprocessing, in plain values that can be compared.

Weights alone do not tell how large the images of their training were, in which range their values, or which class
the third output is. A *recipe* is a dictionary of plain values that does; what is compared are only its values, so
that paths, devices and numbers of workers may differ.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import monai
import numpy as np
import torch
from monai.transforms import Compose, Transform

import monai_debias
from monai_debias.networks import unwrapped

__all__ = ["architecture", "differences", "package_versions", "plain_values", "preprocessing_steps"]

_NOT_VALUES = ("keys", "allow_missing_keys", "R", "training", "backend", "device", "num_workers")


def preprocessing_steps(transforms: Transform | Sequence[Transform], key: str = "image") -> dict[str, Any]:
    """The deterministic transforms of an image, in plain values: their types, in order, and their settings.

    Of a dictionary transform only what it does to one key counts, so that the same preprocessing with a mask or without
    one gives the same. What is not set (None, False) is left out, and so are the trailing -1 of a size, which leave a
    dimension as it is: frames of a clip are resized as a still is.

    Args:
        transforms: a transform, a ``Compose``, or a sequence of both.
        key: key of the image; dictionary transforms of other keys are left out.

    Returns:
        ``{"1 Resized": {"mode": "area", "resizer": {"spatial_size": [112, 112], ...}}, ...}``.

    Raises:
        TypeError: when something else than a transform is among them.

    Example:
        >>> from monai.transforms import Resized, ScaleIntensityRanged
        >>> steps = preprocessing_steps([Resized(["image", "mask"], (8, 8)), ScaleIntensityRanged("image", 0, 9, 0, 1)])
        >>> list(steps), steps["2 ScaleIntensityRanged"]["scaler"]["a_max"]
        (['1 Resized', '2 ScaleIntensityRanged'], 9)
    """
    used = [t for t in _flat(transforms) if key in getattr(t, "keys", [key])]
    return {f"{i} {type(t).__name__}": _settings(t, key) for i, t in enumerate(used, start=1)}


def architecture(network: torch.nn.Module) -> dict[str, dict[str, Any]]:
    """The layers of a network by name, with settings such as strides, which the shapes of the weights do not tell.

    Args:
        network: a network, which may be wrapped.

    Returns:
        ``{"conv1": {"type": "Conv2d", "stride": (2, 2), ...}, ...}``; ``""`` is the network itself. What is not set
        (None, False) is left out.

    Example:
        >>> architecture(torch.nn.Sequential(torch.nn.Linear(4, 2, bias=False), torch.nn.Softplus(beta=2.0)))["1"]
        {'type': 'Softplus', 'beta': 2.0, 'threshold': 20.0}
    """
    return {
        name: {"type": type(module).__name__, **{k: v for k, v in vars(module).items() if _is_setting(k, v)}}
        for name, module in unwrapped(network).named_modules()
    }


def package_versions() -> dict[str, str]:
    """The versions of what determines the settings of transforms and layers: a new version may have new ones.

    Example:
        >>> sorted(package_versions())
        ['monai', 'monai_debias', 'torch']
    """
    return {package.__name__: str(package.__version__) for package in (monai, monai_debias, torch)}


def plain_values(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as it is after a journey through JSON: tuples are lists.

    Raises:
        TypeError: when it has values that JSON does not have.

    Example:
        >>> plain_values({"image_size": (112, 112)})
        {'image_size': [112, 112]}
    """
    return json.loads(json.dumps(dict(record)))


def differences(then: Any, now: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """What differs between two nested plain values.

    Args:
        then: one of them.
        now: the other.
        name: what they are of.

    Yields:
        The name, with dots between the keys that lead to it, and the two values; None where one has none.

    Example:
        >>> list(differences({"steps": {"a": 1, "b": 2}}, {"steps": {"a": 1, "b": 3}, "seed": 0}))
        [('steps.b', 2, 3), ('seed', None, 0)]
    """
    if isinstance(then, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*then, *now]):
            yield from differences(then.get(key), now.get(key), f"{name}.{key}".lstrip("."))
    elif _are_dictionaries(then) and _are_dictionaries(now) and len(then) == len(now):
        for i, pair in enumerate(zip(then, now, strict=True)):
            yield from differences(*pair, f"{name}[{i}]")
    elif then != now:
        yield name, then, now


def _are_dictionaries(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(entry, dict) for entry in value)


def _flat(transforms: Any) -> list[Transform]:
    if isinstance(transforms, Compose):
        transforms = transforms.transforms
    if isinstance(transforms, list | tuple):
        return [transform for part in transforms for transform in _flat(part)]
    if not isinstance(transforms, Transform):
        raise TypeError(f"expected transforms, got a {type(transforms).__name__} among them.")
    return [transforms]


def _settings(transform: Any, key: str) -> dict[str, Any]:
    keys = getattr(transform, "keys", None)
    found = {}
    for name, value in vars(transform).items():
        if keys is not None and isinstance(value, tuple) and len(value) == len(keys):
            value = value[keys.index(key)]
        if not name.startswith("_") and name not in _NOT_VALUES:
            found[name] = _plain(value, key)
    return {name: value for name, value in found.items() if value is not None and value is not False and value != {}}


def _plain(value: Any, key: str) -> Any:
    """A setting as JSON has it; of a function or another object, its name."""
    if isinstance(value, Transform):
        return _settings(value, key)
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, torch.Tensor | np.ndarray | np.generic):
        return _plain(value.tolist(), key)
    if isinstance(value, torch.dtype | np.dtype):
        return str(value).removeprefix("torch.")
    if isinstance(value, list | tuple):
        return _without_trailing([_plain(entry, key) for entry in value])
    if isinstance(value, dict):
        return {str(name): _plain(entry, key) for name, entry in value.items()}
    if isinstance(value, float) and value != value:
        return "nan"  # which does not equal itself
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return getattr(value, "__name__", type(value).__name__)


def _without_trailing(values: list[Any]) -> list[Any]:
    while values and values[-1] == -1:
        values = values[:-1]
    return values


def _is_setting(name: str, value: Any) -> bool:
    kept = isinstance(value, bool | int | float | str | tuple) and value is not False
    return kept and not name.startswith("_") and name not in _NOT_VALUES
