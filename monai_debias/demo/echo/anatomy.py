# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The heart of a virtual patient as the four standard echo views cut it: a map of echogenicity in decibels.

Everything is drawn with ellipses and strokes in centimetres; x points to the right in the picture and y is the depth
below the probe. The proportions are those of an adult heart: a cartoon that a sonographer recognises, not a model of
real patients.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from monai_debias.constraints import ARRAY, Instance, Number, OneOf
from monai_debias.demo.echo.canvas import Canvas, Field, Point
from monai_debias.demo.echo.heart import Beat, Heart
from monai_debias.parameters import expects

__all__ = ["VIEWS", "anatomy"]

VIEWS = ("PLAX", "PSAX", "A2C", "A4C")

# Echogenicity in dB relative to healthy myocardium; that of blood depends on the patient.
_MUSCLE, _VALVE, _FIBROUS, _PERICARDIUM = 0.0, 6.0, 3.0, 11.0


@expects(
    view=OneOf(*VIEWS),
    x=ARRAY,
    y=ARRAY,
    heart=Instance(Heart),
    beat=Instance(Beat),
    basal=Number("[0, 1]"),
)
def anatomy(view: str, x: Field, y: Field, heart: Heart, beat: Beat, basal: float = 0.5) -> Field:
    """Echogenicity of a standard view at given points.

    Args:
        view: one of :data:`VIEWS`.
        x: the points' distance to the right of the probe's axis in cm, any shape.
        y: the points' depth below the probe in cm, same shape.
        heart: the patient.
        beat: the moment of the cardiac cycle.
        basal: level of the short-axis cut: 0 through the papillary muscles, 1 through the mitral valve; other views
            ignore it.

    Returns:
        float32 array of the shape of ``x``: dB relative to healthy myocardium, soft-edged.

    Raises:
        ValueError: when ``view`` is unknown.

    Example:
        >>> import numpy as np
        >>> from monai_debias.demo.echo.anatomy import anatomy
        >>> from monai_debias.demo.echo.heart import Heart, beat_at
        >>> y, x = np.mgrid[2:14:60j, -5:5:50j].astype(np.float32)
        >>> anatomy("PSAX", x, y, Heart(), beat_at(0.0)).shape
        (60, 50)
    """
    canvas = Canvas(x, y, heart.tissue)
    _PAINTERS[view](canvas, heart, beat, basal)
    return canvas.echo


def _plax(s: Canvas, heart: Heart, beat: Beat, basal: float) -> None:
    """Long axis: right ventricle on top, left ventricle left, aorta right, left atrium below the aorta."""
    c = beat.contraction
    wall = heart.wall * (1 + 0.35 * c)
    half = 2.4 * heart.ventricle * (1 - heart.ejection * c)
    middle = 7.2
    hinge = 1.0 - 0.7 * c  # the base moves towards the apex
    cavity = s.ellipse((-1.9 - 0.3 * c, middle + 0.1), half, 5.0 - 0.5 * c, tilt=-84)
    outside = cavity - np.float32(wall)
    root_top = middle - 2.3 * heart.ventricle
    root_bottom = root_top + 2.9
    root = s.vessel((hinge - 0.2, 0.5 * (root_top + root_bottom)), 1.4, slope=-0.1)
    size = heart.atrium * (1 + 0.12 * c)
    atrium = s.ellipse((hinge + 2.1 * size, root_bottom + 0.1 + 1.95 * size), 2.5 * size, 2.0 * size, tilt=10)
    outflow = s.ellipse((-0.3, root_top - 0.5 - 1.1 * heart.right), 5.5, 1.1 * heart.right, tilt=-5)

    s.fill(np.minimum(np.minimum(outflow - 0.45, outside), np.minimum(atrium - 0.2, root - 0.3)), _MUSCLE)
    s.fill(outflow, heart.blood)
    s.fill(np.maximum(outside, s.x - np.float32(hinge)), _MUSCLE)
    s.fill(root - 0.22, _FIBROUS)
    s.fill(root, heart.blood)
    s.fill(atrium, heart.blood)
    s.fill(np.maximum(cavity, s.x - np.float32(hinge + 0.5)), heart.blood)
    posterior = np.minimum(outside - 0.15, atrium - 0.4)
    s.fill(np.where(s.y > middle + 1.2, np.abs(posterior) - 0.16, np.float32(1.0)), _PERICARDIUM, softness=0.3)
    aorta = (hinge + 1.2, root_bottom + 3.9 * size + 1.9)  # the descending aorta, behind the left atrium
    s.fill(s.ellipse(aorta, 1.25, 1.25), _FIBROUS)
    s.fill(s.ellipse(aorta, 1.0, 1.0), heart.blood)

    # Mitral valve: the front leaflet hangs from the aortic root, the rear one from the posterior wall.
    front, rear = (hinge + 0.2, root_bottom), (hinge + 0.2, middle + half - 0.25)
    meeting = (hinge - 1.5, middle + 0.4 * half)
    open_front, open_rear = (hinge - 2.2, middle - 0.5 * half), (hinge - 1.2, middle + 0.85 * half)
    s.stroke([front, _between(meeting, open_front, beat.mitral)], _VALVE, 0.16)
    s.stroke([rear, _between(meeting, open_rear, beat.mitral)], _VALVE, 0.16)
    # Aortic valve: one line in the middle of the root when closed, two parallel ones along its walls when open.
    mid = 0.5 * (root_top + root_bottom) - 0.1
    for sign in (-1, 1):
        tip = (hinge + 1.1, mid + sign * 1.0 * beat.aortic)
        s.stroke([(hinge + 0.2, mid + sign * 1.3), tip, (hinge + 1.7, tip[1])], _FIBROUS, 0.12)


