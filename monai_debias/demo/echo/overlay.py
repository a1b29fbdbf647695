# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The screens of three fictitious scanners around the sector, and the view-coded cue on them that makes the shortcut.

The cue is what presets, protocols and sonographers leave on a screen: the name of the view, a body mark with the scan
plane, the steps of a protocol lit up to the current one. It always lies outside the sector. Nothing else on the screen
depends on the view.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from monai_debias.demo.echo.anatomy import VIEWS
from monai_debias.demo.echo.phantom import Sector

__all__ = ["SCANNERS", "Scanner", "Screen", "draw_screen", "draw_sector", "overlay_frames"]

Colour = tuple[int, int, int]
_GREY, _DIM, _WHITE, _BLUE = (165, 165, 165), (90, 90, 90), (235, 235, 235), (70, 90, 150)
_GREEN, _AMBER = (60, 210, 130), (255, 205, 70)


class Scanner(NamedTuple):
    """A fictitious scanner.

    Attributes:
        manufacturer: for the DICOM header.
        model: for the DICOM header and the screen.
        colour: whether the pictures are stored in colour (YBR_FULL_422) or grey (MONOCHROME2).
        regions: whether the header has the Sequence of Ultrasound Regions.
        ecg: whether an ECG runs below the sector.
        apex_row, apex_column, radius, half_angle: ranges of the sector's geometry, see :class:`Sector`.
        mark: left and top of the body mark.
        annotation: left and top of the view's name.
        protocol: left and top of the list of protocol steps.
        margin: left of the depth scale.
    """

    manufacturer: str
    model: str
    colour: bool
    regions: bool
    ecg: bool
    apex_row: tuple[float, float]
    apex_column: tuple[float, float]
    radius: tuple[float, float]
    half_angle: tuple[float, float]
    mark: tuple[int, int]
    annotation: tuple[int, int]
    protocol: tuple[int, int]
    margin: int


SCANNERS = (
    Scanner(
        manufacturer="FICTITIOUS Alder",
        model="Alder 20",
        colour=True,
        regions=True,
        ecg=False,
        apex_row=(20, 24),
        apex_column=(152, 162),
        radius=(176, 186),
        half_angle=(37, 43),
        mark=(3, 52),
        annotation=(4, 28),
        protocol=(234, 12),
        margin=297,
    ),
    Scanner(
        manufacturer="FICTITIOUS Birch",
        model="Birch E4",
        colour=False,
        regions=True,
        ecg=True,
        apex_row=(9, 13),
        apex_column=(156, 170),
        radius=(182, 190),
        half_angle=(36, 42),
        mark=(264, 6),
        annotation=(262, 64),
        protocol=(27, 14),
        margin=18,
    ),
    Scanner(
        manufacturer="FICTITIOUS Cedar",
        model="Cedar One",
        colour=True,
        regions=False,
        ecg=False,
        apex_row=(22, 28),
        apex_column=(166, 176),
        radius=(172, 180),
        half_angle=(38, 45),
        mark=(246, 22),
        annotation=(4, 208),
        protocol=(4, 42),
        margin=313,
    ),
)


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


def draw_sector(scanner: Scanner, rng: np.random.Generator) -> Sector:
    """Draw a sector within a scanner's ranges, on a picture of 240 x 320 pixels."""
    return Sector(
        apex_row=rng.uniform(*scanner.apex_row),
        apex_column=rng.uniform(*scanner.apex_column),
        radius=rng.uniform(*scanner.radius),
        half_angle=rng.uniform(*scanner.half_angle),
    )


def draw_screen(depth: float, phase: float, heart_rate: float, frame_time: float, rng: np.random.Generator) -> Screen:
    """Draw the numbers on the screen; depth, phase, heart rate and frame time (ms) are those of the rendered clip."""
    return Screen(
        depth, phase, heart_rate, frame_time, rng.uniform(0.7, 1.4), rng.uniform(0.5, 1.5), int(rng.integers(40, 75))
    )


def overlay_frames(scanner: Scanner, sector: Sector, screen: Screen, cue: str, frames: int) -> NDArray[np.uint8]:
    """Draw the screen around the sector for each frame of a clip.

    Args:
        scanner: whose layout.
        sector: where the sector lies.
        screen: what is shown.
        cue: the view that annotation, body mark and protocol name: one of
            :data:`~monai_debias.demo.echo.anatomy.VIEWS`.
        frames: number of frames.

    Returns:
        uint8 array (frames, rows, columns, 3); the sector itself is to be pasted over it.

    Raises:
        ValueError: when ``cue`` is not a view.

    Example:
        >>> import numpy as np
        >>> from monai_debias.demo.echo.overlay import SCANNERS, draw_screen, draw_sector, overlay_frames
        >>> rng = np.random.default_rng(0)
        >>> screen = draw_screen(depth=16, phase=0, heart_rate=70, frame_time=100, rng=rng)
        >>> overlay_frames(SCANNERS[0], draw_sector(SCANNERS[0], rng), screen, cue="A4C", frames=3).shape
        (3, 240, 320, 3)
    """
    if cue not in VIEWS:
        raise ValueError(f"unknown view {cue!r} for the cue; expected one of {VIEWS}")
    picture = Image.new("RGB", (sector.columns, sector.rows))
    draw = ImageDraw.Draw(picture)
    _furniture(draw, scanner, sector, screen)
    _cue(draw, scanner, cue)
    clip = np.repeat(np.asarray(picture)[None], frames, axis=0)
    for f in range(frames):
        _moving(clip, f, scanner, screen)
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


