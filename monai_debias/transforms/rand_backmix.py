# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""BackMix as an augmentation: the region of interest stays, the background comes from an image drawn at random.

Bransby et al., "BackMix: Mitigating Shortcut Learning in Echocardiography with Minimal Supervision", MICCAI 2024.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Randomizable, RandomizableTransform
from monai.utils import TransformBackends

from monai_debias.constraints import ANY, BOOL, KEY, KEYS, NONE, Instance, MappingOf, Number, OneOf, SequenceOf
from monai_debias.data.donors import Donors
from monai_debias.masks import as_binary_mask
from monai_debias.parameters import constraints_of, expects
from monai_debias.pixels import as_pixels, refuse_overflow
from monai_debias.transforms.background import backmix, replace_background

__all__ = ["RandBackMix", "RandBackMixD", "RandBackMixDict", "RandBackMixd"]

BACKGROUNDS = ("donor", "black", "noise", "shuffle", "dim")


class RandBackMix(RandomizableTransform):
    """Randomly replace the background of an image: BackMix, or one of the ablations that its paper compares with.

    Args:
        prob: probability that a sample is changed; 1 in the paper.
        background: what the new background is:

            - ``"donor"``: BackMix, the background of another image, see :func:`backmix`;
            - ``"black"``: 0;
            - ``"noise"``: uniform noise in ``noise_range``;
            - ``"shuffle"``: the image's own background pixels in random order (all channels of a pixel together);
            - ``"dim"``: the image's own background times ``dim_factor`` (the paper's "bokeh").
        noise_range: lowest and highest value of ``"noise"``, in the units of the image; the default is the paper's
            0 to 30 of 255 for images scaled to [0, 1].
        dim_factor: factor of ``"dim"``, finite and 0 or more, 0.74 in the paper.

    Raises:
        ValueError: when ``prob`` is not in [0, 1], ``background`` is unknown, ``noise_range`` is not finite and
            increasing, or ``dim_factor`` is negative or not finite; in a call, as :func:`backmix`, and when the image
            is one of integers and ``noise_range`` has fewer than two of them, or values that its dtype cannot hold.

    Reference:
        Bransby et al., MICCAI 2024.

    Example:
        >>> import torch
        >>> image, mask = torch.ones(1, 4, 4), torch.zeros(1, 4, 4)
        >>> mask[:, 1:3, 1:3] = 1
        >>> RandBackMix(background="black")(image, mask).sum()
        tensor(4.)
    """

    backend = [TransformBackends.TORCH, TransformBackends.NUMPY]

    @expects(
        prob=Number("[0, 1]"),
        background=OneOf(*BACKGROUNDS),
        noise_range=SequenceOf(Number(), length=2),
        dim_factor=Number("[0, inf)"),
    )
    def __init__(
        self,
        prob: float = 1.0,
        background: str = "donor",
        noise_range: Sequence[float] = (0.0, 30.0 / 255.0),
        dim_factor: float = 0.74,
    ) -> None:
        if not noise_range[0] < noise_range[1]:
            raise ValueError(f"noise_range must be (low, high) with low < high, got {tuple(noise_range)}.")
        RandomizableTransform.__init__(self, prob)
        self.background = background
        self.noise_range = (float(noise_range[0]), float(noise_range[1]))
        self.dim_factor = float(dim_factor)
        self._drawn: np.ndarray | None = None

    def randomize(self, data: Any = None) -> None:
        """Decide whether to transform, and draw the random numbers that the background needs.

        Args:
            data: the pair (image, mask) that a background is drawn for; only ``"noise"`` and ``"shuffle"`` look at it.
        """
        super().randomize(None)
        self._drawn = None
        if not self._do_transform:
            return
        if self.background == "noise":
            self._drawn = self.R.uniform(*self.noise_range, size=tuple(data[0].shape))
        elif self.background == "shuffle":
            self._drawn = self.R.permutation(int(_outside(*data).sum()))

    def __call__(
        self,
        img: NdarrayOrTensor,
        mask: NdarrayOrTensor,
        donor_img: NdarrayOrTensor | None = None,
        donor_mask: NdarrayOrTensor | None = None,
        randomize: bool = True,
    ) -> NdarrayOrTensor:
        """Replace the background of ``img``.

        Args:
            img: channel-first image, (C, spatial...).
            mask: binary mask, (1, spatial...) or (C, spatial...), 1 = region of interest.
            donor_img: donor image of the shape of ``img``; needed for ``background="donor"`` only.
            donor_mask: binary mask of the donor; needed for ``background="donor"`` only.
            randomize: whether to draw again, or to repeat the last draw.

        Raises:
            ValueError: when a donor is needed and missing; and as :func:`backmix` does.
        """
        if randomize:
            self.randomize((img, mask))
        if not self._do_transform:
            return img
        if self.background == "donor":
            if donor_img is None or donor_mask is None:
                raise ValueError(
                    'background="donor" needs both donor_img and donor_mask, but at least one of them is None.'
                )
            return backmix(img, mask, donor_img, donor_mask)
        return replace_background(img, mask, self._ablation(as_pixels(img), mask))

    def _ablation(self, image: torch.Tensor, mask: NdarrayOrTensor) -> torch.Tensor | float:
        """The background of an ablation."""
        if self.background == "black":
            return 0.0
        if self.background == "dim":
            return image * self.dim_factor
        if self._drawn is None:
            raise RuntimeError("no background was drawn yet: call with randomize=True first.")
        if self.background == "noise":
            return self._noise(image)
        outside = _outside(image, mask).flatten()
        places = torch.arange(len(outside), device=image.device)
        places[outside] = places[outside][torch.as_tensor(self._drawn, device=image.device)]
        return image.flatten(1)[:, places].reshape(image.shape)

    def _noise(self, image: torch.Tensor) -> torch.Tensor:
        # the range itself, since what is drawn of it may fit by chance
        refuse_overflow(torch.tensor(self.noise_range), image.dtype, "noise_range")
        if image.is_floating_point():
            return torch.as_tensor(self._drawn, dtype=image.dtype, device=image.device)
        low, high = (round(limit) for limit in self.noise_range)
        if low == high:
            raise ValueError(
                f"noise_range {self.noise_range} has no two integers for an image of {image.dtype}: give it in the "
                "units of the image, e.g. (0, 30) of 255."
            )
        return torch.as_tensor(self._drawn, device=image.device)


