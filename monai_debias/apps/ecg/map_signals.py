# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Dictionary versions of the transforms of signals: one transform for all keys, and one draw for all of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Randomizable, RandomizableTransform, Transform
from monai.utils import TransformBackends

from monai_debias.apps.ecg.signal import as_leads, like_signal, rate_of

__all__ = ["ascending"]  # the classes are for the modules beside this one


class MapSignals(MapTransform):
    """Apply a transform to the signals under some keys.

    Args:
        keys: keys of the signals.
        transform: what is done with each.
        allow_missing_keys: do not raise when a key is missing from a sample.
    """

    backend = [TransformBackends.NUMPY]

    def __init__(self, keys: KeysCollection, transform: Transform, allow_missing_keys: bool) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform: Any = transform

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a shallow copy of the sample ``data`` with the signals changed."""
        sample = dict(data)
        for key in self.key_iterator(sample):
            sample[key] = self.transform(sample[key])
        return sample


class MaskSignals(MapTransform):
    """Add the mask that a transform finds in the first of some signals that a sample has.

    Args:
        keys: keys of the signals, all with the heart in the same places.
        mask_key: key of the mask.
        transform: what makes a mask of a signal.
        allow_missing_keys: do not raise when the signal is missing from a sample.
    """

    backend = [TransformBackends.NUMPY]

    def __init__(
        self, keys: KeysCollection, mask_key: Hashable, transform: Transform, allow_missing_keys: bool
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.mask_key = mask_key
        self.transform: Any = transform

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a shallow copy of the sample ``data`` with a mask."""
        sample = dict(data)
        for key in self.key_iterator(sample):
            sample[self.mask_key] = self.transform(sample[key])
            break
        return sample


class RandSignal(RandomizableTransform, ABC):
    """A random change of a signal: ``draw`` decides what it is, ``change`` does it.

    Args:
        prob: probability that a signal is changed.
        sampling_rate: samples per second of signals whose meta does not have it.
    """

    backend = [TransformBackends.NUMPY]

    def __init__(self, prob: float, sampling_rate: float | None = None) -> None:
        super().__init__(prob)
        self.sampling_rate = sampling_rate
        self._drawn_for: tuple[int, ...] = ()

    @abstractmethod
    def draw(self, n_leads: int, n_samples: int) -> None:
        """Draw the parameters of the change for a signal of this shape."""

    @abstractmethod
    def change(self, leads: np.ndarray, signal: NdarrayOrTensor) -> np.ndarray:
        """Return the leads, (leads, samples), as they were drawn to become; ``signal`` has their meta."""

    def randomize(self, data: NdarrayOrTensor) -> None:
        """Decide whether to change a signal, and draw how.

        Args:
            data: the signal, (leads, samples).
        """
        super().randomize(None)
        if self._do_transform:
            self._drawn_for = tuple(data.shape)
            self.draw(*self._drawn_for)

    def __call__(self, img: NdarrayOrTensor, randomize: bool = True) -> NdarrayOrTensor:
        """Change a signal.

        Args:
            img: the signal, shape (leads, samples).
            randomize: whether to draw again, or to repeat the last draw.

        Raises:
            ValueError: if it has another shape, or not that of the draw to repeat, or its rate is needed and unknown.
        """
        leads = as_leads(img)
        if randomize:
            self.randomize(leads)
        if not self._do_transform:
            return img
        if leads.shape != self._drawn_for:
            raise ValueError(
                f"a change that was drawn for a signal of shape {self._drawn_for} does not fit one of {leads.shape}: "
                "keys that share a draw need one shape; give each its own transform."
            )
        return like_signal(self.change(leads, img), img)

    def rate(self, signal: NdarrayOrTensor) -> float:
        """Samples per second of a signal."""
        return rate_of(signal, self.sampling_rate)


class RandMapSignals(MapSignals, Randomizable):
    """Apply a random transform, with the same draw, to the signals under some keys."""

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> RandMapSignals:
        """Seed the transform; see ``monai.transforms.Randomizable``."""
        super().set_random_state(seed, state)
        self.transform.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a shallow copy of the sample ``data`` with the signals changed."""
        sample = dict(data)
        for number, key in enumerate(self.key_iterator(sample)):
            sample[key] = self.transform(sample[key], randomize=number == 0)
        return sample


def ascending(name: str, ends: Sequence[float]) -> tuple[float, float]:
    """Return the ends of a range from which something is drawn.

    Args:
        name: of the argument.
        ends: the lowest and the highest value.

    Raises:
        ValueError: if they decrease.
    """
    low, high = (float(end) for end in ends)
    if low > high:
        raise ValueError(f"{name} are {low:g} and {high:g}, expected the smaller one first.")
    return low, high
