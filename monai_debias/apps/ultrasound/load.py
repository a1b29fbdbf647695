# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Loading of ultrasound files with the reader that is meant for them, and no other."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import DtypeLike, KeysCollection
from monai.data import MetaTensor
from monai.transforms import EnsureChannelFirst, MapTransform, Transform
from monai.utils import ImageMetaKey, TransformBackends

from monai_debias.apps.ultrasound.reader import UltrasoundReader
from monai_debias.constraints import BOOL, DTYPE, KEYS
from monai_debias.data.reading import reading
from monai_debias.parameters import constraints_of, expects

__all__ = ["LoadUltrasound", "LoadUltrasoundD", "LoadUltrasoundDict", "LoadUltrasoundd"]


class LoadUltrasound(Transform):
    """MONAI's LoadImage with :class:`~monai_debias.apps.ultrasound.reader.UltrasoundReader` and no other.

    LoadImage tries all its readers when the one it was given raises, so a CT or a damaged file would be loaded after
    all, by a reader with another orientation. Here the error of the reader, which names the file, reaches the user.

    The meta dict is that of the reader plus ``filename_or_obj``. Files with and without spacing or ultrasound regions
    can be in one batch, and in a ``PersistentDataset(..., track_meta=True)``.

    Args:
        frames: ``"all"``, ``"middle"``, ``"first"`` or an index, see the reader.
        color: ``"grey"`` or ``"rgb"``, see the reader.
        dtype: type of the result.
        ensure_channel_first: whether the channel dimension is the first; otherwise ``"grey"`` has none, and for
            ``"rgb"`` it is the last.
        max_bytes: limit of the decoded size, see the reader.

    Returns:
        A MetaTensor (C, rows, columns) for a still and (C, rows, columns, frames) for a clip; C is 1 or 3.

    Raises:
        ValueError: if an argument has another value; on calling, if the file cannot be read as ultrasound.
        FileNotFoundError: on calling, if there is no such file.
        OptionalImportError: on calling, if a package is missing that the file needs.

    Example:
        >>> from pydicom.data import get_testdata_file
        >>> LoadUltrasound(frames="middle")(get_testdata_file("examples_rgb_color.dcm")).shape
        torch.Size([1, 240, 320])
    """

    backend = [TransformBackends.NUMPY]

    @expects(**constraints_of(UltrasoundReader), dtype=DTYPE, ensure_channel_first=BOOL)
    def __init__(
        self,
        frames: str | int = "all",
        color: str = "grey",
        dtype: DtypeLike = np.float32,
        ensure_channel_first: bool = True,
        max_bytes: int = 2**32,
    ) -> None:
        self.reader = UltrasoundReader(frames=frames, color=color, max_bytes=max_bytes)
        self.dtype = dtype
        self.ensure_channel_first = ensure_channel_first

    def __call__(self, filename: str | PathLike) -> torch.Tensor:
        """Load one file.

        Args:
            filename: the file; ``~`` is expanded.
        """
        path = Path(filename).expanduser()
        array, meta = self.reader.get_data(self.reader.read(path))
        meta[ImageMetaKey.FILENAME_OR_OBJ] = str(path)
        with reading(path, f"the image as {np.dtype(self.dtype)}"), np.errstate(over="raise", invalid="raise"):
            values = array.astype(self.dtype)
        image = MetaTensor.ensure_torch_and_prune_meta(values, meta)
        return EnsureChannelFirst()(image, meta_dict=meta) if self.ensure_channel_first else image


class LoadUltrasoundd(MapTransform):
    """Dictionary version of :class:`LoadUltrasound`; each key holds a file name and becomes an image.

    For a mask take :class:`~monai_debias.transforms.load_mask.LoadMaskd`, which checks it against its image.

    Args:
        keys: keys of the files to load.
        frames: see :class:`LoadUltrasound`.
        color: see :class:`LoadUltrasound`.
        dtype: type of the result.
        allow_missing_keys: whether a sample may lack a key.
        max_bytes: see :class:`LoadUltrasound`.

    Raises:
        KeyError: on calling, if a key is missing.

    Example:
        >>> from pydicom.data import get_testdata_file
        >>> load = LoadUltrasoundd(keys="image", color="rgb")
        >>> load({"image": get_testdata_file("examples_rgb_color.dcm"), "label": 3})["image"].shape
        torch.Size([3, 240, 320])
    """

    backend = LoadUltrasound.backend

    @expects(keys=KEYS, **constraints_of(UltrasoundReader), dtype=DTYPE, allow_missing_keys=BOOL)
    def __init__(
        self,
        keys: KeysCollection,
        frames: str | int = "all",
        color: str = "grey",
        dtype: DtypeLike = np.float32,
        allow_missing_keys: bool = False,
        max_bytes: int = 2**32,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.loader = LoadUltrasound(frames=frames, color=color, dtype=dtype, max_bytes=max_bytes)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Load the files of a sample.

        Args:
            data: the sample.
        """
        sample = dict(data)
        for key in self.key_iterator(sample):
            sample[key] = self.loader(sample[key])
        return sample


LoadUltrasoundD = LoadUltrasoundDict = LoadUltrasoundd
