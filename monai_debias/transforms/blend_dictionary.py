# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Background blend: the backgrounds of a collated batch faded into each other, by amounts that are drawn."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable
from monai.utils import TransformBackends

from monai_debias.constraints import BOOL, KEY, KEYS
from monai_debias.masks import mask_flags
from monai_debias.parameters import expects
from monai_debias.pixels import as_pixels, like
from monai_debias.transforms.blend import blend_rows
from monai_debias.z_scores import look_for_z_scores

__all__ = ["BlendBackgroundsD", "BlendBackgroundsDict", "BlendBackgroundsd"]


class BlendBackgroundsd(MapTransform, Randomizable):
    r"""Fade the background of each image of a batch into that of another one, so that it says little about the class.

    The images that have a mask are blended by :func:`blend_backgrounds`, each with the one before it that has a mask,
    by an amount t that is drawn for each: with probability ½ it is 1, a whole exchange, else uniform in [0, 1]. A batch
    with fewer than two masks stays as it is. The labels stay, too: the class is that of the region of interest.

    It comes last, on the network's input: images are normalised by fixed numbers and need not be black anywhere. A
    z-score of each image carries the background into the values of the region, where no blend finds it; a warning says
    so once. In a trainer give it to ``PrepareBatchAttached(blend=...)``; a loop of your own calls it with the batch,
    and a ``DataLoader`` takes it in its ``collate_fn``::

        collate_fn=Compose([list_data_collate, BlendBackgroundsd("image")], map_items=False)

    Amounts are drawn from the state that ``set_random_state`` sets; without it, and in the workers of a ``DataLoader``,
    from torch's generator, which ``set_determinism`` seeds, and the loader anew in each worker and epoch. (A loader
    does not reseed what is in ``collate_fn``, which would draw the same in each epoch.)

    Args:
        keys: keys of the images, (B, C, spatial...), floating point; all are blended alike.
        mask_key: key of the masks, (B, 1, spatial...), 1 = region of interest.
        flag_key: key of the bool flags (B,) that ``FillMaskd`` writes; if a batch lacks it, every image has a mask.
        allow_missing_keys: do not raise when one of ``keys`` is missing from the batch.

    Raises:
        KeyError: when the batch lacks an image or the masks.
        TypeError: when the flags are not bool.
        ValueError: when the flags are not of shape (B,), or as :func:`blend_backgrounds` does.

    Reference:
        Ours: a BackMix (Bransby et al., MICCAI 2024) by degrees, among the images of a batch.

    Example:
        >>> batch = {"image": torch.rand(4, 1, 8, 8), "mask": torch.eye(8).expand(4, 1, 8, 8), "label": torch.arange(4)}
        >>> blended = BlendBackgroundsd("image")(batch)
        >>> same = blended["image"] == batch["image"]
        >>> bool(same[batch["mask"] == 1].all()), bool(same[batch["mask"] == 0].any())
        (True, False)
    """

    backend = [TransformBackends.TORCH, TransformBackends.NUMPY]

    @expects(keys=KEYS, mask_key=KEY, flag_key=KEY, allow_missing_keys=BOOL)
    def __init__(
        self,
        keys: KeysCollection,
        mask_key: Hashable = "mask",
        flag_key: Hashable = "has_mask",
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.mask_key = mask_key
        self.flag_key = flag_key
        self.n_blended = 0
        """Images of the last batch that were blended."""
        self._seen = False

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a shallow copy of the batch ``data`` with blended images."""
        batch = dict(data)
        keys = list(self.key_iterator(batch))
        if not keys:
            return batch
        if self.mask_key not in batch:
            raise KeyError(
                f"the batch has no masks {self.mask_key!r} to blend backgrounds by; it has {sorted(map(str, batch))}: "
                "set mask_key, and keep the masks in the batch."
            )
        masks = batch[self.mask_key]
        masks = masks if isinstance(masks, torch.Tensor) else as_pixels(masks)  # which forgets the files
        rows = mask_flags(batch, self.flag_key, len(masks)).nonzero().flatten()
        self.n_blended = len(rows) if len(rows) > 1 else 0
        if not self.n_blended:
            return batch
        uniform = self._uniform(len(rows))
        for key in keys:
            images = as_pixels(batch[key])
            if images.ndim < 3 or not images.is_floating_point():
                raise ValueError(
                    f"expected images {key!r} of shape (B, C, spatial...) and floating point, got {images.dtype} and "
                    f"{tuple(images.shape)}: blend a collated batch, after the normalisation."
                )
            if not self._seen:
                look_for_z_scores(images)
            some = blend_rows(images, masks, rows.to(images.device), uniform.to(images.device))
            batch[key] = like(some, batch[key])
        self._seen = True
        return batch

    def _uniform(self, n: int) -> torch.Tensor:
        """Numbers in [0, 1)."""
        by_torch = self.R is Randomizable.R or torch.utils.data.get_worker_info() is not None
        return torch.rand(n) if by_torch else torch.from_numpy(self.R.rand(n))


BlendBackgroundsD = BlendBackgroundsDict = BlendBackgroundsd
