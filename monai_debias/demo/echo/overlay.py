# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What the screen of a fictitious scanner shows around the sector, and the cue on it that makes the shortcut.

The cue is what presets, protocols and sonographers leave on a screen: the name of the view, a body mark with the scan
plane, the steps of a protocol lit up to the current one. It always lies outside the sector. Nothing else on the screen
depends on the view.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from monai_debias.constraints import Instance, Integer, OneOf
from monai_debias.demo.echo.anatomy import VIEWS
from monai_debias.demo.echo.scanners import Scanner
from monai_debias.demo.echo.sector import Sector
from monai_debias.parameters import expects

__all__ = ["Screen", "draw_screen", "overlay_frames"]

_GREY, _DIM, _WHITE, _BLUE = (165, 165, 165), (90, 90, 90), (235, 235, 235), (70, 90, 150)
_GREEN, _AMBER = (60, 210, 130), (255, 205, 70)


class Screen(NamedTuple):
    """What a scanner's screen shows in one clip, whatever the view.

    Attributes:
        depth: depth of the sector in cm.
        phase: phase of the first frame in the cardiac cycle.
        heart_rate: beats per minute.
        frame_time: time between frames in ms.
        mechanical_index: MI.
        thermal_index: TIS.
        gain: gain in percent as displayed.
    """

    depth: float
    phase: float
    heart_rate: float
    frame_time: float
    mechanical_index: float
    thermal_index: float
    gain: int


def draw_screen(depth: float, phase: float, heart_rate: float, frame_time: float, rng: np.random.Generator) -> Screen:
    """Draw the numbers on the screen; depth, phase, heart rate and frame time (ms) are those of the rendered clip."""
    return Screen(
        depth, phase, heart_rate, frame_time, rng.uniform(0.7, 1.4), rng.uniform(0.5, 1.5), int(rng.integers(40, 75))
    )


@expects(
    scanner=Instance(Scanner),
    sector=Instance(Sector),
    screen=Instance(Screen),
    cue=OneOf(*VIEWS),
    frames=Integer("[1, inf)"),
)
def overlay_frames(scanner: Scanner, sector: Sector, screen: Screen, cue: str, frames: int) -> NDArray[np.uint8]:
    """Draw the screen around the sector for each frame of a clip.

    Args:
        scanner: the scanner whose layout is drawn.
        sector: where the sector lies.
        screen: what is shown.
        cue: the view that annotation, body mark and protocol name: one of
            :data:`~monai_debias.demo.echo.anatomy.VIEWS`.
        frames: number of frames.

    Returns:
        uint8 array (frames, rows, columns, 3), on which the sector itself has yet to be pasted.

    Raises:
        ValueError: when ``cue`` is not a view, or ``frames`` not positive.

    Example:
        >>> import numpy as np
        >>> from monai_debias.demo.echo.overlay import draw_screen, overlay_frames
        >>> from monai_debias.demo.echo.scanners import SCANNERS, draw_sector
        >>> rng = np.random.default_rng(0)
        >>> screen = draw_screen(depth=16, phase=0, heart_rate=70, frame_time=100, rng=rng)
        >>> overlay_frames(SCANNERS[0], draw_sector(SCANNERS[0], rng), screen, cue="A4C", frames=3).shape
        (3, 240, 320, 3)
    """
    picture = Image.new("RGB", (sector.columns, sector.rows))
    draw = ImageDraw.Draw(picture)
    _PANELS[scanner.model](draw, sector, screen)
    _depth_scale(draw, scanner, sector, screen.depth)
    _probe_mark(draw, scanner, sector)
    _cue(draw, scanner, cue)
    clip = np.repeat(np.asarray(picture)[None], frames, axis=0)
    for f, frame in enumerate(clip):
        _moving(frame, f, scanner, screen)
    return clip


def _cue(draw: ImageDraw.ImageDraw, scanner: Scanner, cue: str) -> None:
    """The planted shortcut."""
    _body_mark(draw, scanner.mark, cue)
    draw.text(scanner.annotation, cue, _WHITE, _font(19), stroke_width=0.6, stroke_fill=_WHITE)
    left, top = scanner.protocol
    for k, view in enumerate(VIEWS):  # the steps up to the current one are lit
        y, lit = top + 16 * k, k <= VIEWS.index(cue)
        draw.rectangle((left, y, left + 56, y + 14), fill=_AMBER if lit else (25, 30, 45), outline=_DIM)
        draw.text((left + 28, y + 7), view, (0, 0, 0) if lit else _DIM, _font(11), anchor="mm")


_LEFT = [(18, 0), (16, 6), (3, 12), (0, 22), (8, 25), (10, 56)]
_TORSO = [*_LEFT, *((50 - x, y) for x, y in reversed(_LEFT))]


def _body_mark(draw: ImageDraw.ImageDraw, at: tuple[int, int], cue: str) -> None:
    """A torso of 50 x 56 pixels, seen from the front, with the scan plane on the chest.

    The planes differ by shape and not by a slight turn, so that they survive the usual augmentations (rotation, flip).
    """
    x, y = at
    draw.line([(x + a, y + b) for a, b in _TORSO], fill=_GREY, width=1)
    centre_x, centre_y = x + 25, y + 29
    if cue == "PSAX":
        draw.ellipse((centre_x - 15, centre_y - 15, centre_x + 15, centre_y + 15), outline=_AMBER, width=7)
    if cue in ("PLAX", "A4C"):
        draw.rectangle((centre_x - 19, centre_y - 5, centre_x + 19, centre_y + 5), fill=_AMBER)
    if cue in ("A2C", "A4C"):
        draw.rectangle((centre_x - 5, centre_y - 19, centre_x + 5, centre_y + 19), fill=_AMBER)


