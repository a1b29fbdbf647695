# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Loading of mask files, each checked against its image."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping
from os import PathLike
from typing import Any

import numpy as np
import torch
from monai.data import ImageReader, MetaTensor
from monai.transforms import LoadImage, Transform
from monai.utils import TransformBackends, convert_to_dst_type

from monai_debias.constraints import KEY, NONE, STRING, Instance, Number
from monai_debias.data.datalist_items import ITEM_KEY
from monai_debias.data.mask_files import binary_values, fits_image, looks_inverted, read_channel_first
from monai_debias.masks import mask_meta
from monai_debias.origin import READER, file_names, from_files
from monai_debias.parameters import expects

__all__ = ["LoadMaskD", "LoadMaskDict", "LoadMaskd"]


class LoadMaskd(Transform):
    """Load the mask file of a sample that names one, and check that it is a mask of the sample's image.

    A mask has two values: 0 and 1, or 0 and 255 (as in pictures), or booleans; with a ``threshold`` it may have any. It
    must have the rows and columns of its image as stored, so put this transform before anything that resizes. One mask
    serves all frames of a clip, or there is one for each. A mask that is loaded already (a tensor or array) is checked
    in the same way. A sample without a mask (no such key, or None under it) passes without that key; a transform that
    estimates masks may follow. Messages name the files and the place of the item in its datalist.

    The file is read as MONAI's ``LoadImaged`` reads an image, by the reader for its suffix. Image and mask must be read
    by the same reader, since readers differ in the order of rows and columns.

    There is no array version, since the transform works on two keys of a sample.

    Args:
        mask_key: key of the file name or of the loaded mask, shape (1, spatial...).
        image_key: key of the image, loaded already, shape (C, spatial...).
        reader: the reader of the files, an image reader or the name of one of MONAI's, as in ``LoadImaged``; None for
            the reader for the suffix.
        threshold: values above it are the region of interest, e.g. 127 for a grey mask of 0 to 255, or 0 if the region
            has any other value than 0; None to refuse a mask with other values than those above.
        file_key: key of the file or of the loaded mask; None for ``mask_key``.
        reader_options: arguments of the reader, as in ``LoadImaged``, e.g. ``reverse_indexing=False``.

    Returns:
        The sample with a mask (1, spatial...) of uint8, 0 and 1, of the image's kind of array. The meta of a MetaTensor
        describes the mask: its shape, the image's affine, and the file that it comes from.

    Raises:
        KeyError: when a sample with a mask has no image.
        TypeError: when the image is not loaded.
        ValueError: when the mask has other values, several channels, another shape than the image, or is 0 everywhere,
            or would be read by another reader than its image, as far as this is known. A mask that covers the whole
            image, or rather its border, is a warning.

    Example:
        >>> import tempfile
        >>> values = np.zeros((32, 48), np.uint8)
        >>> values[8:24, 8:40] = 255
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/mask.npy", values)
        ...     sample = LoadMaskd()({"image": torch.rand(1, 32, 48), "mask": f"{folder}/mask.npy"})
        >>> sample["mask"].shape, sample["mask"].unique()
        (torch.Size([1, 32, 48]), tensor([0, 1], dtype=torch.uint8))
    """

    backend = [TransformBackends.TORCH, TransformBackends.NUMPY]

    @expects(
        mask_key=KEY,
        image_key=KEY,
        reader=NONE | STRING | Instance(ImageReader),
        threshold=NONE | Number(),
        file_key=NONE | KEY,
    )
    def __init__(
        self,
        mask_key: Hashable = "mask",
        image_key: Hashable = "image",
        reader: ImageReader | str | None = None,
        threshold: float | None = None,
        file_key: Hashable | None = None,
        **reader_options: Any,
    ) -> None:
        self.mask_key = mask_key
        self.image_key = image_key
        self.threshold = threshold
        self.file_key = mask_key if file_key is None else file_key
        self.readers = _readers(reader, reader_options)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a shallow copy of the sample ``data`` with its mask loaded, or without the key if there is none."""
        sample = dict(data)
        mask = sample.get(self.file_key)
        sample.pop(self.mask_key, None)
        if mask is None:
            return sample
        image = self._image(data)
        files = [str(mask)] if isinstance(mask, str | PathLike) else file_names(mask)
        name = f"the mask{from_files(files)}{_of(sample.get(ITEM_KEY))}"
        values = self._read_values(mask, image, name) if isinstance(mask, str | PathLike) else _as_array(mask)
        region = _region_of(values, image, self.threshold, name)
        loaded, _, _ = convert_to_dst_type(np.ascontiguousarray(region), image, dtype=torch.uint8)
        if isinstance(loaded, MetaTensor):
            loaded = MetaTensor(loaded.as_tensor(), meta=mask_meta(image, loaded.shape, files))
        return {**sample, self.mask_key: loaded}

    def _read_values(self, path: str | PathLike, image: Any, name: str) -> np.ndarray:
        """The values (C, spatial...) of a file."""
        reader = next(r for r in self.readers if len(self.readers) == 1 or r.verify_suffix(str(path)))
        used = image.meta.get(READER) if isinstance(image, MetaTensor) else None
        if used not in (None, type(reader).__name__):
            raise ValueError(
                f"{name} would be read by {type(reader).__name__}, but its image{from_files(file_names(image))} was "
                f"read by {used}, and the two may differ in the order of rows and columns: give LoadMaskd the reader "
                f"{used}."
            )
        values, _ = read_channel_first(path, reader)
        return values[:1] if (values == values[:1]).all() else values  # grey, stored in colour

    def _image(self, data: Mapping[Hashable, Any]) -> Any:
        if self.image_key not in data:
            raise KeyError(f"the sample has no image {self.image_key!r}, which the mask {self.mask_key!r} must fit.")
        image = data[self.image_key]
        if not isinstance(image, torch.Tensor | np.ndarray):
            raise TypeError(f"the image {self.image_key!r} is a {type(image).__name__}: load it before its mask.")
        return image


LoadMaskD = LoadMaskDict = LoadMaskd


def _readers(reader: ImageReader | str | None, options: Mapping[str, Any]) -> list[ImageReader]:
    """The reader, or all of MONAI's, the last one first, among which the suffix decides."""
    if isinstance(reader, ImageReader):
        return [reader]
    known = LoadImage(reader, **options).readers[::-1]
    return known if reader is None else known[:1]


