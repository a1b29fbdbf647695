# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Draw on a film what its hospital leaves there, and never on the lungs."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from monai_debias.demo.cxr.chest_ct import Field
from monai_debias.demo.cxr.hospitals import Hospital, Place

__all__ = ["add_markers"]

_FINER = 3  # the layers are drawn that much larger, then reduced


def add_markers(film: Field, mask: NDArray[np.uint8], hospital: Hospital, rng: np.random.Generator) -> Field:
    """Draw shutters, electrodes and letters.

    Args:
        film: (rows, columns), in [0, 1]; square.
        mask: 1 on the lungs, same shape; there and two pixels around them the film stays as it is.
        hospital: what to draw.
        rng: decides about places, widths and brightness.

    Returns:
        A new film of the same shape, in [0, 1].
    """
    free = 1 - ndimage.binary_dilation(mask, iterations=2).astype(np.float32)
    marked = film.copy()
    for opaque, brightness in (
        (_electrodes(len(film), hospital, rng), rng.uniform(0.75, 0.95)),
        (_shutters(mask, hospital, rng), 0.0),
        (_letters(len(film), hospital, rng), rng.uniform(0.9, 1.0)),
    ):
        marked += (np.float32(brightness) - marked) * opaque * free
    return marked


def _electrodes(size: int, hospital: Hospital, rng: np.random.Generator) -> Field:
    """Discs with a metal snap over the shoulders or below the lungs, each with a lead to the border of the film."""
    image, draw = _canvas(size)
    for _ in range(rng.integers(hospital.electrodes[0], hospital.electrodes[1] + 1)):
        left = bool(rng.random() < 0.5)
        x, y = rng.uniform(0.06, 0.2), rng.uniform(0.1, 0.22) if rng.random() < 0.7 else rng.uniform(0.86, 0.94)
        end = rng.uniform(0.0, 0.35), 0.0 if y < 0.5 else 1.0
        bow = rng.uniform(-0.08, 0.08)
        along = np.linspace(0, 1, 25)
        lead = np.stack([x + along * (end[0] - x) + bow * np.sin(np.pi * along), y + along * (end[1] - y)], 1)
        disc = np.array([x, y])
        if not left:
            lead[:, 0], disc[0] = 1 - lead[:, 0], 1 - disc[0]
        scale = size * _FINER
        draw.line([tuple(point) for point in lead * scale], fill=150, width=max(2, round(0.006 * scale)), joint="curve")
        for radius, level in ((0.022, 90), (0.009, 255)):
            draw.circle(tuple(disc * scale), radius * scale, fill=level)
    return _reduce(image, size)


def _shutters(mask: NDArray[np.uint8], hospital: Hospital, rng: np.random.Generator) -> Field:
    """Black borders, a little askew, that stay clear of the lungs."""
    size = len(mask)
    image, draw = _canvas(size)
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    room = np.array([rows[0], size - 1 - columns[-1], size - 1 - rows[-1], columns[0]]) - 3  # clockwise from the top
    widths = np.clip(rng.uniform(*hospital.shutters, 4) * size, 0, np.maximum(room, 0)) * _FINER
    edge, askew = size * _FINER, rng.uniform(0.7, 1, 4)
    for side, (width, share) in enumerate(zip(widths, askew, strict=True)):
        corners = np.array([[0, 0], [edge, 0], [edge, width * share], [0, width]])
        for _ in range(side):
            corners = np.stack([edge - corners[:, 1], corners[:, 0]], 1)
        draw.polygon([tuple(corner) for corner in corners], fill=255)
    return _reduce(image, size)


def _letters(size: int, hospital: Hospital, rng: np.random.Generator) -> Field:
    """The letter of the side, and the caption, which is written upwards."""
    side, caption = _canvas(size), _canvas(size)
    _write(side[1], hospital.side, hospital.side_place, round(0.075 * size * _FINER), hospital.font, rng)
    column, row = hospital.caption_place
    words = str(rng.choice(hospital.captions))
    _write(caption[1], words, (1 - row, column), round(0.045 * size * _FINER), hospital.font, rng)
    return np.maximum(_reduce(side[0], size), _reduce(caption[0].transpose(Image.Transpose.ROTATE_90), size))


def _write(draw: ImageDraw.ImageDraw, text: str, at: Place, height: int, font: str, rng: np.random.Generator) -> None:
    """Write with the middle near a place."""
    column, row = (np.array(at) + rng.uniform(-0.015, 0.015, 2)) * draw.im.size
    draw.text((column, row), text, fill=255, font=_font(font, height), anchor="mm")


@cache
def _font(name: str, height: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", name), height)


def _canvas(size: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("L", (size * _FINER, size * _FINER))
    return image, ImageDraw.Draw(image)


def _reduce(image: Image.Image, size: int) -> Field:
    """How opaque each pixel of the film is, in [0, 1]."""
    return np.asarray(image.reduce(_FINER), np.float32) / np.float32(255)
