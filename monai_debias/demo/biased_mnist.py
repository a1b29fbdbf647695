# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Biased MNIST: the real digits with a mark outside the digit whose place tells the class."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from monai_debias.constraints import SEED, Number, OneOf
from monai_debias.data.mnist import load_mnist
from monai_debias.parameters import constraints_of, expects

__all__ = ["BiasedMNIST", "load_biased_mnist"]

_CLASSES = 10
_RING = 2  # free pixels on each side of the 28 × 28 digit, and the size of the mark
_SIZE = 28 + 2 * _RING


class BiasedMNIST(NamedTuple):
    """Images with all that training and evaluation need to know about them, in the order of MNIST."""

    image: torch.Tensor
    """(N, 1, 32, 32), float32, in [0, 1]."""
    label: torch.Tensor
    """The digit, (N,), int64."""
    mask: torch.Tensor
    """1 on the digit, with all its pixels, and next to it; (N, 1, 32, 32), uint8."""
    cue: torch.Tensor
    """The class that the mark names, -1 where there is no mark; (N,), int64."""

    def items(self) -> list[dict[str, Any]]:
        """Return a datalist: a dict of ``image`` and ``mask`` (1, 32, 32) and ``label`` for each digit."""
        # clones: a copy of a view, as in a cache or a worker, would include the tensor of all images
        images, masks = ([part.clone() for part in parts] for parts in (self.image, self.mask))
        return [
            {"image": image, "label": label, "mask": mask}
            for image, label, mask in zip(images, self.label.tolist(), masks, strict=True)
        ]


@expects(
    **constraints_of(load_mnist),
    bias=Number(f"[{1 / _CLASSES}, 1]"),
    cue=OneOf("same", "none", "deceiving"),
    seed=SEED,
)
def load_biased_mnist(section: str, bias: float = 1.0, cue: str = "same", seed: int = 0) -> BiasedMNIST:
    """Return MNIST with a planted shortcut, after the biased MNIST of the ISNet papers (Bassi et al. 2024).

    The digits are padded to 32 × 32 pixels. In the ring that this adds, where no digit reaches, a white square of 2 × 2
    pixels names a class by its place: down the left edge for 0 to 4, down the right edge for 5 to 9. Outside the mask
    there is nothing but the mark.

    ===============  ==================================================================================
    ``cue``          the mark names
    ===============  ==================================================================================
    ``"same"``       the image's own class for the share ``bias`` of each class's images, for the rest
                     one of the nine others, in equal parts
    ``"none"``       nothing: there is no mark
    ``"deceiving"``  the next class, (label + 1) mod 10
    ===============  ==================================================================================

    Digits, labels and masks depend on the section only, so that test sets with different cues are paired.

    Args:
        section: ``"training"`` (50,000 images), ``"validation"`` (10,000) or ``"test"`` (10,000).
        bias: share of own-class marks, from 0.1 (chance: the mark says nothing about the class) to 1; for ``"same"``.
        cue: ``"same"``, ``"none"`` or ``"deceiving"``.
        seed: decides which images get another class's mark, and whose, when ``bias`` is below 1.

    Returns:
        The named tuple (image, label, mask, cue); its ``items()`` are a MONAI datalist.

    Raises:
        ValueError: when the section or the cue is unknown, or bias or seed out of range.
        ModuleNotFoundError: when the package with the digits is not installed, see :func:`load_mnist`.

    Example:
        >>> from monai.data import Dataset
        >>> test = load_biased_mnist("test", cue="deceiving")
        >>> test.image.shape, test.label[:3].tolist(), test.cue[:3].tolist()
        (torch.Size([10000, 1, 32, 32]), [7, 2, 1], [8, 3, 2])
        >>> sorted(Dataset(test.items())[0])
        ['image', 'label', 'mask']
    """
    digits, labels = load_mnist(section)
    if cue == "same":
        cues = _own_class_cues(labels, bias, seed)
    else:
        cues = (labels + 1) % _CLASSES if cue == "deceiving" else torch.full_like(labels, -1)
    # Dilated within the digit's own frame, since some digits touch its edge: so the ring stays free of the mask.
    masks = F.max_pool2d((digits > 0).float(), 3, stride=1, padding=1).byte()
    images = F.pad(digits, (_RING,) * 4)
    images[:, 0] += torch.cat([_marks(), torch.zeros(1, _SIZE, _SIZE)])[cues]  # -1, no mark, is the last one
    return BiasedMNIST(images, labels, F.pad(masks, (_RING,) * 4), cues)


def _marks() -> torch.Tensor:
    """The mark of each class, (10, 32, 32)."""
    marks = torch.zeros(_CLASSES, _SIZE, _SIZE)
    for label in range(_CLASSES):
        side, place = divmod(label, _CLASSES // 2)
        row = round(place * (_SIZE - _RING) / (_CLASSES // 2 - 1))
        column = side * (_SIZE - _RING)
        marks[label, row : row + _RING, column : column + _RING] = 1
    return marks


def _own_class_cues(labels: torch.Tensor, bias: float, seed: int) -> torch.Tensor:
    """The labels with the share 1 − bias of each class replaced by the other classes, in equal parts."""
    rng = np.random.default_rng(seed)
    cues = labels.numpy().copy()
    for label in range(_CLASSES):
        rows = rng.permutation(np.flatnonzero(labels.numpy() == label))
        rest = rows[round(bias * len(rows)) :]
        cues[rest] = np.resize(rng.permutation(np.delete(np.arange(_CLASSES), label)), len(rest))
    return torch.from_numpy(cues)
