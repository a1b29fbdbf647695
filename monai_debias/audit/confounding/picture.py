# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A picture of what goes with the label."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from monai_debias.audit.confounding.confounder import Confounder
from monai_debias.audit.confounding.survey import Survey

__all__ = ["survey_figure"]

_MOST = 15
_SURE, _UNSURE = "#b2182b", "#8c8c8c"


def survey_figure(survey: Survey) -> Figure:
    """Draw two panels: what attributes tell about the label, and how well properties of the files predict it.

    A dot is the value, a line its interval, a tick what chance alone reaches; red is more than chance. Of more than 15,
    the strongest are shown.

    Args:
        survey: from :func:`~monai_debias.audit.confounding.survey.survey_section`.

    Returns:
        A figure; nothing is shown or saved.

    Example:
        >>> line = Confounder("attribute", "hospital", "", 0.6, 0.5, 0.7, 0.02, 0.001, 0.001, 3, 40)
        >>> survey_figure(Survey("training", 80, 40, [line], [])).savefig("/dev/null", format="png")
    """
    rows = max(2, *(min(_MOST, len(part)) for part in (survey.attributes, survey.properties)))
    figure = Figure(figsize=(10, 1.5 + 0.27 * rows), layout="constrained")
    left, right = figure.subplots(1, 2)
    _panel(left, survey.attributes, rows, "share of the label's entropy that an attribute tells", (-0.02, 1.02), 0)
    _panel(right, survey.properties, rows, "AUC of a property of the files for the label", (0.38, 1.02), 0.5)
    figure.suptitle(f"What goes with the label: section {survey.section!r}, {survey.patients} patients", fontsize=10)
    return figure


def _panel(
    panel: Axes, lines: Sequence[Confounder], rows: int, label: str, limits: tuple[float, float], nothing: float
) -> None:
    shown = sorted(lines, key=lambda line: (not line.is_more_than_chance, -line.effect))[:_MOST]
    panel.axvline(nothing, color="black", lw=0.8)
    for y, line in enumerate(shown):
        colour = _SURE if line.is_more_than_chance else _UNSURE
        panel.plot([line.low, line.high], [y, y], color=colour, lw=2, alpha=0.6, solid_capstyle="butt")
        panel.plot(line.effect, y, "o", color=colour, ms=5)
        panel.plot(line.chance, y, "|", color="black", ms=9)
    if not shown:
        panel.text(0.5, 0.5, "none that differ between images", transform=panel.transAxes, ha="center", fontsize=8)
    more = f" ({len(lines) - _MOST} more are weaker)" if len(lines) > _MOST else ""
    panel.set(xlim=limits, ylim=(rows - 0.4, -0.6))
    panel.set_yticks(range(len(shown)), [line.title for line in shown], fontsize=8)
    panel.set_xlabel(label + more, fontsize=8)
    panel.tick_params(axis="x", labelsize=8)
    panel.grid(axis="x", lw=0.4)
    panel.spines[["top", "right"]].set_visible(False)
