# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Draw docs/images/architecture.png: the sub-packages (rooms) with the imports between them, and one training step.

Run from the root of the repository: ``python -m benchmarks.figures.architecture``. The lines between the rooms are the
imports that the source code has; one that pointed upwards would be red.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "monai_debias"
GROUND = "the ground"
# from the top: who stands higher may import who stands lower, and rooms of one row in the order of their imports
FLOORS = (
    ("command line",),
    ("demo", "audit"),
    ("apps", "overlays"),
    ("handlers", "engines", "visualize", "inferers"),
    ("losses", "metrics"),
    ("data", "transforms", "relevance"),
    (GROUND,),
)
WHAT = {
    "command line": "monai-debias, python -m monai_debias",
    "demo": "cohorts with a planted shortcut",
    "audit": "does a network use a shortcut?",
    "overlays": "a method, for any bundle",
    "apps": "ultrasound, radiographs, ECGs",
    "handlers": "schedules, checkpoints, reports",
    "engines": "batch → image, label",
    "inferers": "logits with heatmaps",
    "visualize": "figures",
    "losses": "ISNet, spectral\ndecoupling, mixup, weights",
    "metrics": "background relevance,\nswap consistency, accuracy",
    "relevance": "LRP through any network",
    "transforms": "BackMix, mixing of batches",
    "data": "datalists, splits, file formats",
    GROUND: "files · parameters · tasks · labels · masks · networks · attached tensors · origin · pixels · processes",
}
STEP = (
    ("sample", "image, label,\nmask of the region"),
    ("transforms", "spatial: image and\nmask together;\nRandBackMixd"),
    ("prepare_batch", "label ⊕ mask, weight;\na mixup of the batch:\n⊕ mixed rows"),
    ("inferer", "the network, once:\nlogits ⊕ heatmap,\n⊕ mixed rows"),
    ("nested loss", "classification ← penalty\n← rows ← weights\n← ISNet's heatmap"),
    ("stock trainer", "backward, clipping, step;\npred and label as in\na plain training"),
)
INK, ROOM, LINE = "#1f2933", "#e6eef5", "#7b8794"


def main() -> None:
    """Draw the picture."""
    figure = Figure(figsize=(11, 9.2), layout="constrained")
    rooms, step = figure.subplots(2, 1, height_ratios=(3.4, 1))
    draw_rooms(rooms)
    draw_step(step)
    path = ROOT / "docs" / "images" / "architecture.png"
    figure.savefig(path, dpi=110)
    print(path.relative_to(ROOT))


def draw_rooms(axes: Axes) -> None:
    """The rooms on their floors, and every import from one to another."""
    places = {room: place for row, floor in enumerate(FLOORS) for room, place in _on_floor(floor, len(FLOORS) - row)}
    for importer, imported in sorted(imports()):
        (x, y, _), (to_x, to_y, _) = places[importer], places[imported]
        if imported == GROUND:
            continue  # all rooms stand on it
        bend = f"arc3,rad={0.18 if to_y == y else 0.04}"
        color = "#d64545" if to_y > y else LINE
        axes.add_patch(FancyArrowPatch((x, y), (to_x, to_y), connectionstyle=bend, color=color, lw=1, zorder=1))
    for room, (x, y, width) in places.items():
        _box(axes, x, y, width, 0.62, room, WHAT[room])
    axes.set(title="Rooms: whoever stands higher may import what is below, never the other way round", ylim=(0.5, 7.6))
    axes.set(xlim=(0, 12))
    axes.axis("off")


def draw_step(axes: Axes) -> None:
    """The way of a sample through one step of a training."""
    for n, (name, what) in enumerate(STEP):
        _box(axes, 1 + 2 * n, 0, 1.76, 1.1, name, what)
        if n:
            axes.annotate("", (2 * n + 0.14, 0), (2 * n - 0.14, 0), arrowprops={"arrowstyle": "-|>", "color": INK})
    axes.set(
        title="One training step; ⊕ is a companion that travels attached to a tensor", xlim=(0, 12), ylim=(-0.65, 0.65)
    )
    axes.axis("off")


def imports() -> set[tuple[str, str]]:
    """Pairs of rooms of which the first imports the second."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        importer = _room(path.relative_to(PACKAGE).with_suffix("").parts)
        for module in _imported(path):
            if module != ("monai_debias",) and module[0] == "monai_debias":
                found.add((importer, _room(module[1:])))
    return {(importer, imported) for importer, imported in found if importer != imported}


def _room(parts: tuple[str, ...]) -> str:
    if parts[0] in ("__main__", "__init__", "command_line"):
        return "command line"
    return parts[0] if (PACKAGE / parts[0]).is_dir() else GROUND


def _imported(path: Path) -> Iterator[tuple[str, ...]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield tuple(node.module.split("."))
        elif isinstance(node, ast.Import):
            yield from (tuple(name.name.split(".")) for name in node.names)


def _on_floor(rooms: tuple[str, ...], height: int) -> Iterator[tuple[str, tuple[float, float, float]]]:
    width = 12 / len(rooms)
    for n, room in enumerate(rooms):
        yield room, ((n + 0.5) * width, height, min(width - 0.4, 3.4) if room != GROUND else 11.6)


def _box(axes: Axes, x: float, y: float, width: float, height: float, name: str, what: str) -> None:
    corner = (x - width / 2, y - height / 2)
    style = "round,pad=0,rounding_size=0.08"
    axes.add_patch(FancyBboxPatch(corner, width, height, style, facecolor=ROOM, edgecolor=INK, lw=1, zorder=2))
    top = y + height / 2
    axes.text(x, top - 0.06 * (1 + height), name, ha="center", va="top", weight="bold", size=9.5, color=INK, zorder=3)
    axes.text(x, y - 0.16 * height, what, ha="center", va="center", size=7.8, color=INK, zorder=3)


if __name__ == "__main__":
    main()
