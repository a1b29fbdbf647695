# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Synthetic ultrasound screens with a known sector: many probes, and what else moves or shines on the screen."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter, gaussian_filter1d, map_coordinates

SHAPES = ("phased", "phased_flat", "curved", "linear", "trapezoid", "trapezoid_arc", "steered", "cropped", "apex_down")
DISTURBANCES = (
    "none",
    "ecg_sweep",
    "ecg_scroll",
    "ecg_overlap",
    "clock",
    "counter",
    "flash",
    "mmode",
    "doppler",
    "jpeg",
    "noise",
    "static_probe",
    "frozen_tissue",
    "heart_only",
    "short",
    "dark_edges",
    "overlay_inside",
    "panel",
)


@dataclass
class Phantom:
    """A clip (C, rows, columns, frames) uint8, its true sector (rows, columns) bool and how it was drawn."""

    clip: np.ndarray
    sector: np.ndarray
    shape: str
    disturbances: tuple[str, ...]


def phantom(
    seed: int,
    disturbances: tuple[str, ...] = (),
    shape: str | None = None,
    size: tuple[int, int] | None = None,
    frames: int | None = None,
    overlay: bool = True,
    tissue: np.ndarray | None = None,
) -> Phantom:
    """Draw one screen; everything that is not given is drawn from the seed."""
    rng = np.random.default_rng(seed)
    drawn_shape = str(rng.choice(SHAPES))
    shape = shape or drawn_shape
    sizes = [(240, 320), (240, 320), (300, 400), (224, 224), (180, 240), (360, 480)]
    drawn_size = sizes[rng.integers(len(sizes))]
    rows, columns = size or drawn_size
    drawn_frames = int(rng.integers(8, 25))
    frames = frames or drawn_frames
    if "short" in disturbances:
        frames = int(rng.integers(2, 4))
    sector, depth, lateral = _geometry(rng, shape, rows, columns)
    if tissue is None:
        clip = _tissue(rng, sector, depth, lateral, frames, disturbances)
    else:
        clip = _real_tissue(rng, tissue, depth, lateral, frames, disturbances)
    colour = "doppler" in disturbances or rng.random() < 0.5
    background = int(rng.integers(8, 40)) if "panel" in disturbances else 0
    screen = np.repeat(np.where(sector[..., None], clip, 0)[None], 3, axis=0)
    if background:
        screen = np.where(_panel(rng, sector)[None, ..., None], np.float32(background), screen)
    if "doppler" in disturbances:
        _doppler(rng, screen, sector, depth, lateral)
    images = [
        Image.fromarray(np.moveaxis(screen[..., t], 0, -1).round().clip(0, 255).astype(np.uint8)) for t in range(frames)
    ]
    if overlay:
        _overlay(rng, images, sector, colour)
    for name, draw in (
        ("clock", _clock),
        ("counter", _counter),
        ("flash", _flash),
        ("mmode", _mmode),
        ("overlay_inside", _inside),
    ):
        if name in disturbances:
            draw(rng, images, sector)
    for name in ("ecg_sweep", "ecg_scroll", "ecg_overlap"):
        if name in disturbances:
            _ecg(rng, images, sector, name)
    if not colour:
        images = [image.convert("L") for image in images]
    if "noise" in disturbances:
        sigma = rng.uniform(0.5, 3)
        images = [
            Image.fromarray(
                (np.asarray(image) + rng.normal(0, sigma, np.asarray(image).shape))
                .round()
                .clip(0, 255)
                .astype(np.uint8)
            )
            for image in images
        ]
    if "jpeg" in disturbances:
        quality = int(rng.integers(50, 93))
        images = [_jpeg(image, quality) for image in images]
    stack = np.stack([np.asarray(image) for image in images], axis=-1)
    stack = stack[None] if stack.ndim == 3 else np.moveaxis(stack, 2, 0)
    return Phantom(stack, sector, shape, tuple(disturbances))


