# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The items of a data set, read once: what is known of each image, and what the network answers to it."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from monai_debias.audit.answers import Answers
from monai_debias.audit.features import Features
from monai_debias.audit.item_values import image_of, region_of
from monai_debias.data.left_out import LeftOut
from monai_debias.distributed import share_work
from monai_debias.origin import file_names

__all__ = ["Keys", "Read", "named", "read_items"]


class Keys(NamedTuple):
    """The keys of what items have."""

    image: str
    label: str
    mask: str
    patient: str


@dataclass
class Read:
    """What has been read: lists of equal length, but for the batches of logits and what is left out."""

    numbers: list[int] = field(default_factory=list)
    """Number of each image in the data set."""
    files: list[str] = field(default_factory=list)
    labels: list[Any] = field(default_factory=list)
    patients: list[Any] = field(default_factory=list)
    masks: list[int] = field(default_factory=list)
    """A number that differs for different regions of interest; 0 where there is none, or no background."""
    attributes: list[list[Any]] = field(default_factory=list)
    logits: list[torch.Tensor] = field(default_factory=list)
    features: NDArray[np.float64] | None = None
    left_out: list[LeftOut] = field(default_factory=list)
    size: tuple[int, ...] = ()


def read_items(
    dataset: Sequence[Mapping[str, Any]], keys: Keys, attributes: Sequence[str], network: Answers, batch_size: int
) -> Read:
    """Read all items; processes of ``torchrun`` share them, and all get everything.

    Args:
        dataset: items by number.
        keys: of image, label, mask and patient.
        attributes: keys of attributes.
        network: is asked about each image.
        batch_size: images at a time.

    Raises:
        ValueError: when none of the items can be used, or images differ in size.
    """
    shares = share_work(
        lambda numbers: [_read_share(dataset, numbers, keys, attributes, network, batch_size)], range(len(dataset))
    )
    whole = Read(left_out=[one for share in shares for one in share.left_out])
    read = [share for share in shares if share.numbers]
    if not read:
        reasons = "; ".join(sorted({one.reason for one in whole.left_out})[:3])
        raise ValueError(f"none of the {len(dataset)} images can be used: {reasons or 'the data set is empty'}.")
    whole.size = read[0].size
    for share in read:
        _check_size(named(dataset, share.numbers[0], keys.image), share.size, whole.size)
        for name in ("numbers", "files", "labels", "patients", "masks", "attributes", "logits"):
            getattr(whole, name).extend(getattr(share, name))
    features = [share.features for share in read if share.features is not None]
    whole.features = np.concatenate(features) if len(features) == len(read) else None
    return whole


def named(dataset: Sequence[Mapping[str, Any]], number: int, image_key: str) -> str:
    """The file of an item's image, or the item's number.

    Args:
        dataset: the data set.
        number: of the item.
        image_key: key of the image.

    Example:
        >>> named([{"image": torch.zeros(1, 2, 2)}], 0, "image")
        'item 0'
    """
    items = getattr(dataset, "data", None)  # what MONAI's data sets are made of
    item = items[number] if isinstance(items, Sequence) else None
    file = item.get(image_key) if isinstance(item, Mapping) else None
    return str(file) if isinstance(file, str | os.PathLike) else f"item {number}"


def _read_share(
    dataset: Sequence[Mapping[str, Any]],
    numbers: Sequence[int],
    keys: Keys,
    attributes: Sequence[str],
    network: Answers,
    batch_size: int,
) -> Read:
    """What this process reads."""
    share, waiting = Read(), list[torch.Tensor]()
    with Features(network.network if network.is_module else None) as features:
        for number in numbers:
            try:
                item, image, region = _item(dataset[number], keys)
            except Exception as error:  # noqa: BLE001 # whatever a reader raises: the report lists it
                cause = error.__cause__ or error
                reason = str(cause.args[0] if isinstance(cause, KeyError) and cause.args else cause)
                share.left_out.append(LeftOut(named(dataset, number, keys.image), "unreadable", reason))
            else:
                share.size = share.size or tuple(image.shape)
                _check_size(named(dataset, number, keys.image), tuple(image.shape), share.size)
                waiting.append(image)
                share.numbers.append(number)
                share.files += file_names(item[keys.image]) or [""]
                share.labels.append(item[keys.label])
                share.patients.append(item.get(keys.patient))
                share.masks.append(region)
                share.attributes.append([item.get(name) for name in attributes])
            if waiting and (len(waiting) == batch_size or number == numbers[-1]):
                share.logits.append(network(torch.stack(waiting)))
                waiting = []
    share.features = features.of(share.logits) if share.logits else None
    return share


def _item(item: Mapping[str, Any], keys: Keys) -> tuple[Mapping[str, Any], torch.Tensor, int]:
    """An item, its image, and the number of its mask."""
    image = image_of(item, keys.image)
    if keys.label not in item:
        raise KeyError(f"has no {keys.label!r}, it has {sorted(map(str, item))}")
    mask = item.get(keys.mask)
    region = None if mask is None or isinstance(mask, str) else region_of(mask, image)
    leaves_both = region is not None and bool(region.any()) and not bool(region.all())
    return item, image, 1 + zlib.crc32(region.numpy().tobytes()) if region is not None and leaves_both else 0


def _check_size(name: str, size: tuple[int, ...], first: tuple[int, ...]) -> None:
    if size != first:
        raise ValueError(
            f"the image of {name} is {size}, the first one {first}: bring all to one size, with Resized or "
            "ResizeWithPadOrCropd."
        )
