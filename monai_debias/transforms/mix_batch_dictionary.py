# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The mixups for a collated batch that is a dictionary, with its labels, masks and weights."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable

from monai_debias.constraints import BOOL, KEY, KEYS
from monai_debias.labels import check_batch
from monai_debias.parameters import constraints_of, expects
from monai_debias.transforms.mix_batch import INPUT, MixBatch

__all__ = ["MixBatchD", "MixBatchDict", "MixBatchd"]


class MixBatchd(MapTransform, Randomizable):
    """Dictionary version of :class:`MixBatch` for a collated batch; in a trainer through ``PrepareBatchAttached``.

    Masks of an ISNet belong to the rows of the network's input: if images are mixed, the region of interest of a mixed
    image is the union of both, and it has a mask only if both have one. If hidden states are mixed, the images and the
    masks stay as they are. Weights of samples, as those of wBackMix, are mixed as the labels are.

    Args:
        keys: keys of the images; all are mixed alike.
        label_key: key of the labels, which become rows (B', K).
        network: see :class:`MixBatch`.
        layers: see :class:`MixBatch`.
        alpha: see :class:`MixBatch`.
        flow: see :class:`MixBatch`.
        select: see :class:`MixBatch`.
        num_classes: see :class:`MixBatch`.
        ignore_value: see :class:`MixBatch`.
        mask_key: key of binary masks (B, 1, spatial...) that go with the images; a batch may lack it.
        flag_key: key of the bool flags (B,) that ``FillMaskd`` writes; a batch may lack it.
        weight_key: key of the weights (B,) that ``BackMixWeightd`` writes; a batch may lack it.
        allow_missing_keys: do not raise when one of ``keys`` is missing from the batch.

    Raises:
        KeyError: when the batch lacks an image or the labels.
        ValueError: as :class:`MixBatch` does.

    Reference:
        Zhang et al., mixup, ICLR 2018; Verma et al., Manifold Mixup, ICML 2019; Chen et al., Flow-Mixup, BIBM 2020.

    Example:
        >>> import torch
        >>> batch = {"image": torch.rand(4, 1, 8, 8), "label": torch.tensor([0, 1, 1, 0])}
        >>> mixed = MixBatchd.mixup("image", num_classes=2)(batch)
        >>> mixed["image"].shape, mixed["label"].shape
        (torch.Size([4, 1, 8, 8]), torch.Size([4, 2]))
    """

    backend = MixBatch.backend

    @expects(
        keys=KEYS,
        label_key=KEY,
        **constraints_of(MixBatch),
        mask_key=KEY,
        flag_key=KEY,
        weight_key=KEY,
        allow_missing_keys=BOOL,
    )
    def __init__(
        self,
        keys: KeysCollection,
        label_key: Hashable = "label",
        network: torch.nn.Module | None = None,
        layers: Sequence[str] = (INPUT,),
        alpha: float = 1.0,
        flow: str = "append",
        select: str = "all",
        num_classes: int | None = None,
        mask_key: Hashable = "mask",
        flag_key: Hashable = "has_mask",
        weight_key: Hashable = "weight",
        allow_missing_keys: bool = False,
        ignore_value: float | Sequence[float] | None = None,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.label_key = label_key
        self.mask_key = mask_key
        self.flag_key = flag_key
        self.weight_key = weight_key
        self.transform = MixBatch(network, layers, alpha, flow, select, num_classes, ignore_value)

    @classmethod
    def mixup(cls, keys: KeysCollection, **options: Any) -> MixBatchd:
        """Mixup: images are mixed. ``options`` are other arguments of the class."""
        return cls(keys, layers=(INPUT,), flow="replace", **options)

    @classmethod
    def manifold_mixup(
        cls, keys: KeysCollection, network: torch.nn.Module, layers: Sequence[str], **options: Any
    ) -> MixBatchd:
        """Manifold Mixup: in each batch one state, drawn at random, is mixed."""
        return cls(keys, network=network, layers=layers, flow="replace", select="random", **options)

    @classmethod
    def flow_mixup(
        cls, keys: KeysCollection, network: torch.nn.Module, layers: Sequence[str], **options: Any
    ) -> MixBatchd:
        """Flow-Mixup: in each batch all states are mixed, and the mixed rows are appended to the un-mixed ones."""
        return cls(keys, network=network, layers=layers, flow="append", select="all", **options)

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups of rows that a batch has, in their order, for ``MixupLoss``."""
        return self.transform.groups

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> MixBatchd:
        """Seed the draws."""
        self.transform.set_random_state(seed, state)
        super().set_random_state(state=self.transform.R)
        return self

    def disarm(self) -> None:
        """Do not mix hidden states in the network's next training pass; needed if a mixed batch is dropped."""
        self.transform.disarm()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a shallow copy of the batch ``data`` with mixed images, labels and masks, and arm the network."""
        batch = dict(data)
        keys = list(self.key_iterator(batch))
        if not keys:
            return batch
        if self.label_key not in batch:
            raise KeyError(f"the batch has no {self.label_key!r}; it has {sorted(map(str, batch))}: set label_key.")
        n_samples = check_batch(batch[keys[0]], batch[self.label_key])
        self.transform.randomize(n_samples)
        for key in keys:
            batch[key] = self.transform.mix_input(batch[key])
        batch[self.label_key] = self.transform.mix_label(batch[self.label_key])
        for key, combine in ((self.mask_key, torch.maximum), (self.flag_key, torch.logical_and)):
            if key in batch:
                batch[key] = self.transform.mix_input(batch[key], combine)
        if self.weight_key in batch:
            batch[self.weight_key] = self.transform.mix_weight(batch[self.weight_key])
        self.transform.arm_network(n_samples, len(batch[keys[0]]))  # last, so that nothing stays armed after an error
        return batch


MixBatchD = MixBatchDict = MixBatchd