def _geometry(rng, shape, rows, columns):
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    top = rows * rng.uniform(0.03, 0.14)
    bottom = rows * rng.uniform(0.78, 0.93)
    centre = columns * rng.uniform(0.42, 0.58)
    if shape == "apex_down":
        sector, depth, lateral = _geometry(rng, "phased", rows, columns)
        return sector[::-1], depth[::-1], lateral[::-1]
    if shape in ("linear", "steered"):
        half = columns * rng.uniform(0.2, 0.36)
        slope = rng.uniform(0.15, 0.35) * rng.choice([-1, 1]) if shape == "steered" else 0.0
        bottom = rows * rng.uniform(0.5, 0.93)
        lateral = (x - centre - slope * (y - (top + bottom) / 2)) / half
        depth = (y - top) / (bottom - top)
    elif shape in ("trapezoid", "trapezoid_arc"):
        half, tangent = columns * rng.uniform(0.12, 0.2), np.tan(np.radians(rng.uniform(10, 25)))
        tangent = min(tangent, (0.49 * columns - half) / (bottom - top))
        apex = top - half / tangent
        angle = (x - centre) / (y - apex).clip(1e-3)
        lateral = angle / tangent
        if shape == "trapezoid":
            depth = (y - top) / (bottom - top)
        else:
            depth = np.where(y < top, -1, (np.hypot(x - centre, y - apex) - (top - apex)) / (bottom - top))
    else:
        half = np.radians(rng.uniform(30, 50) if shape != "curved" else rng.uniform(24, 36))
        tilt = np.radians(rng.uniform(-6, 6)) if rng.random() < 0.4 else 0.0
        inner = rng.uniform(0, 0.05) if shape in ("phased", "cropped") else 0.0
        if shape == "curved":
            inner = rng.uniform(0.25, 0.55)
        if shape == "phased_flat":
            inner = rng.uniform(0.03, 0.1)
        reach = columns * (rng.uniform(0.38, 0.48) if shape != "cropped" else rng.uniform(0.5, 0.62))
        radius = min((bottom - top) / (1 - inner * np.cos(half)), reach / np.sin(half + abs(tilt)))
        apex = top - inner * radius * np.cos(half if shape == "curved" else 0)
        angle = np.arctan2(x - centre, y - apex) - tilt
        distance = np.hypot(x - centre, y - apex)
        lateral = angle / half
        depth = (distance / radius - inner) / (1 - inner)
        if shape == "phased_flat":
            depth = np.where(y < top, -1, depth)
        if shape == "cropped":
            margin = columns * rng.uniform(0.04, 0.12)
            depth = np.where((x < margin) | (x > columns - margin), -1, depth)
            if rng.random() < 0.5:
                depth = np.where(y > apex + radius * rng.uniform(0.88, 0.97), -1, depth)
    sector = (np.abs(lateral) <= 1) & (depth >= 0) & (depth <= 1)
    return sector, depth.astype(np.float32), lateral.astype(np.float32)


def _tissue(rng, sector, depth, lateral, frames, disturbances):
    rows, columns = sector.shape
    scale = rows / 240
    reflectivity = gaussian_filter(rng.normal(size=(rows, columns)).astype(np.float32), 10 * scale)
    reflectivity = rng.uniform(-42, -10) + rng.uniform(5, 11) * reflectivity / reflectivity.std()
    reflectivity -= rng.uniform(4, 16) * depth
    edge = rng.uniform(0, 14)
    if "dark_edges" in disturbances:
        edge = rng.uniform(20, 45)
        if rng.random() < 0.3:  # one side only: lost contact
            lateral = np.where(lateral * rng.choice([-1, 1]) > 0, lateral, 0)
    reflectivity -= edge * np.abs(lateral) ** rng.uniform(2, 5) * np.clip(depth * 4, 0.25, 1)
    near = np.exp(-((depth / 0.06) ** 2)) * rng.uniform(5, 20)
    reflectivity += near
    correlation = rng.uniform(0, 0.9)
    motion = rng.uniform(1.5, 6) * scale
    if "static_probe" in disturbances:
        correlation, motion = rng.uniform(0.95, 0.985), 0.0
    if "frozen_tissue" in disturbances:
        correlation = 1.0
    if "heart_only" in disturbances:
        correlation, motion = 1.0, 1e-6
    gamma = rng.uniform(45, 65)
    chambers = [
        (rng.uniform(-0.5, 0.5), rng.uniform(0.25, 0.8), rng.uniform(0.1, 0.22), rng.uniform(0.1, 0.25))
        for _ in range(rng.integers(1, 4))
    ]
    y, x = np.mgrid[:rows, :columns].astype(np.float32)

    def white():
        return np.stack(
            [
                gaussian_filter(rng.normal(size=(rows, columns)).astype(np.float32), (0.6 * scale, 1.2 * scale))
                for _ in range(2)
            ]
        )

    field = white()
    clip = np.empty((rows, columns, frames), np.float32)
    period = rng.uniform(8, 25)
    warp = gaussian_filter(rng.normal(size=(2, rows, columns)).astype(np.float32), (0, 25 * scale, 25 * scale))
    warp /= np.abs(warp).max() + 1e-6
    for t in range(frames):
        phase = np.sin(2 * np.pi * t / period)
        if t and correlation < 1:
            field = correlation * field + np.sqrt(1 - correlation**2) * white()
        amplitude = np.hypot(*field)
        level = reflectivity
        if motion:
            coordinates = [y + motion * phase * warp[0], x + motion * phase * warp[1]]
            amplitude = map_coordinates(amplitude, coordinates, order=1, mode="reflect")
            level = map_coordinates(level, coordinates, order=1, mode="nearest")
        for a, d, ra, rd in chambers:
            grown = 1 + 0.15 * phase * (motion > 0)
            hole = ((lateral - a) / (ra * grown)) ** 2 + ((depth - d) / (rd * grown)) ** 2
            level = level - 35 * np.clip(1.3 - hole, 0, 1) + 12 * np.exp(-(((hole - 1.6) / 0.4) ** 2))
        envelope = 20 * np.log10(amplitude / (field.std() * 1.4) + 1e-3) + level
        clip[..., t] = 255 * np.clip(1 + envelope / gamma, 0, 1)
    return clip


