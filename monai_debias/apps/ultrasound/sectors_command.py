# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The command ``monai-debias sectors``: masks, a contact sheet to check them by, a table, a datalist."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import cast

import torch
from monai.data import MetaTensor

from monai_debias.apps.ultrasound.load import LoadUltrasound
from monai_debias.apps.ultrasound.sector_mask import UNSURE_BELOW, SectorGuessWarning, UltrasoundSectorMask
from monai_debias.constraints import BOOL, NONE, PATH, Integer
from monai_debias.data.found_masks.command import Source, with_masks, write_masks
from monai_debias.data.found_masks.find_all import GivenMask
from monai_debias.data.found_masks.finder import FoundMask, MaskFinder
from monai_debias.data.found_masks.mask_file import read_mask
from monai_debias.distributed import is_first
from monai_debias.files import write_json
from monai_debias.parameters import expects

__all__ = ["SectorFinder", "sectors"]


@expects(source=PATH, out=PATH, mask=NONE | PATH, workers=NONE | Integer("[1, inf)"), progress=BOOL)
def sectors(source: str, out: str, mask: str | None = None, workers: int | None = None, progress: bool = True) -> None:
    """Find the ultrasound sector of every image, and write masks, contact sheets and a table to check them by.

    Writes OUT/masks/….png, OUT/sectors.csv, and OUT/contact_sheet_1.png and so on with the least certain masks first,
    up to a thousand. To correct a mask, edit its PNG (white = sector) and run the command again: an edited mask is
    kept, and those that are there are not looked for again. Where SOURCE has a datalist.json, the paths of the masks
    are added to its items, so that a bundle trains with them; items with a mask of their own keep it. The sheets show
    the images as they are, with whatever text is burned into them. What is not ultrasound is listed in
    OUT/left_out.csv. The exit code is 1 if an image has no mask.

    Args:
        source: a data-set directory with a datalist.json, that file itself, or any folder or file of ultrasound.
        out: the folder to write to.
        mask: a mask file for all images of the source, such as those of one scanner, instead of finding sectors.
        workers: number of processes; None = one per available processor.
        progress: whether to show a progress bar.
    """
    target = Path(out).expanduser()
    images = Source(source, target)
    if images.content and not images.found.files:
        print(f"every image in {images.datalist} already has a mask; name a folder in it to find masks anew")
        return
    finder: MaskFinder = SectorFinder()
    if mask is not None:
        finder = GivenMask(finder, read_mask(Path(mask).expanduser()))
    rows = write_masks(images, target, finder, "ultrasound", "sectors", workers, progress)
    if not is_first():
        return
    if images.content:
        write_json(images.datalist, with_masks(images, rows, images.directory))
    without = [row for row in rows if row.mask is None]
    print(f"{len(rows) - len(without)} masks of {len(rows)} images in {target}; look at contact_sheet_1.png first")
    if without:
        reasons = "".join(f"\n  {row.image}: {row.doubts}" for row in without[:5])
        raise SystemExit(f"{len(without)} of {len(rows)} images have no mask{reasons}")


class SectorFinder:
    """Finds the sector of ultrasound clips and stills; unsure ones are usable only after a look.

    Example:
        >>> import tempfile
        >>> from pydicom.data import get_testdata_file
        >>> from monai_debias.data.found_masks.find_all import find_masks
        >>> clip = Path(get_testdata_file("examples_ybr_color.dcm"))
        >>> with tempfile.TemporaryDirectory() as out, warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")  # its regions do not fit
        ...     [row], left_out = find_masks([clip], clip.parent, out, SectorFinder())
        >>> row.image, row.method, row.confidence > 0.9
        ('examples_ybr_color.dcm', 'clip', True)
    """

    signature = "sector 1"  # the number counts versions that find other sectors

    def load(self, path: Path) -> torch.Tensor:
        """Read a clip or a still.

        Args:
            path: the file.
        """
        return LoadUltrasound()(path)

    def find(self, image: torch.Tensor) -> FoundMask:
        """Find the sector.

        Args:
            image: (1, rows, columns) or (1, rows, columns, frames).
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SectorGuessWarning)  # the doubts are returned
            found = cast(MetaTensor, UltrasoundSectorMask()(image))
        method, confidence, doubts = (found.meta[f"sector_{name}"] for name in ("source", "confidence", "doubts"))
        return FoundMask(found[0].numpy() > 0, method, confidence, doubts, confidence >= UNSURE_BELOW)
