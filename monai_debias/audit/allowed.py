# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""From a finding to its mend without annotations: the stamps and patches that were found make a mask of the rest."""

from __future__ import annotations

import torch

from monai_debias.audit.boxes import box_mask
from monai_debias.audit.run import Audit
from monai_debias.constraints import Instance
from monai_debias.parameters import expects

__all__ = ["allowed_region"]


@expects(audit=Instance(Audit))
def allowed_region(audit: Audit) -> torch.Tensor | None:
    """A mask of what may be looked at: all but the stamps and patches that the network uses, and a box around each.

    It takes the place of a mask of the region of interest, in BackMix, background consistency and an ISNet, for images
    in the size in which they were audited.

    Args:
        audit: the result of an audit.

    Returns:
        A mask (1, spatial...) of uint8, 1 = may be looked at; None if nothing was found that has a place.

    Raises:
        TypeError: when ``audit`` is something else.

    Example:
        >>> import torch
        >>> from monai_debias.audit import audit
        >>> from monai_debias.audit.checks import PatchUsed
        >>> items = [{"image": torch.full((1, 16, 16), 0.5), "label": i % 2} for i in range(120)]
        >>> for item in items:
        ...     item["image"][:, :2, :2] = item["label"]
        >>> found = audit(lambda x: 20 * x[:, 0, 0, :1] - 10, items, "binary", checks=[PatchUsed()])
        >>> region = allowed_region(found)
        >>> bool(region[0, :2, :2].any()), bool(region[0, 4:, 4:].all())
        (False, True)
    """
    size = audit.subject.size[1:]
    boxes = [
        tuple(_wider(start, end, side) for (start, end), side in zip(box, size, strict=True))
        for one in audit.findings
        if one.level == "used" and one.verdict == "found"
        for box in one.details.get("boxes", ())
    ]
    return (~box_mask(boxes, size)).to(torch.uint8)[None] if boxes else None


def _wider(start: int, end: int, side: int) -> tuple[int, int]:
    """With its length more at both ends: the fewest boxes that decide may be a part of a mark."""
    margin = end - start
    return max(0, start - margin), min(side, end + margin)
