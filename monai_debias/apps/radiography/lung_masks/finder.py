# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Finds the lungs in a film of any size, and says how far to trust the mask."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from monai.metrics import compute_dice
from numpy.typing import NDArray

from monai_debias.apps.radiography.lung_masks.network import lung_network, prepare_film
from monai_debias.apps.radiography.lung_masks.pieces import doubts_about, two_pieces
from monai_debias.apps.radiography.reader import RadiographReader
from monai_debias.constraints import NONE, PATH
from monai_debias.data.found_masks.finder import FoundMask
from monai_debias.handlers.checkpoint_files import read_checkpoint, read_record
from monai_debias.parameters import expects

__all__ = ["DEMO_WEIGHTS", "LungFinder"]

#: the weights that the package brings, trained on its semi-synthetic cohort; see bundles/lung_mask
DEMO_WEIGHTS = Path(__file__).with_name("demo_weights.pt")
TASK = "lung masks"  # in the record of a model
_SHIFTS = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))  # times a 25th of the film, down and across


class LungFinder:
    """Finds the lungs in frontal chest films.

    The network sees a film six times: as it is, shifted by 4 % in each direction, and flipped. The mask is where the
    mean of the probabilities is above 0.5, of which the two largest pieces count, without holes. The confidence is how
    much the six masks agree with it (mean Dice). The mask is usable if nothing speaks against it, see
    :func:`~monai_debias.apps.radiography.lung_masks.pieces.doubts_about`.

    Args:
        checkpoint: weights that ``bundles/lung_mask`` trained; None for those of the package. These were trained on
            the semi-synthetic cohort, and are not for clinical use.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, or of another network.

    Example:
        >>> film = torch.zeros(1, 200, 160)
        >>> film[:, 20:180, 8:152] = 0.8
        >>> film[:, 40:150, 24:70] = film[:, 40:150, 90:136] = 0.2  # two dark boxes in a bright one
        >>> found = LungFinder().find(film)
        >>> found.mask.shape, 0 <= found.confidence <= 1
        ((200, 160), True)
    """

    @expects(checkpoint=NONE | PATH)
    def __init__(self, checkpoint: str | os.PathLike | None = None) -> None:
        path = DEMO_WEIGHTS if checkpoint is None else Path(checkpoint).expanduser()
        self.signature = f"lungs {hashlib.sha256(path.read_bytes()).hexdigest()}"
        self._network = lung_network()
        weights, record = read_checkpoint(path), read_record(path) or {}
        if record.get("task") != TASK or weights.keys() != self._network.state_dict().keys():
            raise ValueError(f"{path} is not a model.pt of bundles/lung_mask.")
        self._network.load_state_dict(weights)
        self._network.eval()
        self._reader = RadiographReader()
        self._resize, self._pad, self._normalize = prepare_film(max(record["image_size"])).transforms

    def load(self, path: Path) -> torch.Tensor:
        """Read a film.

        Args:
            path: the file.

        Returns:
            (1, rows, columns) in [0, 1].
        """
        film, _ = self._reader.get_data(self._reader.read(path))
        return torch.from_numpy(film)[None]

    def find(self, image: torch.Tensor) -> FoundMask:
        """Find the lungs.

        Args:
            image: a film, (1, rows, columns), in [0, 1].

        Raises:
            ValueError: if there is nothing that looks like a lung.
        """
        small = self._resize(torch.as_tensor(image))
        square = self._normalize(self._pad(small)).as_subclass(torch.Tensor)
        views = self._views(square[None])
        mean = views.mean(0)
        if not (mean > 0.5).any():
            raise ValueError("no lungs were found.")
        pieces = two_pieces(mean.numpy())
        mask = torch.from_numpy(pieces.mask)
        agreement = float(compute_dice((views > 0.5)[:, None], mask.expand(len(views), 1, -1, -1)).mean())
        tidy = torch.where(mask, mean.clamp(min=0.51), mean.clamp(max=0.49))
        doubts = doubts_about(pieces, agreement)
        return FoundMask(
            _to_film(tidy, small.shape[1:], image.shape[1:]), "network", agreement, "; ".join(doubts), not doubts
        )

    @torch.no_grad()
    def _views(self, square: torch.Tensor) -> torch.Tensor:
        """Probabilities of each view of a film, brought back to where they belong, (views, rows, columns)."""
        shifts = [[step * square.shape[-1] // 25 for step in shift] for shift in _SHIFTS]
        views = torch.cat([*(square.roll(shift, (2, 3)) for shift in shifts), square.flip(3)])
        *shifted, flipped = self._network(views)[:, 0].sigmoid()
        back = [view.roll((-down, -across), (0, 1)) for view, (down, across) in zip(shifted, shifts, strict=True)]
        return torch.stack([*back, flipped.flip(1)])


def _to_film(square: torch.Tensor, inner: torch.Size, size: torch.Size) -> NDArray[np.bool_]:
    """Leave out the padding of the square, and return where the film's size is above 0.5."""
    top, left = ((len(square) - length) // 2 for length in inner)
    inside = square[top : top + inner[0], left : left + inner[1]]
    film = F.interpolate(inside[None, None], tuple(size), mode="bilinear", align_corners=False)
    return (film[0, 0] > 0.5).numpy()
