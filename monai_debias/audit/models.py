# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks to audit, as they lie on a disk, with the preprocessing of their images.

=====================  =======================  =================================================================
what                   file                     where the preprocessing comes from
=====================  =======================  =================================================================
bundle of MONAI        folder with ``configs``  its ``train.json``; what is exchanged, and what comes after that,
                                                as for the overlays (docs/guests.md); ``inference.json`` of a bundle
                                                that is published without its training
TorchScript            ``.ts``, ``.pt``         a JSON file
``torch.export``       ``.pt2``                 a JSON file
ONNX                   ``.onnx``                a JSON file
=====================  =======================  =================================================================

The JSON file is a config of MONAI with ``transforms``, a list of dictionary transforms with the keys "image" and "mask"
that make images in which 0 is black; and, if they are needed, ``normalize``, what is done to a batch after it, ``task``
and ``class_names``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from ignite.engine import Engine
from monai.bundle import ConfigParser
from monai.transforms import Compose

from monai_debias.audit.answers import Network, Normalize
from monai_debias.audit.exported import exported_network
from monai_debias.handlers import ModelLoader
from monai_debias.overlays.guest.judging import judging_sockets
from monai_debias.overlays.guest.sockets import guest_sockets

__all__ = ["Model", "load_model"]


_CONFIGS = {"train": guest_sockets, "inference": judging_sockets}  # what tells network and preprocessing, from which


class Model(NamedTuple):
    """A network with all that is needed to use it."""

    network: Network
    transform: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    """Makes image and mask of an item with their files."""
    normalize: Normalize | None
    task: str | None
    class_names: list[str] | None
    """None where the model does not say."""


def load_model(
    path: str | os.PathLike,
    checkpoint: str | os.PathLike | None = None,
    preprocessing: str | os.PathLike | None = None,
    options: Mapping[str, Any] | None = None,
) -> Model:
    """Load a network and its preprocessing.

    Args:
        path: the folder of a bundle, or the file of an exported network.
        checkpoint: weights of a bundle; by default the only ``.pt`` below its folder ``models``, where those of
            ``models/demo`` count only as long as there are no others.
        preprocessing: the JSON file of an exported network.
        options: entries of the config that are to be replaced, by their ids.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when the folder is no bundle, there are several checkpoints, the weights do not fit the network, or
            an exported network comes without preprocessing.
    """
    file = Path(path).expanduser()
    if not file.exists():
        raise FileNotFoundError(f"{file} does not exist: give the folder of a bundle, or a .ts, .pt2 or .onnx file.")
    if file.is_dir():
        return _bundle(file, checkpoint, options or {})
    if preprocessing is None:
        raise ValueError(
            f"{file} has no preprocessing: give a JSON file with the transforms of its images, --preprocessing FILE."
        )
    return Model(exported_network(file), *_preprocessing(Path(preprocessing).expanduser(), options or {}))


def _preprocessing(file: Path, options: Mapping[str, Any]) -> tuple[Compose, Any, Any, Any]:
    """The transforms of an exported network, and the other entries."""
    if not file.exists():
        raise FileNotFoundError(f"{file} does not exist: give the JSON file with the transforms of the images.")
    try:
        parser = _parser(file)
        if not parser.get("transforms"):
            raise ValueError('it has no "transforms", expected a list that loads "image"')
        _replace(parser, options, file)
        transform = Compose(parser.get_parsed_content("transforms"))
        normalize, task, class_names = (_entry(parser, name) for name in ("normalize", "task", "class_names"))
    except Exception as error:
        raise ValueError(f"{file} cannot be used as preprocessing: {str(error).rstrip('.')}.") from error
    return transform, normalize, task, class_names


def _bundle(folder: Path, checkpoint: str | os.PathLike | None, options: Mapping[str, Any]) -> Model:
    places = [folder / "configs" / f"{name}.{kind}" for name in _CONFIGS for kind in ("json", "yaml", "yml")]
    config = next((place for place in places if place.exists()), None)
    if config is None:
        raise ValueError(
            f"{folder} is no bundle that can be audited: it has no configs/train.json, nor configs/inference.json."
        )
    parser = _parser(config)
    if "loss_parts" not in parser:
        own, derived = config.with_name("sockets.json"), _CONFIGS[config.stem]
        found = ConfigParser.load_config_file(str(own)) if own.exists() else derived(parser.get()).sockets
        for name, value in found.items():
            if name != "+imports":
                parser.set(value, name.removeprefix("+"))  # makes what it lies in, too
        parser["imports"] = [*(parser.get().get("imports") or []), *found.get("+imports", [])]
    parser.update({"bundle_root": str(folder), "with_masks": True})
    _replace(parser, options, config)
    network = parser.get_parsed_content("network")
    ModelLoader(_checkpoint(folder, checkpoint), network)(Engine(lambda *_: None))
    if all(weight.ndim <= 4 for weight in network.parameters()):  # two dimensions
        network.to(memory_format=torch.channels_last)  # on a CPU, a pass takes two thirds of the time
    transform = parser.get_parsed_content("validate#masked_dataset#transform")
    normalize, task, names = (_entry(parser, name) for name in ("validate#normalize", "task", "class_names"))
    numbers = [str(k) for k in range(len(names or ()))]  # what the sockets put where a bundle has no names
    return Model(network, transform, normalize, task, None if names == numbers else names)


def _checkpoint(folder: Path, given: str | os.PathLike | None) -> Path:
    if given is not None:
        return Path(given).expanduser()
    found = sorted((folder / "models").rglob("*.pt"))
    models = [path for path in found if path.name == "model.pt"] or found
    models = [path for path in models if path.parent.name != "demo"] or models
    if not models:
        raise ValueError(f"{folder / 'models'} has no weights: train the bundle, or say which with --checkpoint FILE.")
    if len(models) > 1:
        names = ", ".join(str(path.relative_to(folder)) for path in models)
        raise ValueError(f"the weights of {folder} may be {names}: say which with --checkpoint FILE.")
    return models[0]


def _parser(file: Path) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config(str(file))
    return parser


def _replace(parser: ConfigParser, options: Mapping[str, Any], file: Path) -> None:
    """Replace entries; a word that is none may be a mistyped option of the audit, which must not pass unnoticed."""
    for name, value in options.items():
        if name.split("#")[0] not in parser.get():
            raise ValueError(
                f"there is no option {name!r}: it is neither one of the audit, see monai-debias audit --help, nor an "
                f"entry of {file}, which has {', '.join(sorted(parser.get()))}."
            )
        parser[name] = value


def _entry(parser: ConfigParser, name: str) -> Any:
    return parser.get_parsed_content(name) if name in parser else None