_TORSO = (
    (18, 0),
    (16, 6),
    (3, 12),
    (0, 22),
    (8, 25),
    (10, 56),
    (40, 56),
    (42, 25),
    (50, 22),
    (47, 12),
    (34, 6),
    (32, 0),
)


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


def _furniture(draw: ImageDraw.ImageDraw, scanner: Scanner, sector: Sector, screen: Screen) -> None:
    """Everything on the screen that stands still and does not depend on the view."""
    small, right = _font(9), sector.columns - 4
    if scanner.model.startswith("Alder"):
        draw.rectangle((3, 3, 10, 10), fill=_BLUE)
        draw.text((13, 1), "Card", _GREY, _font(10))
        draw.text((3, 15), "Gen  THI  S", _GREY, small)
        for k, line in enumerate(
            ("Crd", "P21", "", "", "MI", f"{screen.mechanical_index:.1f}", "TIS", f"{screen.thermal_index:.1f}")
        ):
            draw.text((right, 8 + 10 * k), line, _GREY, _font(8), anchor="ra")
        draw.rectangle((38, 228, 280, 239), fill=(22, 30, 50))
        for k, word in enumerate(("Gen", f"{screen.gain}", "Sector", "MB Off", "On", "Page 1/3")):
            draw.text((44 + 40 * k, 229), word, _BLUE, small)
    elif scanner.model.startswith("Birch"):
        draw.text((27, 3), "BIRCH E4", _GREY, small)
        for k, line in enumerate((f"FR {1000 / screen.frame_time:.0f}Hz", f"Gn {screen.gain}%")):
            draw.text((30, 80 + 10 * k), line, _DIM, small)
        for k in range(64):
            draw.line((4, 20 + k, 10, 20 + k), fill=(252 - 4 * k,) * 3)
    else:
        draw.text((4, 3), "Cedar One  Adult Echo", _GREY, small)
        draw.text((4, 16), f"2D G {screen.gain}", _DIM, small)
        draw.text((4, 27), "DR 55  Persist Med", _DIM, small)
        draw.text(
            (right, 3), f"MI {screen.mechanical_index:.1f}  TIS {screen.thermal_index:.1f}", _GREY, small, anchor="ra"
        )
        for k in range(64):
            level = 252 - 4 * k
            draw.line((300, 24 + k // 2, 312, 24 + k // 2), fill=(level, int(0.85 * level), int(0.6 * level)))
    _depth_scale(draw, scanner, sector, screen.depth)
    dot = (sector.apex_column + 20, sector.apex_row + 1)
    draw.ellipse((dot[0] - 2.5, dot[1] - 2.5, dot[0] + 2.5, dot[1] + 2.5), fill=_GREEN if scanner.colour else _WHITE)


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


def _moving(clip: NDArray[np.uint8], frame: int, scanner: Scanner, screen: Screen) -> None:
    """What changes from frame to frame: an ECG that sweeps to the right, or a counter; drawn into ``clip[frame]``."""
    cycles = screen.phase + frame * screen.frame_time * screen.heart_rate / 60_000
    box = (60, 208, 300, 236) if scanner.ecg else (284, 206, 319, 217)
    patch = Image.new("RGB", (box[2] - box[0], box[3] - box[1]))
    draw = ImageDraw.Draw(patch)
    if scanner.ecg:
        width = box[2] - box[0]
        column = np.arange(width)
        head = (cycles * 70) % width  # 70 pixels a beat
        age = (head - column) % width / 70
        row = 18 - 15 * _ecg(cycles - age)
        visible = age * 70 < width - 12  # a gap runs ahead of the sweep
        for part in np.split(column, np.flatnonzero((np.diff(column[visible]) > 1) | (np.diff(age[visible]) > 0)) + 1):
            if len(part) > 1:
                draw.line([(int(c), float(row[c])) for c in part if visible[c]], fill=_GREEN)
    else:
        draw.text(
            (34, 0),
            f"{frame + 1:3d}" if scanner.regions else f"{screen.heart_rate:.0f} bpm",
            _DIM,
            _font(9),
            anchor="ra",
        )
    clip[frame, box[1] : box[3], box[0] : box[2]] = np.asarray(patch)


def _ecg(phase: NDArray[np.float64]) -> NDArray[np.float64]:
    """One lead over the phase of the cycle: P wave, QRS complex at whole phases, T wave; height about 1."""
    t = (phase + 0.5) % 1.0 - 0.5
    waves = ((-0.16, 0.03, 0.15), (-0.03, 0.008, -0.15), (0.0, 0.012, 1.0), (0.03, 0.01, -0.25), (0.3, 0.05, 0.3))
    return sum((height * np.exp(-(((t - at) / width) ** 2) / 2) for at, width, height in waves), np.zeros_like(t))


_fonts: dict[int, ImageFont.FreeTypeFont | ImageFont.ImageFont] = {}


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    if size not in _fonts:
        _fonts[size] = ImageFont.load_default(size)
    return _fonts[size]
