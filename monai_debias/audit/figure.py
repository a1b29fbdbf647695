# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""An audit as one figure, for a notebook or TensorBoard: what was found, and the images that show it."""

from __future__ import annotations

import base64
import io
from typing import cast

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.image import imread
from numpy.typing import NDArray

from monai_debias.audit.finding import Evidence, Finding
from monai_debias.audit.run import Audit
from monai_debias.audit.sentences import headline
from monai_debias.constraints import Instance, Integer
from monai_debias.parameters import expects

__all__ = ["audit_figure"]

_COLORS = {"used": "#c0392b", "found": "#c9902b", "not found": "#2e7d32", "too little data": "#8a8f98"}


@expects(audit=Instance(Audit), n_images=Integer("[0, inf)"))
def audit_figure(audit: Audit, n_images: int = 3) -> Figure:
    """Draw the findings of an audit that make a claim, and the images that show the largest one that was found.

    Each finding is a dot, its effect, with its 95 % interval as a bar, in units of its own δ, the smallest effect that
    matters: red where a shortcut is used, yellow where it is only encoded or present, green where the interval ends
    below δ, grey where there is too little data.
    Images are shown before and after the exchange.

    Args:
        audit: the result of :func:`~monai_debias.audit.audit`.
        n_images: how many images to show, at most.

    Returns:
        The figure; nothing is shown or saved.

    Raises:
        ValueError: when no finding of the audit makes a claim.

    Example:
        >>> import torch
        >>> from monai_debias.audit import audit
        >>> items = [{"image": torch.rand(1, 8, 8), "label": i % 2, "patient_id": i} for i in range(60)]
        >>> for item in items:
        ...     item["mask"] = torch.zeros(1, 8, 8)
        ...     item["mask"][:, 2:6, 2:6] = 1
        >>> network = lambda x: torch.stack([x[:, 0, 0, 0], x[:, 0, 3, 3]], 1)
        >>> len(audit_figure(audit(network, items), n_images=0).axes)
        1
    """
    claims = [one for one in audit.findings if one.level != "described" and one.effect is not None]
    if not claims:
        raise ValueError("no finding of this audit makes a claim: there is nothing to draw.")
    shown = max((one for one in claims if one.evidence), key=_weight, default=None)
    evidence = shown.evidence[:n_images] if shown is not None else ()
    height = max(1.2 + 0.38 * len(claims), 2.0 * bool(evidence) + 1.2)
    figure = Figure(figsize=(7 + 1.9 * len(evidence), height), layout="constrained")
    if shown is None or not evidence:
        _draw_findings(figure.subplots(), sorted(claims, key=_weight))
        return figure
    left, right = cast("NDArray", figure.subfigures(1, 2, width_ratios=[7, 1.9 * len(evidence)]))
    _draw_findings(left.subplots(), sorted(claims, key=_weight))
    _draw_images(right, evidence, headline(shown))
    return figure


def _weight(finding: Finding) -> tuple[bool, bool, float]:
    return finding.verdict == "found", finding.level == "used", (finding.effect or 0.0) / finding.delta


def _draw_findings(axes: Axes, findings: list[Finding]) -> None:
    for y, one in enumerate(findings):
        color = _COLORS["used" if (one.verdict, one.level) == ("found", "used") else one.verdict]
        low, effect, high = (one.effect if end is None else end for end in (one.low, one.effect, one.high))
        axes.plot([low / one.delta, high / one.delta], [y, y], color=color, lw=3, alpha=0.5, solid_capstyle="butt")  # type: ignore[operator]
        axes.plot(effect / one.delta, y, "o", color=color)  # type: ignore[operator]
    axes.axvspan(-1, 1, color="0.93", zorder=0)
    axes.axvline(0, color="0.5", lw=0.8)
    axes.set(yticks=range(len(findings)), yticklabels=[headline(one) for one in findings])
    axes.set(ylim=(-0.7, len(findings) - 0.3), xlabel="effect, in units of the smallest that matters (δ)")
    axes.set_xscale("symlog", linthresh=2)
    axes.margins(x=0.05)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_images(panel: SubFigure, evidence: tuple[Evidence, ...], title: str) -> None:
    panel.suptitle(title, fontsize=9)
    grid = panel.subplots(2, len(evidence), squeeze=False)
    for column, one in zip(grid.T, evidence, strict=True):
        for axes, address in zip(column, (one.before, one.after), strict=True):
            axes.imshow(_pixels(address))
            axes.set(xticks=[], yticks=[])
        what, _, change = one.caption.partition(": ")
        column[0].set_title(what, fontsize=7)
        column[1].set_xlabel(change, fontsize=7)
    grid[0, 0].set_ylabel("before", fontsize=8)
    grid[1, 0].set_ylabel("after", fontsize=8)


def _pixels(address: str) -> NDArray:
    return imread(io.BytesIO(base64.b64decode(address.partition(",")[2])), format="png")
