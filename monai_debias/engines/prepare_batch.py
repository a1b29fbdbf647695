# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A batch for a stock trainer: image and label, with whatever else the methods need attached to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from monai.engines import PrepareBatch
from monai.transforms import Randomizable

from monai_debias.attached import attach
from monai_debias.constraints import KEY, NONE, STRING, Instance, MappingOf
from monai_debias.engines.swap_backgrounds import SwapBackgrounds
from monai_debias.masks import mask_flags
from monai_debias.parameters import expects
from monai_debias.transforms.blend_dictionary import BlendBackgroundsd
from monai_debias.transforms.mix_batch_dictionary import MixBatchd

__all__ = ["PrepareBatchAttached"]


class PrepareBatchAttached(PrepareBatch, Randomizable):
    """``prepare_batch`` of a MONAI trainer that attaches what the losses and inferers of this package use.

    Image and label are those of a plain training, so that metrics and post-processing work as usual. If the batch has
    masks (for an ISNet), flags of ``FillMaskd`` that tell which masks are real, or weights (of wBackMix), these are
    attached to the label; see :mod:`monai_debias.attached`. An ISNet explains the rows that have a mask. A batch for
    another method must not have masks: if nothing uses what is attached, that is an error.

    With Mixup, Manifold Mixup or Flow-Mixup the label stays un-mixed, and the labels of all rows that the network
    computes are attached to it. A transform that was not seeded by ``set_random_state`` is seeded from torch's
    generator in the first batch, as MONAI's ``DataLoader`` seeds the transforms of its data set, so that
    ``set_determinism`` works for it, too.

    Args:
        mixup: the transform that mixes the batch, or ``{name: transform}`` with at most one entry; None for no mixing.
        image_key: key of the network's input, (B, C, spatial...).
        label_key: key of the labels, of any kind.
        mask_key: key of the masks, (B, 1, spatial...); a batch may lack it.
        flag_key: key of the bool flags, (B,); if a batch lacks it, every sample has a mask.
        weight_key: key of the weights, (B,); a batch may lack it.
        swap: makes the images with other backgrounds for ``BackgroundConsistencyLoss``, which are attached to the
            image; None for no such images.
        blend: blends the backgrounds of the batch before it is mixed, and uses its masks up, so that they are not
            attached; None for no blend. An ``ISNetInferer`` blends by itself.

    Raises:
        KeyError: when a batch lacks the image or the label, or ``blend`` the masks.
        TypeError: when image or label are not a tensor, or the flags are not bool.
        ValueError: when there are two mixups, mixup or blend have other keys, or there is a mixup in addition to
            ``swap``; when the label is a single number or the flags are not of shape (B,); as ``SwapBackgrounds`` and
            ``BlendBackgroundsd`` do.

    Example:
        >>> import torch
        >>> from monai_debias.attached import attached
        >>> batch = {"image": torch.rand(2, 1, 8, 8), "label": torch.tensor([0, 1]), "weight": torch.ones(2)}
        >>> image, label = PrepareBatchAttached()(batch, device="cpu")
        >>> attached(label, "weight")
        tensor([1., 1.])
        >>> batch |= {"mask": torch.ones(2, 1, 8, 8), "has_mask": torch.tensor([False, True])}
        >>> image, label = PrepareBatchAttached()(batch, device="cpu")
        >>> attached(label, "has_mask"), attached(image, "explain")["rows"]
        (tensor([False,  True]), tensor([1]))
    """

    @expects(
        mixup=NONE | Instance(MixBatchd) | MappingOf(Instance(MixBatchd), key=STRING),
        image_key=KEY,
        label_key=KEY,
        mask_key=KEY,
        flag_key=KEY,
        weight_key=KEY,
        swap=NONE | Instance(SwapBackgrounds),
        blend=NONE | Instance(BlendBackgroundsd),
    )
    def __init__(
        self,
        mixup: MixBatchd | Mapping[str, MixBatchd] | None = None,
        image_key: str = "image",
        label_key: str = "label",
        mask_key: str = "mask",
        flag_key: str = "has_mask",
        weight_key: str = "weight",
        swap: SwapBackgrounds | None = None,
        blend: BlendBackgroundsd | None = None,
    ) -> None:
        self.mixup = _only(mixup) if isinstance(mixup, Mapping) else mixup
        self.image_key = image_key
        self.label_key = label_key
        self.mask_key = mask_key
        self.flag_key = flag_key
        self.weight_key = weight_key
        self.swap = swap
        self.blend = blend
        if self.mixup is not None and swap is not None:
            raise ValueError(
                "a mixup and swapped backgrounds cannot be combined: the rows of a mixed batch are mixtures, and the "
                "prediction of a mixture is not that of the image whose background is swapped. Choose one of them."
            )
        if self.mixup is not None:
            self._check_keys(self.mixup)
        if blend is not None and self.image_key not in blend.keys:
            raise ValueError(f"the blend has the keys {blend.keys}, expected {image_key!r} among them.")

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> PrepareBatchAttached:
        """Seed blend and mixup, if there are any."""
        if self.blend is not None:
            self.blend.set_random_state(seed, state)
        if self.mixup is not None:
            self.mixup.set_random_state(seed, state)
        return self

    def __call__(
        self,
        batchdata: Any,
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Prepare the network's input and the target of a batch.

        Args:
            batchdata: a mapping, or a pair of images and labels.
            device: the device to move to.
            non_blocking: see ``torch.Tensor.to``.
            kwargs: further arguments of ``torch.Tensor.to``.

        Returns:
            ``(image, label)`` with what is attached to them.
        """
        batch = self._mapping(batchdata)
        if self.blend is not None:
            used = (self.blend.mask_key, self.blend.flag_key)
            batch = {key: part for key, part in self.blend(batch).items() if key not in used}
        move: dict[str, Any] = {"device": device, "non_blocking": non_blocking, **kwargs}
        if self.mixup is None:
            return self._prepared(batch, batch, move)
        if self.mixup.R is Randomizable.R:
            self.mixup.set_random_state(int(torch.randint(2**31, ())))
        mixed: dict[Any, Any] = self.mixup(batch)
        try:
            return self._prepared(batch, mixed, move)
        except BaseException:
            self.mixup.disarm()  # this batch does not get to the network
            raise

    def _prepared(
        self, batch: Mapping[str, Any], mixed: Mapping[str, Any], move: dict[str, Any]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Image and label of the batch, with what belongs to the rows of the mixed one, which may be more."""
        label, rows = batch[self.label_key].to(**move), mixed[self.image_key].to(**move)
        labels = label if mixed is batch else mixed[self.label_key].to(**move)
        target = label if mixed is batch else attach(label, rows=labels)
        image = rows if len(rows) == len(label) else batch[self.image_key].to(**move)
        if self.weight_key in mixed:
            target = attach(target, weight=mixed[self.weight_key].to(**move))
        if self.mask_key in mixed:
            has_mask, masks = mask_flags(mixed, self.flag_key, len(rows)), mixed[self.mask_key].to(**move)
            target = attach(target, mask=masks, has_mask=has_mask.to(label.device, non_blocking=True))
            explained = has_mask.nonzero().flatten().to(label.device, non_blocking=True)  # found before it is moved
            some = explained if len(explained) < len(labels) else None
            rows = attach(rows, explain={"rows": some, "labels": labels, "masks": masks})
        if self.swap is not None:
            rows = attach(rows, swapped=self.swap(batch, **move))
        return attach(image, rows=rows) if len(labels) > len(label) else rows, target

    def _mapping(self, batchdata: Any) -> dict[Any, Any]:
        needed = (self.image_key, self.label_key)
        batch = dict(batchdata) if isinstance(batchdata, Mapping) else dict(zip(needed, batchdata, strict=True))
        missing = [key for key in needed if key not in batch]
        if missing:
            raise KeyError(
                f"the batch has no {missing}; it has {sorted(map(str, batch))}: set image_key and label_key."
            )
        for key in needed:
            if not isinstance(batch[key], torch.Tensor):
                raise TypeError(
                    f"{key!r} of the batch is {type(batch[key]).__name__}, expected a tensor of all samples: let the "
                    "data loader collate them, as MONAI's does."
                )
        if batch[self.label_key].ndim == 0:
            raise ValueError(f"{self.label_key!r} of the batch is a single number, expected one for each sample, (B,).")
        return batch

    def _check_keys(self, mixup: MixBatchd) -> None:
        own = (self.label_key, self.mask_key, self.flag_key, self.weight_key)
        its = (mixup.label_key, mixup.mask_key, mixup.flag_key, mixup.weight_key)
        if own != its or self.image_key not in mixup.keys:
            raise ValueError(
                f"the mixup has the keys {mixup.keys} and (label, mask, flag, weight) {its}, expected "
                f"{self.image_key!r} among the former, and {own}: give both the same keys."
            )


def _only(mixups: Mapping[str, MixBatchd]) -> MixBatchd | None:
    if len(mixups) > 1:
        names = " and ".join(mixups)
        raise ValueError(f"{names} cannot be combined: each mixes the whole batch and its labels. Choose one of them.")
    return next(iter(mixups.values()), None)
