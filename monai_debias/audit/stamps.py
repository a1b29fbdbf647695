# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
r"""Places that show the very same picture in several patients: a stamp, since nothing in a body repeats exactly.

At the place of a marker, of the text on a screen or of a calibration pulse there are a few different pictures, and each
recurs. Anatomy differs from patient to patient, a little or much, without a gap between the two. The distance of images
i and j at a place with pixels P is

.. math:: d_{ij} = \sqrt{\frac{1}{|P|} \sum_{p \in P} (x_{ip} - x_{jp})^2} \; / \; s,

s the standard deviation of all pixels of all images. Images that a chain of distances up to ε connects are a group. A
group *recurs* if it has a few patients and no two of its images are further apart than 3 ε: a chain without gaps
through all brightnesses is longer. A place shows stamps if, for one of a few ε, several groups recur, the largest one
is among them, and so are the groups of nearly all other images. ε is above the noise of a stamp, and below what tells
it from another one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from monai.networks.layers import Pool
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist, squareform

from monai_debias.audit.boxes import GRID, Box, boxes_of, halves
from monai_debias.audit.subject import Subject

__all__ = ["shows_stamps", "stamped_boxes"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_NEAR = (0.1, 0.2, 0.4)  # ε, in standard deviations of all pixels
_NEARLY_ALL = 0.9  # of the images outside of the largest group
_PATIENTS = 3  # of a group that recurs
_POSITIONS = 4  # of a box of the grid along each dimension, to which images are averaged


def stamped_boxes(subject: Subject, rows: Ints) -> tuple[list[Box], int]:
    """The places that show stamps: boxes of a grid, cut in two along each dimension where images are large enough.

    Args:
        subject: the images; neither their labels nor the network are looked at.
        rows: which images.

    Returns:
        The boxes with stamps, and how many boxes there are that are not the same in all images.
    """
    small = np.concatenate(subject.in_batches(rows, lambda part: _averaged(subject.images(part))))
    spread, patients = float(small.std()), subject.patients[rows]
    found, n_changing = [], 0
    for box, place in _places(subject.size[1:], small.shape[2:]):
        inside = (slice(None), slice(None), *(slice(*side) for side in place))
        content = small[inside].reshape(len(small), -1)
        if _changes(content, spread):
            n_changing += 1
            if shows_stamps(content, patients, spread):
                found.append(box)
    return found, n_changing


def shows_stamps(content: Floats, patients: Ints, spread: float) -> bool:
    """Whether nearly all images show one of a few pictures.

    Args:
        content: the values of a place in each image, (N, P).
        patients: number of the patient of each image, (N,).
        spread: s, the standard deviation of all pixels of all images.

    Example:
        >>> marks = np.repeat([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], 10, axis=0)
        >>> shows_stamps(marks, np.arange(30), 0.5)
        True
        >>> shows_stamps(np.linspace(0, 1, 30)[:, None], np.arange(30), 0.5)
        False
    """
    distances = pdist(content) / (content.shape[1] ** 0.5 * spread)
    tree, apart = linkage(distances, "single"), squareform(distances)
    return any(_recur(fcluster(tree, near, "distance") - 1, apart <= 3 * near, patients) for near in _NEAR)


def _recur(group: Ints, close: NDArray[np.bool_], patients: Ints) -> bool:
    """Whether the largest group, another one, and those of nearly all images outside of the largest recur."""
    sizes = np.bincount(group)
    recurs = np.zeros(len(sizes), bool)
    for g in np.flatnonzero(sizes >= _PATIENTS):
        members = np.flatnonzero(group == g)
        recurs[g] = len(np.unique(patients[members])) >= _PATIENTS and bool(close[np.ix_(members, members)].all())
    largest = sizes.argmax()
    others = group[group != largest]
    return bool(len(others) and recurs[largest] and recurs[others].mean() >= _NEARLY_ALL)


def _places(size: tuple[int, ...], averaged: tuple[int, ...]) -> Iterator[tuple[Box, Box]]:
    """The places of images of a size, and the same in the averaged images."""
    for box, small_box in zip(boxes_of(size), boxes_of(averaged), strict=True):
        if all(end - start >= _POSITIONS for start, end in small_box):
            yield from zip(halves(box), halves(small_box), strict=True)
        else:
            yield box, small_box


def _changes(content: Floats, spread: float) -> bool:
    """Whether an image is further than the smallest ε from the middle of all."""
    return bool(((content - np.median(content, 0)) ** 2).mean(1).max() > (_NEAR[0] * spread) ** 2)


def _averaged(images: torch.Tensor) -> Floats:
    """Images with a few positions in each box of the grid."""
    n = images.ndim - 2
    size = [min(side, _POSITIONS * GRID[n]) for side in images.shape[2:]]
    return Pool[Pool.ADAPTIVEAVG, n](size)(images).double().numpy()
