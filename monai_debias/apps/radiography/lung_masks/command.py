# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The command ``monai-debias masks``: lung masks, contact sheets, a table, and a datalist with good masks."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from monai_debias.apps.radiography.lung_masks.finder import LungFinder
from monai_debias.constraints import BOOL, NONE, PATH, Integer
from monai_debias.data.datalist import read_datalist
from monai_debias.data.datalist_items import DATALIST_NAME
from monai_debias.data.found_masks.command import Source, with_masks, write_masks
from monai_debias.data.found_masks.find_all import MaskRow
from monai_debias.distributed import is_first
from monai_debias.files import write_json
from monai_debias.parameters import expects

__all__ = ["masks"]

_SOURCE = "masks_found_for"  # key of a datalist of this command


@expects(source=PATH, out=PATH, checkpoint=NONE | PATH, workers=NONE | Integer("[1, inf)"), progress=BOOL)
def masks(
    source: str, out: str, checkpoint: str | None = None, workers: int | None = None, progress: bool = True
) -> None:
    """Find the lungs in every chest film, and write masks, contact sheets and a table to check them by.

    Writes OUT/masks/….png, OUT/masks.csv with what speaks against each mask, and OUT/contact_sheet_1.png and so on,
    with the doubtful masks first and in red. Where SOURCE has a datalist.json, OUT/datalist.json is the same with the
    masks: those in doubt are left out, which BackMix and ISNet allow, and masks that an item had already stay.
    Nothing of SOURCE is changed. Train with --dataset_dir OUT.

    To correct a mask, edit its PNG (white = lung) and run the command again: what was edited counts as good, and is
    never replaced; other masks that are there are not looked for again, so that an interrupted run goes on. The sheets
    show the films as they are, with whatever text is burned into them. What is no film is listed in OUT/left_out.csv.

    Args:
        source: a data-set directory with a datalist.json, that file itself, or any folder or file of films.
        out: the folder to write to.
        checkpoint: weights that bundles/lung_mask trained; None for those of the package, which come from the demo
            cohort and are not for clinical use.
        workers: number of processes; None = one per available processor.
        progress: whether to show a progress bar.
    """
    target = Path(out).expanduser()
    films = Source(source, target)
    _refuse_other_datalist(films, target)
    if films.content and not films.found.files:
        print(f"every film in {films.datalist} already has a mask; name a folder in it to find masks anew")
        return
    rows = write_masks(films, target, LungFinder(checkpoint), "chest film", "masks", workers, progress)
    if not is_first():
        return
    if films.content:
        usable = [row for row in rows if row.usable]
        content = with_masks(films, usable, target)
        write_json(target / DATALIST_NAME, {**content, _SOURCE: _place(films.datalist, target)})
    _tell(rows, target)


def _refuse_other_datalist(films: Source, target: Path) -> None:
    """Only a datalist of this command, for the same source, may be replaced."""
    there = target / DATALIST_NAME
    if films.content and there.exists() and read_datalist(there).get(_SOURCE) != _place(films.datalist, target):
        raise FileExistsError(
            f"{there} is not a datalist that this command made of {films.datalist}; nothing was written, choose "
            "another folder."
        )


def _place(datalist: Path, target: Path) -> str:
    return Path(os.path.relpath(datalist, target)).as_posix()


def _tell(rows: Sequence[MaskRow], target: Path) -> None:
    usable = sum(row.usable for row in rows)
    print(f"{usable} of {len(rows)} masks in {target} are usable; look at contact_sheet_1.png first")
    reasons = Counter(row.doubts for row in rows if not row.usable)
    for reason, count in reasons.most_common(5):
        print(f"  {count} left out: {reason}")
    if not usable:
        raise SystemExit(f"none of {len(rows)} films has a usable mask")
