# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Loading of mask files, beside the image that each belongs to."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping
from os import PathLike
from typing import Any

import numpy as np
import torch
from monai.data import ImageReader, MetaTensor
from monai.transforms import Transform
from monai.utils import TransformBackends, convert_to_dst_type

from monai_debias.data.datalist import ITEM_KEY
from monai_debias.data.masks import binary_values, fits_image, looks_inverted, read_channel_first
from monai_debias.masks import mask_meta
from monai_debias.origin import file_names, from_files
from monai_debias.parameters import KEY, NONE, Instance, expects

__all__ = ["LoadMaskD", "LoadMaskDict", "LoadMaskd"]


class LoadMaskd(Transform):
    """Load the mask file of a sample that names one, and check that it is a mask of the sample's image.

    A mask has two values: 0 and 1, or 0 and 255 (as pictures have them), or booleans. It has the rows and columns of
    its image as stored, thus comes before anything that resizes; one mask serves all frames of a clip, or there is one
    for each. A mask that is loaded already (a tensor or array) is checked in the same way. A sample without a mask (no
    such key, or None under it) passes without that key: a finder of masks may come next. Messages name the files and
    the place of the item in its datalist.

    There is no array version: it looks at two keys of a sample.

    Args:
        mask_key: key of the file name or of the loaded mask, shape (1, spatial...).
        image_key: key of the image, loaded already, shape (C, spatial...).
        reader: what reads the files, a ``monai.data.ImageReader``; default: ``UltrasoundReader()``, which takes DICOM,
            PNG and NPY. Take the one that the image is read with: readers differ in the order of rows and columns.

    Returns:
        The sample with a mask (1, spatial...) of uint8, 0 and 1, of the image's kind of array. The meta of a MetaTensor
        describes the mask: its shape, the image's affine, and the file that it comes from.

    Raises:
        KeyError: when a sample with a mask has no image.
        TypeError: when the image is not loaded.
        ValueError: when the mask has other values, several channels, another shape than the image, or is 0 everywhere.

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

    @expects(mask_key=KEY, image_key=KEY, reader=NONE | Instance(ImageReader))
    def __init__(
        self, mask_key: Hashable = "mask", image_key: Hashable = "image", reader: ImageReader | None = None
    ) -> None:
        from monai_debias.apps.ultrasound.reader import UltrasoundReader

        self.mask_key = mask_key
        self.image_key = image_key
        self.reader = UltrasoundReader() if reader is None else reader

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a shallow copy of the sample ``data`` with its mask loaded, or without the key if there is none."""
        sample = dict(data)
        mask = sample.pop(self.mask_key, None)
        if mask is None:
            return sample
        image = self._image(data)
        files = [str(mask)] if isinstance(mask, str | PathLike) else file_names(mask)
        name = f"the mask{from_files(files)}{_of(sample.get(ITEM_KEY))}"
        values = read_channel_first(mask, self.reader)[0] if isinstance(mask, str | PathLike) else _plain(mask)
        region = _checked(values, image, name)
        loaded, _, _ = convert_to_dst_type(np.ascontiguousarray(region), image, dtype=torch.uint8)
        if isinstance(loaded, MetaTensor):
            loaded = MetaTensor(loaded.as_tensor(), meta=mask_meta(image, loaded.shape, files))
        return {**sample, self.mask_key: loaded}

    def _image(self, data: Mapping[Hashable, Any]) -> Any:
        if self.image_key not in data:
            raise KeyError(f"the sample has no image {self.image_key!r}, which the mask {self.mask_key!r} must fit.")
        image = data[self.image_key]
        if not isinstance(image, torch.Tensor | np.ndarray):
            raise TypeError(f"the image {self.image_key!r} is a {type(image).__name__}: load it before its mask.")
        return image


LoadMaskD = LoadMaskDict = LoadMaskd


def _checked(values: np.ndarray, image: Any, name: str) -> np.ndarray:
    """The values as booleans, (1, spatial...), after all checks."""
    if len(values) != 1 or not fits_image(values.shape[1:], image.shape[1:]):
        raise ValueError(
            f"{name} has shape {tuple(values.shape)}, but its image{from_files(file_names(image))} has "
            f"{tuple(image.shape)}: expected one channel and the rows and columns of the image as stored. If they "
            "belong together, export the mask anew at that size; stretching it would mark another place."
        )
    try:
        region = binary_values(values)
    except ValueError as error:
        raise ValueError(f"{name} {error}.") from error
    if not region.any():
        raise ValueError(f"{name} is 0 everywhere: take it out of the datalist if the image has no region of interest.")
    if looks_inverted(region[0]):
        warnings.warn(
            f"{name} marks the rim of the image more than its middle: is it inverted? 1 is the region of interest.",
            stacklevel=4,
        )
    return region


def _of(item: Any) -> str:
    return "" if item is None else f" of item {item}"


def _plain(mask: Any) -> np.ndarray:
    if not isinstance(mask, torch.Tensor):
        return np.asarray(mask)
    return (mask.float() if mask.dtype == torch.bfloat16 else mask).numpy(force=True)  # NumPy has no bfloat16
