# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What every part of the package expects of a mask: binary, of the image's shape or aspect ratio, and not empty."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from monai.config import NdarrayOrTensor
from monai.data import MetaTensor
from monai.networks.layers import Pool
from monai.utils import ImageMetaKey, MetaKeys

from monai_debias.constraints import ARRAY, STRING, Integer, SequenceOf
from monai_debias.origin import file_names, from_files
from monai_debias.parameters import expects
from monai_debias.pixels import as_pixels
from monai_debias.without_waiting import look

__all__ = ["as_binary_mask", "as_region", "mask_flags", "mask_meta", "pool_mask", "require_aspect", "rows_with_mask"]

_TO_BINARY = (
    'threshold it, e.g. with AsDiscreted(keys="mask", threshold=0.5), and use mode="nearest" for it in spatial '
    "transforms."
)


@expects(mask=ARRAY, image_shape=SequenceOf(Integer("[0, inf)"), least=1), name=STRING)
def as_binary_mask(mask: NdarrayOrTensor, image_shape: Sequence[int], name: str = "mask") -> torch.Tensor:
    """Check a channel-first mask against its image and return it as a boolean tensor.

    Args:
        mask: array or tensor of shape (1, spatial...) or (C, spatial...) with the values 0 and 1 (or boolean),
            1 = region of interest.
        image_shape: shape of the image that the mask belongs to, (C, spatial...).
        name: name of the mask in error messages, which add the file of a MetaTensor.

    Returns:
        Boolean tensor of the mask's shape; it shares memory with a ``uint8`` or ``bool`` mask.

    Raises:
        ValueError: when the mask's shape does not fit, when it has values other than 0 and 1, or when it is all 0.

    Example:
        >>> import torch
        >>> as_binary_mask(torch.tensor([[0.0, 1.0]]), (3, 2))
        tensor([[False,  True]])
    """
    values = as_pixels(mask)
    if values.shape[1:] != tuple(image_shape[1:]) or values.shape[0] not in (1, image_shape[0]):
        raise ValueError(
            f"{_named(name, mask)} of shape {tuple(values.shape)} does not fit an image of shape {tuple(image_shape)}: "
            f"expected {(1, *image_shape[1:])}; apply the same spatial transforms to image and mask."
        )
    if values.dtype in (torch.bool, torch.uint8):
        highest = int(values.max())  # this one pass over bytes is all that the usual mask costs
        region, binary, empty = values.view(torch.bool), highest <= 1, highest == 0
    else:
        region = values != 0
        binary, empty = torch.equal(region.to(values.dtype), values), not region.any()
    if not binary:
        low, high = values.min().item(), values.max().item()
        raise ValueError(
            f"{_named(name, mask)} has values other than 0 and 1 (min {low:g}, max {high:g}); {_TO_BINARY}"
        )
    if empty:
        raise ValueError(
            f"{_named(name, mask)} is 0 everywhere: nothing would be kept; give no mask for a sample without a region "
            "of interest."
        )
    return region


def as_region(
    masks: torch.Tensor,
    name: str = "mask",
    files: Sequence[str] = (),
    channels: int = 1,
    rows: torch.Tensor | None = None,
) -> torch.Tensor:
    """Check a batch of masks, and return it as a boolean tensor; errors name the rows that are wrong.

    Args:
        masks: shape (B, 1, spatial...) with the values 0 and 1 (or boolean), 1 = region of interest.
        name: name of a mask in error messages.
        files: names of the B files for the messages; by default those of a MetaTensor.
        channels: channels that a mask may have instead of one: those of its image.
        rows: int64 (B,), if the masks are these rows of a batch, whose files are ``files``.

    Returns:
        Boolean tensor of the same shape.

    Raises:
        ValueError: when the masks have another shape, other values than 0 and 1, or are 0 everywhere for a sample.

    Example:
        >>> import torch
        >>> as_region(torch.tensor([[[0.0, 1.0]]]))
        tensor([[[False,  True]]])
    """
    if masks.ndim < 3 or masks.shape[1] not in (1, channels):
        raise ValueError(f"{name} has shape {tuple(masks.shape)} for a batch, expected (B, 1, spatial...).")
    values = masks.as_subclass(torch.Tensor).detach()
    rows = torch.arange(len(masks)) if rows is None else rows
    files = files or file_names(masks)
    region = values != 0
    if values.dtype != torch.bool:
        other, flat = (region != values).flatten(1).any(1), values.flatten(1)
        look(partial(_refuse_other_values, name, files), rows, other, flat.amin(1), flat.amax(1))
    look(partial(_refuse_empty, name, files), rows, region.flatten(1).any(1))
    return region


def mask_flags(batch: Mapping[Any, Any], flag_key: Hashable, n_rows: int) -> torch.Tensor:
    """Which rows of a batch have a mask of their own: boolean, (B,).

    Args:
        batch: with the flags of ``FillMaskd``; without them every row has a mask.
        flag_key: key of the flags.
        n_rows: B.

    Raises:
        TypeError: when the flags are not bool.
        ValueError: when they are not of shape (B,).

    Example:
        >>> mask_flags({"has_mask": torch.tensor([False, True])}, "has_mask", 2)
        tensor([False,  True])
    """
    if flag_key not in batch:
        return torch.ones(n_rows, dtype=torch.bool)
    flags = torch.as_tensor(batch[flag_key])
    if flags.dtype != torch.bool:
        raise TypeError(f"the flags {flag_key!r} must be bool, as from FillMaskd, got {flags.dtype}.")
    if flags.shape != (n_rows,):
        raise ValueError(f"the flags {flag_key!r} must have shape ({n_rows},), got {tuple(flags.shape)}.")
    return flags


