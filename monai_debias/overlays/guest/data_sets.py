# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The data sets of a guest bundle, with masks, donors, and a place where backgrounds are exchanged."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from monai.transforms import LoadImaged

from monai_debias.overlays.guest.parts import GuestParts
from monai_debias.overlays.guest.transform_chain import IMAGE, MASK, Chain, Step

__all__ = ["load_masks", "training_data", "validation_data"]

_OF_MASKS = "'_masks_' + str(@mask_source)"  # a folder for each source of masks
_BEFORE = "@region_transforms + list(@train#mask_transforms.values()) if @with_masks else []"


def training_data(parts: GuestParts, trainer: str) -> None:
    """Write the sockets of the training's items, masks, transforms and batches.

    Raises:
        ValueError: when the trainer's loader, data set or transforms cannot be read from the config.
    """
    loader, dataset, chain = _loaded_by(parts, f"{trainer}#train_data_loader")
    for name, value in (("batch_size", 1), ("num_workers", 0)):  # PyTorch's defaults
        parts.default(name, f"@{loader}#{name}" if f"{loader}#{name}" in parts.graph else value)
    _items(parts, f"{dataset}#data")
    _masks(parts, chain)
    _transforms(parts, parts.graph[dataset], chain)
    parts.overwrite(dataset, _random_part(parts, chain))


def load_masks(parts: GuestParts, loader: str) -> None:
    """Write the sockets that load the mask of an image, for a bundle without a training.

    Raises:
        ValueError: when the loader, its data set or the transforms cannot be read from the config.
    """
    _masks(parts, _loaded_by(parts, loader)[-1])


def validation_data(parts: GuestParts, evaluator: str) -> None:
    """Write the sockets of the validation images with their masks.

    Raises:
        ValueError: when the evaluator's loader, data set or transforms cannot be read from the config.
    """
    _, dataset, chain = _loaded_by(parts, f"{evaluator}#val_data_loader")
    items = parts.store("validate_items", parts.graph[f"{dataset}#data"])
    load, prepare = _stored(parts, "validate_load", chain.load), _stored(parts, "validate_prepare", chain.prepare)
    parts["validate#masked_dataset"] = {
        **parts.graph[dataset],
        **_cache(parts, parts.graph[dataset], f"({_OF_MASKS})"),
        "data": f"$[item for item in {items} if @select_by_swap and (@mask_source is None or item.get(@mask_source))]",
        "transform": _compose(f"{load} + @region_transforms + {prepare}"),
    }
    finish = _stored(parts, "validate_finish", chain.finish)
    parts["validate#normalize"] = f"$monai_debias.overlays.guest.EachImage({finish})" if chain.finish else None


def _loaded_by(parts: GuestParts, place: str) -> tuple[str, str, Chain]:
    """The places of a loader and of its data set, and the transforms of that."""
    loader = parts.component_at(place, "dataset")
    dataset = parts.component_at(f"{loader}#dataset", "data", "transform")
    return loader, dataset, Chain.of(parts.graph, f"{dataset}#transform")


def _items(parts: GuestParts, place: str) -> None:
    end = parts.graph.follow(place)
    parts["listed_items"] = parts.graph[end] if end in (place, "train_items") else f"@{end}"
    if end == "train_items":
        parts.overwrite(end, "@listed_items")
    else:
        parts["train_items"] = "@listed_items"
    parts["train#items"] = "@train_items"
    parts.found["items"] = end


def _masks(parts: GuestParts, chain: Chain) -> None:
    loader = next((step for step in chain.load if step.kind is not None and issubclass(step.kind, LoadImaged)), None)
    parts["with_masks"] = False
    parts["mask_source"] = MASK
    parts["region_transforms"] = [
        {
            "_target_": "monai_debias.transforms.LoadMaskd",
            "mask_key": MASK,
            "file_key": "@mask_source",
            **({} if loader is None else _reader(loader)),
        }
    ]
    parts.to_do.append('Every item, or some, must name the file of its mask as "mask"; another key: --mask_source KEY.')
    if loader is None:
        parts.to_do.append('"region_transforms": set the reader of the masks, which must be that of the images.')