def _real_tissue(rng, tissue, depth, lateral, frames, disturbances):
    """A real clip (frames, rows, columns) of 480 x 640, bent into another probe's field of view."""
    angle = lateral.clip(-1.1, 1.1) * np.radians(42.3) * rng.choice([-1, 1])
    radius = 37 + depth.clip(-0.1, 1.1) * (382 - 37)
    coordinates = [18 + radius * np.cos(angle), 339.5 + radius * np.sin(angle)]
    step = int(rng.integers(1, 4))
    first = int(rng.integers(0, len(tissue)))
    gain, still = rng.uniform(0.7, 1.6), "static_probe" in disturbances
    chosen = [(first + (step * t if not still else t % 2)) % len(tissue) for t in range(frames)]
    return gain * np.stack([map_coordinates(tissue[k], coordinates, order=1) for k in chosen], axis=-1)


def _panel(rng, sector):
    ys, xs = np.nonzero(sector)
    window = np.zeros_like(sector)
    gap = int(rng.integers(0, 12))
    window[max(0, ys.min() - gap) : ys.max() + gap + 1, max(0, xs.min() - gap) : xs.max() + gap + 1] = True
    return ~window if rng.random() < 0.7 else ~sector


def _doppler(rng, screen, sector, depth, lateral):
    low, high = sorted(rng.uniform(-0.8, 0.8, 2))
    d0, d1 = sorted(rng.uniform(0.15, 0.9, 2))
    high, d1 = max(high, low + 0.3), max(d1, d0 + 0.25)
    box = sector & (lateral > low) & (lateral < high) & (depth > d0) & (depth < d1)
    for t in range(screen.shape[-1]):
        flow = gaussian_filter(rng.normal(size=sector.shape), 5)
        flow /= flow.std()
        for channel, side in ((0, flow > 0.7), (2, flow < -0.7)):
            inside = box & side
            screen[channel, ..., t][inside] = 120 + 60 * np.abs(flow[inside])
            screen[(channel + 1) % 3, ..., t][inside] = 20
    edge = box & ~(np.roll(box, 1, 0) & np.roll(box, -1, 0) & np.roll(box, 1, 1) & np.roll(box, -1, 1))
    screen[:, edge] = 200


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


def _overlay(rng, images, sector, colour):
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