def rows_with_mask(flags: torch.Tensor, count: int) -> torch.Tensor:
    """Which rows have a mask, if their number is known: what ``nonzero`` gives, without waiting for a GPU.

    Args:
        flags: boolean, (B,).
        count: how many of them are true.

    Returns:
        int64, (count,), in their order.

    Example:
        >>> rows_with_mask(torch.tensor([False, True, False, True]), 2)
        tensor([1, 3])
    """
    return flags.to(torch.uint8).argsort(descending=True, stable=True)[:count]


def mask_meta(image: MetaTensor, shape: Sequence[int], files: Sequence[str] = ()) -> dict[str, Any]:
    """Describe a mask in the meta of a MetaTensor, so that masks of clips and of stills collate.

    Args:
        image: the image that the mask belongs to, of shape (C, spatial...). Its affine holds for the mask, too; its
            other meta data do not.
        shape: shape of the mask, (1, spatial...).
        files: the file of the mask; by default that of the image in which it was found.

    Returns:
        The meta dict.

    Example:
        >>> import torch
        >>> image = MetaTensor(torch.zeros(1, 2, 3, 5), meta={"filename_or_obj": "clip.dcm", "n_frames": 5})
        >>> sorted(map(str, mask_meta(image, (1, 2, 3))))
        ['affine', 'filename_or_obj', 'spatial_shape']
    """
    meta: dict[str, Any] = {MetaKeys.AFFINE: image.affine.clone(), MetaKeys.SPATIAL_SHAPE: torch.tensor(shape[1:])}
    names = files or file_names(image)
    return {**meta, ImageMetaKey.FILENAME_OR_OBJ: names[0]} if names else meta


def pool_mask(region: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Pool masks to the size of a map: each position that the region touches belongs to it.

    Args:
        region: binary masks of shape (B, 1, spatial...).
        size: the map's spatial shape.

    Returns:
        Masks of shape (B, 1, size...) and of the type of ``region``; masks of that size are returned unchanged.

    Raises:
        ValueError: when a mask of more than 3 spatial dimensions has another size.

    Example:
        >>> import torch
        >>> pool_mask(torch.tensor([[[0, 1, 0, 0]]]), [2])
        tensor([[[1, 0]]])
    """
    if region.shape[2:] == tuple(size):
        return region
    if len(size) > 3:
        raise ValueError(
            f"a mask with {len(size)} spatial dimensions cannot be pooled from {tuple(region.shape[2:])} to "
            f"{tuple(size)}; give it the size of the relevance."
        )
    return (Pool[Pool.ADAPTIVEAVG, len(size)](tuple(size))(region.float()) > 0).to(region.dtype)


def require_aspect(mask_size: Sequence[int], map_size: Sequence[int], files: Sequence[str] = ()) -> None:
    """Refuse a mask whose aspect ratio is not that of a map: it belongs to another image.

    Networks that halve the sides round them, so each side of the map may be one position too long or too short: 7 x 7
    fits 225 x 224, and so does 8 x 7. Thus a map of few positions fits nearly anything: check the map at the input, or
    the largest one there is.

    Args:
        mask_size: the mask's spatial shape.
        map_size: the map's spatial shape, of as many dimensions.
        files: names of the masks' files, for the message.

    Raises:
        ValueError: when no stride explains all sides.

    Example:
        >>> require_aspect((225, 224), (7, 7))
        >>> require_aspect((320, 240), (240, 320))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: masks of 320 x 240 do not fit relevance of 240 x 320, whose sides are in another proportion: ...
    """
    # the strides with which n positions become m - 1 to m + 1
    lowest = max(n / (m + 1) for n, m in zip(mask_size, map_size, strict=True))
    highest = min(n / (m - 1) if m > 1 else float("inf") for n, m in zip(mask_size, map_size, strict=True))
    if lowest > highest:
        raise ValueError(
            f"masks{from_files(files)} of {_size(mask_size)} do not fit relevance of {_size(map_size)}, whose sides "
            "are in another proportion: apply the same spatial transforms to image and mask."
        )


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _named(name: str, mask: NdarrayOrTensor) -> str:
    return name + from_files(file_names(mask))


def _refuse_other_values(
    name: str,
    files: Sequence[str],
    rows: torch.Tensor,
    other: torch.Tensor,
    lowest: torch.Tensor,
    highest: torch.Tensor,
) -> None:
    """Refuse masks with other values than 0 and 1; each tensor has one value for each mask."""
    if bool(other.any()):
        low, high = lowest[other].min().item(), highest[other].max().item()
        raise ValueError(
            f"{name} has values other than 0 and 1 (min {low:g}, max {high:g}){_rows(rows[other], files)}; {_TO_BINARY}"
        )


def _refuse_empty(name: str, files: Sequence[str], rows: torch.Tensor, there: torch.Tensor) -> None:
    """Refuse masks that are 0 everywhere."""
    if not bool(there.all()):
        raise ValueError(
            f"{name} is 0 everywhere{_rows(rows[~there], files)}: nothing would be kept; leave out a sample that has no"
            ' region of interest, or train without its mask (for an ISNet: "has_mask" is False, see FillMaskd).'
        )


def _rows(wrong: torch.Tensor, files: Sequence[str]) -> str:
    """Which rows of a batch are wrong, and their files if these are known."""
    rows = wrong.tolist()
    return f" in row(s) {rows}{from_files([files[row] for row in rows if row < len(files)])}"