def _region_of(values: np.ndarray, image: Any, threshold: float | None, name: str) -> np.ndarray:
    """The values as booleans, (1, spatial...), after all checks."""
    if len(values) != 1 or not fits_image(values.shape[1:], image.shape[1:]):
        raise ValueError(
            f"{name} has shape {tuple(values.shape)}, but its image{from_files(file_names(image))} has "
            f"{tuple(image.shape)}: expected one channel and the rows and columns of the image as stored. If they "
            "belong together, read both with the same reader, or export the mask again at that size; a resized mask "
            "could mark another place."
        )
    try:
        region = binary_values(values) if threshold is None else values > threshold
    except ValueError as error:
        raise ValueError(f"{name} {error} Or give LoadMaskd a threshold, e.g. threshold=127.") from error
    if not region.any():
        raise ValueError(f"{name} is 0 everywhere: take it out of the datalist if the image has no region of interest.")
    if region.all():
        warnings.warn(
            f"{name} covers the whole image, so that there is no background: take it out of the datalist if it was "
            "filled in for want of a mask.",
            stacklevel=4,
        )
    if looks_inverted(region[0]):
        warnings.warn(
            f"{name} covers more of the image's border than of the rest: is it inverted? 1 is the region of interest.",
            stacklevel=4,
        )
    return region


def _of(item: Any) -> str:
    return "" if item is None else f" of item {item}"


def _as_array(mask: Any) -> np.ndarray:
    if not isinstance(mask, torch.Tensor):
        return np.asarray(mask)
    return (mask.float() if mask.dtype == torch.bfloat16 else mask).numpy(force=True)  # NumPy has no bfloat16
