# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Which files a tensor was made from, for the messages that refuse it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monai.data import MetaTensor
from monai.utils import ImageMetaKey, ensure_tuple

__all__ = ["READER", "file_names", "from_files"]

READER = "reader"  # key in the meta of an image: the class of its reader, which determines the order of the axes


def file_names(value: Any) -> list[str]:
    """List the files of an image, or of a batch of images, from the meta of a MetaTensor.

    Args:
        value: any value; if a MetaTensor, one sample of shape (C, spatial...), or a batch (B, C, spatial...).

    Returns:
        One name for a sample, B names for a batch; none for other tensors and arrays, which do not know their file.

    Example:
        >>> import torch
        >>> file_names(MetaTensor(torch.zeros(1, 2), meta={"filename_or_obj": "a.npy"}))
        ['a.npy']
    """
    meta = value.meta if isinstance(value, MetaTensor) else {}
    names = [str(name) for name in ensure_tuple(meta.get(ImageMetaKey.FILENAME_OR_OBJ, ()))]
    return names if len(names) == (len(value) if getattr(value, "is_batch", False) else 1) else []


def from_files(names: Sequence[str]) -> str:
    """Put file names into words that follow the name of a thing in a message.

    Args:
        names: the names, from :func:`file_names`; at most three of them are written out.

    Returns:
        The words with a space before them, or nothing if there are no names.

    Example:
        >>> "mask" + from_files(["a.npy"]), "mask" + from_files([])
        ('mask (a.npy)', 'mask')
    """
    told = ", ".join(dict.fromkeys(names[:3]))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f" ({told}{more})" if names else ""