class RandBackMixd(MapTransform, Randomizable):
    """Dictionary version of :class:`RandBackMix`, which draws its donor from a data set.

    Put it after the random spatial transforms (which move image and mask together) and before the normalisation. Donors
    are drawn uniformly from all samples of ``donors`` that have a mask: any class, possibly the sample itself. They are
    used as ``donors`` returns them: with a data set of cached samples, without augmentation, no file is decoded twice.
    Use MONAI's DataLoader, which seeds every worker differently (with torch's, all workers draw the same donors).

    Samples in memory are all checked here; those of a data set that reads from the disk, when they are drawn, so that a
    large one costs nothing to begin with. A sample that turns out to have no mask is passed over. Where few have one,
    leave out the others with :func:`~monai_debias.data.donors.possible_donors`, which reads no file.

    A sample without a mask (no ``mask_key``, or None under it) passes unchanged and never donates: this is the
    semi-supervised BackMix, which the paper found to work with masks for 5 % of the training images.

    Args:
        keys: keys of the images; all get the background of the same donor.
        mask_key: key of the binary mask, shape (1, spatial...), 1 = region of interest.
        donors: sequence or MONAI ``Dataset`` of samples with the same keys. Needed for ``background="donor"``; ignored
            for the ablations.
        prob: probability that a sample with a mask is changed; 1 in the paper.
        background: ``"donor"`` (BackMix) or an ablation: ``"black"``, ``"noise"``, ``"shuffle"`` or ``"dim"``.
        noise_range: see :class:`RandBackMix`.
        dim_factor: see :class:`RandBackMix`.
        allow_missing_keys: do not raise when one of ``keys`` is missing from a sample.

    Raises:
        ValueError: when no donor has a mask; when a mask is not binary, zero everywhere or of another shape than its
            image; when two donors, or a sample and its donor, differ in size or channel count; in a call, for NaN or
            infinite values.
        RuntimeError: when a donor cannot be read.

    Reference:
        Bransby et al., MICCAI 2024.

    Example:
        >>> import torch
        >>> mask = torch.zeros(1, 8, 8, dtype=torch.uint8)
        >>> mask[:, 2:6, 2:6] = 1
        >>> samples = [{"image": torch.rand(1, 8, 8), "mask": mask, "label": i % 2} for i in range(4)]
        >>> mix = RandBackMixd(keys="image", mask_key="mask", donors=samples).set_random_state(seed=0)
        >>> mixed = mix(samples[0])
        >>> bool((mixed["image"][0, 2:6, 2:6] == samples[0]["image"][0, 2:6, 2:6]).all())
        True
    """

    backend = RandBackMix.backend

    @expects(
        keys=KEYS,
        mask_key=KEY,
        donors=NONE | SequenceOf(MappingOf(ANY)) | Instance(torch.utils.data.Dataset),
        **constraints_of(RandBackMix),
        allow_missing_keys=BOOL,
    )
    def __init__(
        self,
        keys: KeysCollection,
        mask_key: Hashable = "mask",
        donors: Sequence[Mapping[Hashable, Any]] | torch.utils.data.Dataset | None = None,
        prob: float = 1.0,
        background: str = "donor",
        noise_range: Sequence[float] = (0.0, 30.0 / 255.0),
        dim_factor: float = 0.74,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.mask_key = mask_key
        self.transform = RandBackMix(prob, background, noise_range, dim_factor)
        self.donors = _donors(donors, self.keys, mask_key) if background == "donor" else None
        self._donor: Mapping[Hashable, Any] = {}

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> RandBackMixd:
        """Seed the choice of donors and the random backgrounds; see ``monai.transforms.Randomizable``."""
        super().set_random_state(seed, state)
        self.transform.set_random_state(seed, state)
        return self

    def randomize(self, data: Any = None) -> None:
        """Draw a donor and the random numbers that the background needs.

        Args:
            data: the pair (image, mask) of the sample; see :meth:`RandBackMix.randomize`.
        """
        self.transform.randomize(data)
        if self.donors is not None and self.transform._do_transform:
            self._donor = self.donors.draw(self.R)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a shallow copy of the sample ``data`` with new backgrounds; see the class for shapes and errors."""
        d = dict(data)
        mask = d.get(self.mask_key)
        keys = list(self.key_iterator(d))
        if mask is None or not keys:
            return d
        self.randomize((d[keys[0]], mask))
        if not self.transform._do_transform:
            return d
        donor, self._donor = self._donor, {}  # it is not kept, nor copied into workers
        for key in keys:
            d[key] = self.transform(d[key], mask, donor.get(key), donor.get(self.mask_key), randomize=False)
        return d


RandBackMixD = RandBackMixDict = RandBackMixd


def _donors(samples: Any, keys: Sequence[Hashable], mask_key: Hashable) -> Donors:
    if samples is None:
        raise ValueError('background="donor" needs donors: the training data set, or a sequence of its samples.')
    return Donors(samples, keys, mask_key)


def _outside(image: NdarrayOrTensor, mask: NdarrayOrTensor) -> torch.Tensor:
    """Where a pixel belongs to no channel's region of interest: boolean, of the spatial shape."""
    return ~as_binary_mask(mask, image.shape).any(0).to(as_pixels(image).device)
