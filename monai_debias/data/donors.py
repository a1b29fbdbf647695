# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The samples that give other images their backgrounds: read when they are drawn, unless they are in memory."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from monai.data import CacheDataset
from torch.utils.data import ConcatDataset, Dataset, Subset

from monai_debias.constraints import ANY, KEY, NONE, Instance, MappingOf, SequenceOf
from monai_debias.masks import as_binary_mask
from monai_debias.origin import file_names, from_files
from monai_debias.parameters import expects

__all__ = ["Donors", "possible_donors"]

logger = logging.getLogger(__name__)

_MANY = 100  # samples read without finding a mask, after which the log says so


class Donors:
    """Samples with masks, to draw from.

    All samples that are in memory (a list, or a ``CacheDataset`` that holds every sample) are checked here. Samples of
    any other data set are read and checked when they are drawn; here they are only read up to the first with a mask.
    A sample that turns out to have no mask is drawn no more.

    Args:
        samples: sequence or data set of samples with arrays or tensors.
        keys: keys of the images (C, spatial...); a key that a sample lacks is skipped.
        mask_key: key of the masks (1, spatial...).

    Raises:
        ValueError: when no sample has a mask; here or on drawing, when a mask is not binary, 0 everywhere or of another
            shape than its image, or when two samples differ in size or number of channels. It names the samples and
            their files.
        RuntimeError: here or on drawing, when a sample cannot be read.
        TypeError: here or on drawing, when a sample is not a mapping.

    Example:
        >>> import torch
        >>> image, mask = torch.rand(1, 4, 4), torch.ones(1, 4, 4)
        >>> donors = Donors([{"image": image}, {"image": image, "mask": mask}], ["image"], "mask")
        >>> sorted(donors.draw(np.random.RandomState(0)))
        ['image', 'mask']
    """

    def __init__(self, samples: Any, keys: Sequence[Hashable], mask_key: Hashable) -> None:
        self.samples, self.keys, self.mask_key = samples, tuple(keys), mask_key
        self.in_memory = _in_memory(samples)
        self._first: tuple[str, list[tuple[int, ...]]] | None = None
        self._indices: Sequence[int] = range(len(samples))
        self._without: set[int] = set()
        if self.in_memory:
            self._indices = [index for index in self._indices if self._read(index) is not None]
        else:
            next((index for index in self._indices if self._read(index) is not None), None)
        if self._first is None:
            keys_told = f" (the first has {sorted(map(str, samples[0]))})" if len(samples) else ""
            raise ValueError(
                f"none of the {len(samples)} donors has a mask under the key {mask_key!r}{keys_told}: BackMix needs "
                "masks for at least some of the training images, e.g. from LoadMaskd."
            )

    def draw(self, random: np.random.RandomState) -> Mapping[Hashable, Any]:
        """Draw a sample, with the same probability for all that have a mask.

        Args:
            random: where the random numbers come from. How many it gives does not depend on what was drawn before, so
                that workers, and trainings that resume, draw the same samples.
        """
        while True:
            index = self._indices[random.randint(len(self._indices))]
            if self.in_memory:  # checked already
                return self.samples[index]
            sample = None if index in self._without else self._read(index)
            if sample is not None:
                return sample

    def _read(self, index: int) -> Mapping[Hashable, Any] | None:
        """A sample, checked; None if it has no mask."""
        try:
            sample = self.samples[index]
        except Exception as error:  # whatever a reader raises
            raise RuntimeError(f"donor {index} cannot be read: {error.__cause__ or error}") from error
        if not isinstance(sample, Mapping):
            keys = ", ".join(map(repr, (*self.keys, self.mask_key)))
            raise TypeError(f"donor {index} is a {type(sample).__name__}, expected a mapping with the keys {keys}.")
        if sample.get(self.mask_key) is None:
            self._without.add(index)
            if self._first is None and len(self._without) == _MANY:
                logger.warning("none of the first %d donors has a mask; looking for one among the others", _MANY)
            return None
        self._check(index, sample)
        return sample

    def _check(self, index: int, sample: Mapping[Hashable, Any]) -> None:
        images = [sample[key] for key in self.keys if key in sample]
        shapes = [tuple(image.shape) for image in images]
        name = f"donor {index}{from_files([file for image in images for file in file_names(image)])}"
        for shape in shapes:
            as_binary_mask(sample[self.mask_key], shape, f"the mask of {name}")
        self._first = self._first or (name, shapes)
        if shapes != self._first[1]:
            raise ValueError(
                f"{self._first[0]} has images of shape {self._first[1]}, and {name} of {shapes}: bring all samples to "
                "one size and number of channels, e.g. with Resized."
            )


@expects(samples=Instance(Dataset) | SequenceOf(MappingOf(ANY)), mask_key=NONE | KEY, flag_key=KEY)
def possible_donors(samples: Any, mask_key: Hashable | None, flag_key: Hashable = "use_mask") -> Any:
    """Leave out the samples of a data set that cannot have a mask, as their items in the datalist say; reads none.

    Args:
        samples: MONAI's ``Dataset`` or a class derived from it, whose ``data`` are the items, or torch's ``Subset`` or
            ``ConcatDataset`` of such; samples in memory stay as they are.
        mask_key: key of the file of a mask in the items; None if masks are found in the images.
        flag_key: key of the flag of :func:`~monai_debias.data.splits.keep_mask_fraction`; an item without it may use
            its mask.

    Returns:
        The other samples, in their order, as a data set.

    Raises:
        TypeError: when the data set has no list of items.
        ValueError: when no item has a mask.

    Example:
        >>> from monai.data import Dataset
        >>> items = [{"image": "a.png", "mask": "a_mask.png"}, {"image": "b.png"}]
        >>> len(possible_donors(Dataset(items), "mask"))
        1
    """
    if isinstance(samples, Sequence):
        return samples
    items = _items(samples)
    if not isinstance(items, Sequence) or not all(isinstance(item, Mapping) for item in items):
        raise TypeError(
            f"the items of a {type(samples).__name__} are not known: expected a data set of MONAI, whose data is a "
            "list of mappings, or a Subset or ConcatDataset of such."
        )
    chosen = [
        index
        for index, item in enumerate(items)
        if item.get(flag_key, True) and (mask_key is None or item.get(mask_key) is not None)
    ]
    if not chosen:
        raise ValueError(
            f"none of the {len(items)} items of the training has a mask"
            + ("" if mask_key is None else f" under {mask_key!r}")
            + ": BackMix needs masks for at least some of the training images; add their files to the datalist."
        )
    return samples if len(chosen) == len(items) else Subset(samples, chosen)


def _items(samples: Any) -> Any:
    """What a data set makes its samples of, in their order; None if that is not known."""
    if isinstance(samples, Subset):
        items = _items(samples.dataset)
        return None if items is None else [items[index] for index in samples.indices]
    if isinstance(samples, ConcatDataset):
        parts = [_items(part) for part in samples.datasets]
        return None if any(part is None for part in parts) else [item for part in parts for item in part]
    items = getattr(samples, "data", None)
    return _items(items) if isinstance(items, Dataset) else items  # one on top of another, as from prepared_dataset


def _in_memory(samples: Any) -> bool:
    """Whether a sample costs nothing to look at."""
    while isinstance(samples, Subset):
        samples = samples.dataset
    if isinstance(samples, CacheDataset):
        return samples.runtime_cache in (False, None) and samples.cache_num == len(samples.data)
    return isinstance(samples, Sequence)
