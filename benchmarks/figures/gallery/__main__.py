# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Draw docs/images/gallery: a picture of what each transform does, made by the transform itself.

    python -m benchmarks.figures.gallery                 # all of them
    python -m benchmarks.figures.gallery RandBackMix     # some

The images are of the demo cohorts, so that the same pictures come out each time.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.figures.gallery import images, masks, signals

FOLDER = Path(__file__).parents[3] / "docs" / "images" / "gallery"
PICTURES = {**images.PICTURES, **masks.PICTURES, **signals.PICTURES}


def main(*names: str) -> None:
    """Draw the pictures of these names, or all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in names or PICTURES:
        PICTURES[name]().savefig(FOLDER / f"{name}.png", dpi=80)
        print(f"docs/images/gallery/{name}.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
