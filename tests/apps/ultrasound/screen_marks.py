# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Words, clocks, icons and scales on an ultrasound screen, beside its sector and inside."""

from __future__ import annotations

import numpy as np
from PIL import ImageDraw, ImageFont


def draw_overlay(rng, images, sector, colour):
    rows, columns = sector.shape
    font, ink = _font(rows), tuple(int(v) for v in rng.integers(120, 255, 3))
    words = ["MI 0.9", "TIS 0.7", "Gen THI", "P21", "28Hz", "11cm", "C5-1", "HGen", "Gn 60", "S", "2D", "19"]
    marks = []
    for word in rng.choice(words, rng.integers(4, 10)):
        width, height = int(font.getlength(str(word))) + 2, rows // 20
        place = _free(rng, sector, height, width)
        if place:
            marks.append(("text", place, str(word)))
    header = rng.random() < 0.35
    bar = _free(rng, sector, rows // 4, 6)
    side = columns - 8 if rng.random() < 0.5 else 6
    icon = _free(rng, sector, rows // 20, rows // 20)
    level = int(rng.integers(30, 90))
    for image in images:
        draw = ImageDraw.Draw(image)
        if header and not sector[: rows // 16].any():
            draw.rectangle([0, 0, columns, rows // 16 - 2], fill=(level // 2, level // 2, level))
            draw.text((4, 0), "VENDOR  CARDIAC", fill=(255, 255, 255), font=font)
        for _, (row, column), word in marks:
            draw.text((column, row - 2), word, fill=ink, font=font)
        for k in range(12, rows - 12, max(6, rows // 20)):
            draw.rectangle([side, k, side + 2, k + 1], fill=(200, 200, 200))
        if bar:
            for k in range(rows // 4):
                v = int(255 * (1 - k / (rows // 4)))
                draw.line(
                    [bar[1], bar[0] + k, bar[1] + 5, bar[0] + k],
                    fill=(v, v if not colour else v // 2, 255 - v if colour else v),
                )
        if icon:
            draw.ellipse([icon[1], icon[0], icon[1] + rows // 24, icon[0] + rows // 24], fill=(80, 200, 160))


def draw_clock(rng, images, sector):
    font = _font(sector.shape[0])
    place = _free(rng, sector, sector.shape[0] // 18, int(font.getlength("12:34:56.7")) + 2)
    start, rate = rng.integers(0, 50), rng.choice([0.04, 0.1, 0.5])
    if place:
        for t, image in enumerate(images):
            ImageDraw.Draw(image).text(
                (place[1], place[0]), f"14:02:{start + t * rate:04.1f}", fill=(230, 230, 230), font=font
            )


def draw_counter(rng, images, sector):
    font = _font(sector.shape[0] * (2 if rng.random() < 0.3 else 1))
    place = _free(rng, sector, sector.shape[0] // 12, int(font.getlength("188/200")) + 2)
    if place:
        for t, image in enumerate(images):
            ImageDraw.Draw(image).text((place[1], place[0]), f"{101 + 7 * t}/900", fill=(240, 240, 120), font=font)


def draw_flash(rng, images, sector):
    side = sector.shape[0] // 10
    place = _free(rng, sector, side, side)
    if place:
        for image in images:
            if rng.random() < 0.5:
                ImageDraw.Draw(image).ellipse(
                    [place[1], place[0], place[1] + side, place[0] + side], fill=(255, 60, 60)
                )


def draw_inside(rng, images, sector):
    ys, xs = np.nonzero(sector)
    spots = [int(rng.integers(len(ys))) for _ in range(4)]
    for image in images:
        draw = ImageDraw.Draw(image)
        for k in range(int(ys.min()), int(ys.max()), 14):
            draw.point((int(xs.mean()), k), fill=(200, 200, 200))
        for s in spots:
            draw.line([xs[s] - 3, ys[s], xs[s] + 3, ys[s]], fill=(255, 255, 255))
            draw.line([xs[s], ys[s] - 3, xs[s], ys[s] + 3], fill=(255, 255, 255))


def _free(rng, sector, height, width, tries=200):
    """A random place for a box of that size which does not touch the sector, or None."""
    rows, columns = sector.shape
    for _ in range(tries):
        row, column = int(rng.integers(0, max(1, rows - height))), int(rng.integers(0, max(1, columns - width)))
        if not sector[max(0, row - 2) : row + height + 2, max(0, column - 2) : column + width + 2].any():
            return row, column
    return None


def _font(rows):
    return ImageFont.load_default(size=max(8, rows // 26))
