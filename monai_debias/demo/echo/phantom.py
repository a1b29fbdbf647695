# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What a cardiac ultrasound scanner makes of the drawn heart: a clip of the sector with speckle, shadows and haze.

Each frame is drawn in the probe's polar coordinates, where the physics is simple: echogenicity times a random complex
scatterer field, blurred by the pulse along the beam and by the beam's width across it; the envelope's logarithm, with
gain and dynamic range, is scan-converted to the display. Because the beam's width is an angle, speckle grows sideways
with depth.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from monai_debias.constraints import Instance, Integer, Number, OneOf
from monai_debias.demo.echo.anatomy import VIEWS, anatomy
from monai_debias.demo.echo.canvas import Field
from monai_debias.demo.echo.heart import Heart, beat_at
from monai_debias.demo.echo.patients import Pose, Window
from monai_debias.demo.echo.sector import AXIAL, LINES, ScanConverter
from monai_debias.parameters import expects

__all__ = ["render_clip"]


@expects(
    view=OneOf(*VIEWS),
    heart=Instance(Heart),
    window=Instance(Window),
    pose=Instance(Pose),
    converter=Instance(ScanConverter),
    rng=Instance(np.random.Generator),
    frames=Integer("[1, inf)"),
    frame_time=Number("(0, inf)"),
)
def render_clip(
    view: str,
    heart: Heart,
    window: Window,
    pose: Pose,
    converter: ScanConverter,
    rng: np.random.Generator,
    frames: int = 8,
    frame_time: float = 100.0,
) -> NDArray[np.uint8]:
    """Render a clip of the sector.

    Args:
        view: one of :data:`~monai_debias.demo.echo.anatomy.VIEWS`.
        heart: the patient's heart.
        window: how well it can be seen.
        pose: how the clip was taken.
        converter: maps the polar grid to the display.
        rng: source of the speckle and noise.
        frames: number of frames.
        frame_time: time between frames in ms.

    Returns:
        uint8 array (frames, rows, columns), as DICOM orders a grey clip; 0 outside the sector.

    Raises:
        ValueError: when ``view`` is unknown or ``frames`` is not positive.

    Example:
        >>> import numpy as np
        >>> from monai_debias.demo.echo.patients import draw_heart, draw_pose, draw_window
        >>> from monai_debias.demo.echo.phantom import render_clip
        >>> from monai_debias.demo.echo.sector import ScanConverter, Sector
        >>> rng = np.random.default_rng(0)
        >>> patient = draw_heart(rng), draw_window(rng), draw_pose(rng)
        >>> render_clip("A4C", *patient, ScanConverter(Sector()), rng, frames=2).shape
        (2, 240, 320)
    """
    x, y = converter.grid(pose.depth)
    heart_x, heart_y = _to_heart(x, y, pose)
    level = _transmission(window) + _texture(rng, window.patchiness)
    haze = np.float32(10 ** (window.haze / 20)) * np.exp(-((y / np.float32(2.2)) ** 2)) + _probe_face(y)
    haze = haze + _artefacts(window.artefacts, rng) * _decibel(_transmission(window))
    still, swing, sway = (_scatterers(rng) for _ in range(3))
    noise = _scatterers(rng) * _noise_level(window)
    clip = np.empty((frames, *converter.mask.shape), np.uint8)
    for f in range(frames):
        cycle = pose.phase + f * frame_time * pose.heart_rate / 60_000
        echo = anatomy(view, heart_x, heart_y, heart, beat_at(cycle), pose.basal)
        amplitude = _decibel(echo + _specular(echo) + level) + haze
        # The tissue's own speckle moves only a little from frame to frame, once around with the beat.
        turn = np.float32(2 * np.pi * cycle)
        field = amplitude * (still + np.float32(0.45) * (np.cos(turn) * swing + np.sin(turn) * sway))
        field = _blur(field, 1.1, window.beam_width)
        field += np.roll(noise, tuple(rng.integers(0, 200, 2)), axis=(0, 1))
        decibel = 10 * np.log10(field.real**2 + field.imag**2 + np.float32(1e-9))
        clip[f] = converter(_display(decibel, window))
    return clip


def _to_heart(x: Field, y: Field, pose: Pose) -> tuple[Field, Field]:
    """Probe coordinates to those of the standard view, by turning and scaling about the heart's middle, 7.5 cm deep."""
    angle = np.radians(pose.rotation)
    sin, cos = np.float32(np.sin(angle)), np.float32(np.cos(angle))
    dx, dy = x - np.float32(pose.shift[0]), y - np.float32(7.5 + pose.shift[1])
    across, along = np.float32(pose.scale[0]), np.float32(pose.scale[1])
    return (dx * cos + dy * sin) / across, (dy * cos - dx * sin) / along + np.float32(7.5)