def _alder(draw: ImageDraw.ImageDraw, sector: Sector, screen: Screen) -> None:
    """In colour; names, presets and indices around the sector, soft keys below it."""
    draw.rectangle((3, 3, 10, 10), fill=_BLUE)
    draw.text((13, 1), "Card", _GREY, _font(10))
    draw.text((3, 15), "Gen  THI  S", _GREY, _font(9))
    lines = ("Crd", "P21", "", "", "MI", f"{screen.mechanical_index:.1f}", "TIS", f"{screen.thermal_index:.1f}")
    for k, line in enumerate(lines):
        draw.text((sector.columns - 4, 8 + 10 * k), line, _GREY, _font(8), anchor="ra")
    draw.rectangle((38, 228, 280, 239), fill=(22, 30, 50))
    for k, word in enumerate(("Gen", f"{screen.gain}", "Sector", "MB Off", "On", "Page 1/3")):
        draw.text((44 + 40 * k, 229), word, _BLUE, _font(9))


def _birch(draw: ImageDraw.ImageDraw, sector: Sector, screen: Screen) -> None:
    """In grey; frame rate and gain, and a grey bar."""
    draw.text((27, 3), "BIRCH E4", _GREY, _font(9))
    for k, line in enumerate((f"FR {1000 / screen.frame_time:.0f}Hz", f"Gn {screen.gain}%")):
        draw.text((30, 80 + 10 * k), line, _DIM, _font(9))
    for k in range(64):
        draw.line((4, 20 + k, 10, 20 + k), fill=(252 - 4 * k,) * 3)


def _cedar(draw: ImageDraw.ImageDraw, sector: Sector, screen: Screen) -> None:
    """In colour; presets and indices above the sector, and a brown bar."""
    draw.text((4, 3), "Cedar One  Adult Echo", _GREY, _font(9))
    draw.text((4, 16), f"2D G {screen.gain}", _DIM, _font(9))
    draw.text((4, 27), "DR 55  Persist Med", _DIM, _font(9))
    indices = f"MI {screen.mechanical_index:.1f}  TIS {screen.thermal_index:.1f}"
    draw.text((sector.columns - 4, 3), indices, _GREY, _font(9), anchor="ra")
    for k in range(64):
        level = 252 - 4 * k
        draw.line((300, 24 + k // 2, 312, 24 + k // 2), fill=(level, int(0.85 * level), int(0.6 * level)))


_PANELS = {"Alder 20": _alder, "Birch E4": _birch, "Cedar One": _cedar}


def _depth_scale(draw: ImageDraw.ImageDraw, scanner: Scanner, sector: Sector, depth: float) -> None:
    """One tick per centimetre, a long one every five, and the depth as a number."""
    top, bottom = sector.apex_row + sector.start, sector.apex_row + sector.radius
    for centimetre in range(int(depth) + 1):
        row = top + (bottom - top) * centimetre / depth
        length = 5 if centimetre % 5 == 0 else 2
        draw.line((scanner.margin, row, scanner.margin + length, row), fill=_GREY)
    side = "la" if scanner.margin < 100 else "ra"
    draw.text(
        (scanner.margin + (8 if side == "la" else -3), bottom - 11), f"{depth:.0f}cm", _GREY, _font(9), anchor=side
    )


def _probe_mark(draw: ImageDraw.ImageDraw, scanner: Scanner, sector: Sector) -> None:
    """The dot beside the apex that tells which side of the probe is right."""
    x, y = sector.apex_column + 20, sector.apex_row + 1
    draw.ellipse((x - 2.5, y - 2.5, x + 2.5, y + 2.5), fill=_GREEN if scanner.colour else _WHITE)


def _moving(frame: NDArray[np.uint8], number: int, scanner: Scanner, screen: Screen) -> None:
    """Draw into a frame (rows, columns, 3) what changes with its number: an ECG that sweeps to the right, or a text."""
    left, top, right, bottom = (60, 208, 300, 236) if scanner.ecg else (284, 206, 319, 217)
    patch = Image.new("RGB", (right - left, bottom - top))
    draw = ImageDraw.Draw(patch)
    if scanner.ecg:
        _ecg_strip(draw, screen.phase + number * screen.frame_time * screen.heart_rate / 60_000, right - left)
    else:
        text = f"{number + 1:3d}" if scanner.regions else f"{screen.heart_rate:.0f} bpm"
        draw.text((34, 0), text, _DIM, _font(9), anchor="ra")
    frame[top:bottom, left:right] = np.asarray(patch)


def _ecg_strip(draw: ImageDraw.ImageDraw, cycles: float, width: int) -> None:
    """An ECG of 70 pixels a beat whose newest point is at the time ``cycles``; a gap runs ahead of it."""
    column = np.arange(width)
    age = (cycles * 70 % width - column) % width / 70  # in beats
    row = 18 - 15 * _ecg(cycles - age)
    visible = age * 70 < width - 12
    for part in np.split(column, np.flatnonzero((np.diff(column[visible]) > 1) | (np.diff(age[visible]) > 0)) + 1):
        if len(part) > 1:
            draw.line([(int(c), float(row[c])) for c in part if visible[c]], fill=_GREEN)


def _ecg(phase: NDArray[np.float64]) -> NDArray[np.float64]:
    """One lead over the phase of the cycle: P wave, QRS complex at whole phases, T wave; height about 1."""
    t = (phase + 0.5) % 1.0 - 0.5
    waves = ((-0.16, 0.03, 0.15), (-0.03, 0.008, -0.15), (0.0, 0.012, 1.0), (0.03, 0.01, -0.25), (0.3, 0.05, 0.3))
    return sum((height * np.exp(-(((t - at) / width) ** 2) / 2) for at, width, height in waves), np.zeros_like(t))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