def _psax(s: Canvas, heart: Heart, beat: Beat, basal: float) -> None:
    """Short axis: the ring of the left ventricle with the crescent of the right one at its upper left."""
    c = beat.contraction
    wall = heart.wall * (1.05 + 0.4 * c)
    radius = 2.4 * heart.ventricle * (1 - heart.ejection * c)
    centre = (0.7, 7.6)
    cavity = s.ellipse(centre, radius, 0.96 * radius)
    outside = cavity - np.float32(wall)
    reach = 2.4 * heart.ventricle + heart.wall
    right = s.ellipse(
        (-1.3, 6.3), 0.55 * reach + 1.7 * heart.right, 0.55 * reach + 1.1 * heart.right * (1 - 0.2 * c), tilt=-35
    )
    s.fill(np.minimum(right - 0.4, outside), _MUSCLE)
    s.fill(right, heart.blood)
    s.fill(outside, _MUSCLE)
    s.fill(cavity, heart.blood)
    line = np.where(s.y > centre[1] + 0.8, np.abs(outside - 0.15) - 0.14, np.float32(1.0))
    s.fill(line, _PERICARDIUM, softness=0.3)
    if basal < 0.6:
        for angle in (35.0, 145.0):  # the papillary muscles at about 4 and 8 o'clock
            where = radius - 0.35
            at = (centre[0] + where * np.cos(np.radians(angle)), centre[1] + where * np.sin(np.radians(angle)))
            s.fill(s.ellipse(at, 0.55, 0.5), 2.0, softness=0.3)
    else:  # the mitral valve from below: a fish mouth
        gap, width = 0.12 + 0.75 * beat.mitral, 0.72 * radius
        mouth = s.ellipse((centre[0], centre[1] + 0.25 * radius), width, gap)
        s.rim(mouth, _VALVE, 0.16)


def _apical(s: Canvas, heart: Heart, beat: Beat, base: Point, tilt: float) -> tuple[Field, float, float]:
    """The left ventricle from its apex: distance to its cavity, wall thickness and depth of the valve plane."""
    c = beat.contraction
    wall = heart.wall * (1 + 0.35 * c)
    plane = base[1] - 1.2 * c
    top = 2.9
    half_length = 0.5 * (plane + 2.2 - top)
    width = 2.35 * heart.ventricle * (1 - heart.ejection * c)
    lean = np.tan(np.radians(tilt))
    centre = (base[0] - lean * (base[1] - top - half_length), top + half_length)
    cavity = s.ellipse(centre, width, half_length, tilt)
    return np.maximum(cavity, s.y - np.float32(plane + 0.2)), wall, plane