def _transforms(parts: GuestParts, dataset: dict[str, Any], chain: Chain) -> None:
    load, prepare = _stored(parts, "load", chain.load), _stored(parts, "prepare", chain.prepare)
    drop = [] if any(MASK in step.keys for step in chain.steps) else [{"_target_": "DeleteItemsd", "keys": MASK}]
    no_mask = parts.store("without_masks", drop)
    parts["train#mask_transforms"] = {}
    parts["train#copy_transforms"] = {}
    parts["background_transforms"] = {}
    parts["train#batch_transforms"] = {}
    parts["train#batch_keys"] = ["image", "label"]
    parts["donors"] = {
        **dataset,
        **_cache(parts, dataset, f"({_OF_MASKS} if @with_masks else '_no_masks')"),
        "data": "@train#items",
        "transform": _compose(f"([] if @with_masks else {no_mask}) + {load} + ({_BEFORE}) + {prepare}"),
    }
    parts.found["masks"] = f"loaded after {_names(chain.load)}; along with the image through " + _names(
        [step for step in chain.prepare + chain.move if step.moves_pixels]
    )
    parts.found["backgrounds"] = f"exchanged before {_names(chain.finish)}"
    if not any(IMAGE in step.keys for step in chain.steps):
        parts.to_do.append(f'No transform has the key "{IMAGE}": use it in train.json, and "label" for the labels.')
    parts.to_do.extend(text for step in chain.steps for text in _to_look_at(step, chain))


def _to_look_at(step: Step, chain: Chain) -> Iterator[str]:
    """What a person has to check in a transform: what the config does not tell, or what BackMix and masks need."""
    if not step.is_known:
        yield f'{step.place} ({step.name}): if it moves pixels, give it the key "{MASK}" as well.'
    if step.moves_pixels and step in chain.load:
        yield f"{step.place} ({step.name}): the mask is loaded after it. Put it after EnsureChannelFirstd."
    if step.darkest and step not in chain.finish:
        yield (
            f"{step.place} ({step.name}): it maps black to {step.darkest}, but BackMix fills with 0. Let its range "
            "start at 0, and shift the values by a NormalizeIntensityd after it (subtrahend, divisor)."
        )


def _random_part(parts: GuestParts, chain: Chain) -> dict[str, Any]:
    """The data set that a batch is taken from."""
    move, finish = _stored(parts, "move", chain.move), _stored(parts, "finish", chain.finish)
    select = parts.store("select", [{"_target_": "SelectItemsd", "keys": "@train#batch_keys"}])
    copies, background, last = (
        f"list(@{socket}.values())"
        for socket in ("train#copy_transforms", "background_transforms", "train#batch_transforms")
    )
    transform = _compose(f"{move} + {copies} + {background} + {finish} + {last} + {select}")
    return {"_target_": "Dataset", "data": "@donors", "transform": transform}


def _cache(parts: GuestParts, dataset: dict[str, Any], suffix: str) -> dict[str, str]:
    """A separate folder for the disk cache of a data set, since its samples differ now."""
    if "cache_dir" not in dataset:
        return {}
    return {"cache_dir": f"$str({parts.store('cache_dir', dataset['cache_dir'])}) + {suffix}"}


def _reader(loader: Step) -> dict[str, str]:
    """How the images are read: the reader and its arguments."""
    own = set(inspect.signature(LoadImaged).parameters) - {"reader"} | {"_target_"}
    return {name: f"@{loader.place}#{name}" for name in loader.written if name not in own}


def _stored(parts: GuestParts, name: str, steps: list[Step]) -> str:
    return parts.store(name, [step.with_mask for step in steps])


def _compose(expression: str) -> dict[str, Any]:
    return {"_target_": "Compose", "transforms": f"${expression}"}


def _names(steps: list[Step]) -> str:
    return ", ".join(step.name for step in steps) or "nothing"