def _clock(rng, images, sector):
    font = _font(sector.shape[0])
    place = _free(rng, sector, sector.shape[0] // 18, int(font.getlength("12:34:56.7")) + 2)
    start, rate = rng.integers(0, 50), rng.choice([0.04, 0.1, 0.5])
    if place:
        for t, image in enumerate(images):
            ImageDraw.Draw(image).text(
                (place[1], place[0]), f"14:02:{start + t * rate:04.1f}", fill=(230, 230, 230), font=font
            )


def _counter(rng, images, sector):
    font = _font(sector.shape[0] * (2 if rng.random() < 0.3 else 1))
    place = _free(rng, sector, sector.shape[0] // 12, int(font.getlength("188/200")) + 2)
    if place:
        for t, image in enumerate(images):
            ImageDraw.Draw(image).text((place[1], place[0]), f"{101 + 7 * t}/900", fill=(240, 240, 120), font=font)


def _flash(rng, images, sector):
    side = sector.shape[0] // 10
    place = _free(rng, sector, side, side)
    if place:
        for image in images:
            if rng.random() < 0.5:
                ImageDraw.Draw(image).ellipse(
                    [place[1], place[0], place[1] + side, place[0] + side], fill=(255, 60, 60)
                )


def _inside(rng, images, sector):
    ys, xs = np.nonzero(sector)
    spots = [int(rng.integers(len(ys))) for _ in range(4)]
    for image in images:
        draw = ImageDraw.Draw(image)
        for k in range(int(ys.min()), int(ys.max()), 14):
            draw.point((int(xs.mean()), k), fill=(200, 200, 200))
        for s in spots:
            draw.line([xs[s] - 3, ys[s], xs[s] + 3, ys[s]], fill=(255, 255, 255))
            draw.line([xs[s], ys[s] - 3, xs[s], ys[s] + 3], fill=(255, 255, 255))


def _mmode(rng, images, sector):
    """An M-mode strip under the sector, where there is room: written column by column behind a bright cursor."""
    rows, columns = sector.shape
    top = int(np.nonzero(sector.any(1))[0].max()) + int(rng.integers(2, 8))
    height = rows - top - 2
    if height < 12:
        return
    strip = gaussian_filter(rng.normal(size=(height, columns)), (1, 3)) * 300 + 90
    later = gaussian_filter(rng.normal(size=(height, columns)), (1, 3)) * 300 + 90
    start, speed = int(rng.integers(0, columns)), columns / 40
    for t, image in enumerate(images):
        pixels = np.asarray(image).copy()
        cursor = int(start + speed * t) % columns
        done = np.arange(columns) < cursor
        pixels[top : top + height] = np.where(done, later, strip).clip(0, 255).astype(np.uint8)[..., None]
        pixels[top : top + height, cursor : cursor + 2] = 255
        image.paste(Image.fromarray(pixels))


def _ecg(rng, images, sector, kind):
    rows, columns = sector.shape
    last = int(np.nonzero(sector.any(1))[0].max())
    height = int(rows * rng.uniform(0.05, 0.12))
    if kind == "ecg_overlap":
        base = last + int(rng.uniform(-0.8, 0.4) * height)
    else:
        base = max(last + int(rng.uniform(0.5, 1.2) * height), rows - int(1.4 * height))
    base = min(base, rows - height // 4 - 2)
    left, right = int(columns * rng.uniform(0, 0.25)), int(columns * rng.uniform(0.75, 1))
    beat, ink = rng.uniform(0.25, 0.6) * columns, [(60, 255, 60), (255, 255, 0), (230, 230, 230)][rng.integers(3)]
    s = np.arange(3 * columns)
    phase = (s % beat) / beat
    wave = np.exp(-(((phase - 0.3) / 0.012) ** 2)) - 0.25 * np.exp(-(((phase - 0.34) / 0.012) ** 2))
    wave += 0.2 * np.exp(-(((phase - 0.6) / 0.05) ** 2)) + 0.1 * np.exp(-(((phase - 0.15) / 0.03) ** 2))
    wave = gaussian_filter1d(wave, 1) + rng.normal(0, 0.01, len(s))
    speed, width = columns / rng.uniform(30, 90), int(rng.integers(1, 3))
    offset = int(rng.integers(0, columns))
    for t, image in enumerate(images):
        draw = ImageDraw.Draw(image)
        x = np.arange(left, right)
        if kind == "ecg_sweep":  # the trace stands still, a gap runs over it
            cursor = left + (offset + speed * t) % (right - left)
            part = [x[x < cursor - 2], x[x > cursor + columns // 25]]
            values = [wave[p + columns] if i == 0 else wave[p] for i, p in enumerate(part)]
        else:
            part, values = [x], [wave[(x + offset + int(speed * t)) % len(wave)]]
        for p, v in zip(part, values, strict=True):
            if len(p) > 1:
                draw.line(
                    [(int(a), int(base - height * 0.8 * b)) for a, b in zip(p, v, strict=True)], fill=ink, width=width
                )


def _jpeg(image, quality):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert(image.mode)