def _a2c(s: Canvas, heart: Heart, beat: Beat, basal: float) -> None:
    """Two chambers: the left ventricle with its apex on top, the left atrium below it, nothing beside them."""
    base = (0.3, 10.2)
    cavity, wall, plane = _apical(s, heart, beat, base, tilt=3)
    size = heart.atrium * (1 + 0.12 * beat.contraction)
    atrium = s.ellipse((base[0] + 0.1, plane + 0.2 + 1.9 * size), 2.35 * size, 2.0 * size)
    outside = np.minimum(cavity - np.float32(wall), atrium - 0.2)
    s.fill(outside, _MUSCLE)
    _deep_pericardium(s, outside, plane)
    s.fill(atrium, heart.blood)
    s.fill(cavity, heart.blood)
    left, right = (base[0] - 1.9 * heart.ventricle, plane), (base[0] + 1.9 * heart.ventricle, plane)
    _atrioventricular_valve(s, left, right, beat.mitral)
    s.fill(s.ellipse((left[0] - 0.55, plane + 0.2), 0.35, 0.35), heart.blood)  # coronary sinus


def _a4c(s: Canvas, heart: Heart, beat: Beat, basal: float) -> None:
    """Four chambers: the left heart on the right, the right heart on the left, the valves and septa forming a cross."""
    base = (1.75, 10.2)
    cavity, wall, plane = _apical(s, heart, beat, base, tilt=9)
    size, right = heart.atrium * (1 + 0.12 * beat.contraction), heart.right
    crux = (base[0] - 2.0 * heart.ventricle, plane)
    left_atrium = s.ellipse((crux[0] + 0.15 + 2.0 * size, plane + 0.2 + 1.9 * size), 2.0 * size, 2.0 * size)
    right_width = 2.35 * right * (1 - 0.22 * beat.contraction)
    right_plane = plane - 0.5
    ventricle = s.ellipse((crux[0] - 0.2 - 0.9 * right_width, right_plane - 1.7), right_width, 4.4, tilt=-16)
    ventricle = np.maximum(ventricle, s.y - np.float32(right_plane + 0.3))
    right_atrium = s.ellipse((crux[0] - 0.2 - 1.9 * right, right_plane + 0.3 + 1.9 * right), 1.9 * right, 2.0 * right)
    outside = np.minimum(
        cavity - np.float32(wall), np.minimum(ventricle - 0.4, np.minimum(left_atrium, right_atrium) - 0.3)
    )
    s.fill(outside, _MUSCLE)
    _deep_pericardium(s, outside, plane)
    s.fill(ventricle, heart.blood)
    s.fill(cavity - np.float32(wall), _MUSCLE)  # the septum bulges into the right ventricle
    s.fill(right_atrium, heart.blood)
    s.fill(left_atrium, heart.blood)
    s.fill(cavity, heart.blood)
    s.stroke([(crux[0], right_plane - 0.6), (crux[0], plane + 0.6)], _VALVE, 0.45)
    s.stroke([(crux[0], plane + 0.4), (crux[0] - 0.05, plane + 4.2 * size)], -3.0, 0.22)
    _atrioventricular_valve(s, crux, (base[0] + 1.9 * heart.ventricle, plane), beat.mitral)
    _atrioventricular_valve(s, (crux[0] - 0.3 - 3.4 * right, right_plane), (crux[0] - 0.2, right_plane), beat.mitral)


def _atrioventricular_valve(s: Canvas, left: Point, right: Point, opening: float) -> None:
    """Two leaflets that meet a little above the annulus, or point up into the ventricle when open."""
    span = right[0] - left[0]
    meeting = (left[0] + 0.55 * span, left[1] - 0.15)
    for hinge, side, length in ((left, 1, 0.5), (right, -1, 0.4)):
        opened = (hinge[0] + side * 0.14 * span, hinge[1] - length * span)
        tip = _between(meeting, opened, opening)
        belly = (0.5 * (hinge[0] + tip[0]), 0.5 * (hinge[1] + tip[1]) + 0.12)
        s.stroke([hinge, belly, tip], _VALVE, 0.16)
        s.fill(s.ellipse(hinge, 0.35, 0.3), _FIBROUS, softness=0.3)


def _deep_pericardium(s: Canvas, outside: Field, plane: float) -> None:
    """The bright line below the atria, where the pericardium faces the beam."""
    line = np.where(s.y > plane + 1.5, np.abs(outside - 0.2) - 0.2, np.float32(1.0))
    s.fill(line, _PERICARDIUM, softness=0.4)


def _between(a: Point, b: Point, t: float) -> Point:
    return (a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]))


_PAINTERS: dict[str, Callable[[Canvas, Heart, Beat, float], None]] = {
    "PLAX": _plax,
    "PSAX": _psax,
    "A2C": _a2c,
    "A4C": _a4c,
}