def _transmission(window: Window) -> Field:
    """Loss along the beams in dB from shadows and attenuation."""
    depth = np.linspace(0, 1, AXIAL, dtype=np.float32)[:, None]
    angle = np.linspace(-1, 1, LINES, dtype=np.float32)[None]
    loss = np.float32(window.attenuation) * depth + 5 * np.abs(angle) ** 3
    for centre, width, begin, strength in window.shadows:
        across = 1 / (1 + np.exp((np.abs(angle - np.float32(centre)) - np.float32(width)) * 18))
        loss = loss + np.float32(strength) * across * np.clip((depth - np.float32(begin)) * 5, 0, 1)
    return -loss


def _texture(rng: np.random.Generator, spread: float) -> Field:
    """Uneven echogenicity in dB: a coarse random field, smoothly interpolated."""
    coarse = rng.standard_normal((14, 9), dtype=np.float32) * np.float32(spread)
    return _stretch(_stretch(coarse, AXIAL).T, LINES).T


def _stretch(coarse: Field, n: int) -> Field:
    """Interpolate along the first axis to ``n`` samples, with a smooth step between neighbours."""
    at = np.linspace(0, len(coarse) - 1.001, n)
    i = at.astype(int)
    t = (at - i).astype(np.float32)[:, None]
    t = t * t * (3 - 2 * t)
    return coarse[i] * (1 - t) + coarse[i + 1] * t


def _probe_face(y: Field) -> Field:
    """Reverberation right below the probe: a few bright layers."""
    return (np.exp(-((y - 0.15) ** 2) / 0.02) * 2.0 + 0.8 * np.exp(-((y - 0.9) ** 2) / 0.03)).astype(np.float32)


def _artefacts(number: int, rng: np.random.Generator) -> Field:
    """Amplitude of bright arcs across some beams."""
    depth = np.linspace(0, 1, AXIAL, dtype=np.float32)[:, None]
    angle = np.linspace(-1, 1, LINES, dtype=np.float32)[None]
    field = np.zeros((AXIAL, LINES), np.float32)
    for _ in range(number):
        at, middle, reach = rng.uniform(0.15, 0.95), rng.uniform(-0.9, 0.9), rng.uniform(0.1, 0.45)
        bent = at + rng.uniform(-0.25, 0.25) * (angle - middle) + rng.uniform(-0.3, 0.3) * (angle - middle) ** 2
        thick, level = rng.uniform(0.008, 0.03), 10 ** (rng.uniform(-8, 6) / 20)
        field += level * np.exp(-(((depth - bent) / thick) ** 2) - ((angle - middle) / reach) ** 4).astype(np.float32)
    return field


def _scatterers(rng: np.random.Generator) -> NDArray[np.complex64]:
    parts = rng.standard_normal((2, AXIAL, LINES), dtype=np.float32)
    return (parts[0] + 1j * parts[1]) * np.float32(np.sqrt(0.5))


def _noise_level(window: Window) -> Field:
    """Electronic noise, which the time gain compensation raises with depth."""
    depth = np.linspace(0, 1, AXIAL, dtype=np.float32)[:, None]
    return _decibel(np.float32(window.noise) - 14 * (1 - depth))


def _specular(echo: Field) -> Field:
    """Interfaces that face the beam shine: extra dB where the echogenicity changes along the beam."""
    extra = np.zeros_like(echo)
    extra[1:-1] = np.abs(echo[2:] - echo[:-2]) * np.float32(0.22)
    return np.minimum(extra, 7)


def _blur(field: NDArray[np.complex64], axial: float, lateral: float) -> NDArray[np.complex64]:
    """The point spread function, normalised so that the mean power of a uniform field stays 1."""
    norm = np.float32(np.sqrt(4 * np.pi * axial * lateral))
    parts = [
        gaussian_filter1d(gaussian_filter1d(part, axial, axis=0, truncate=2.5), lateral, axis=1, truncate=2.5)
        for part in (field.real, field.imag)
    ]
    return (parts[0] + 1j * parts[1]) * norm


def _display(decibel: Field, window: Window) -> Field:
    """Log-compressed grey values in [0, 255]; myocardium lies 20 dB below white at gain 0."""
    share = np.clip((decibel + np.float32(window.gain - 20)) / np.float32(window.dynamic_range) + 1, 0, 1)
    smooth = gaussian_filter1d(gaussian_filter1d(share, 0.7, axis=0, truncate=2), 0.6, axis=1, truncate=2)
    return 255 * smooth ** np.float32(window.gamma)


def _decibel(level: Field | np.float32) -> Field:
    return np.exp(level * np.float32(np.log(10) / 20)).astype(np.float32)
