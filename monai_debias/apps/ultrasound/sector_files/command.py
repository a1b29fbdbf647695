# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The command ``python -m monai_debias sectors``: masks, a contact sheet to check them by, a table, a datalist."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_debias.apps.ultrasound.sector_files.find_all import SectorRow, find_sector_masks
from monai_debias.apps.ultrasound.sector_files.sheet import sector_sheet
from monai_debias.data.datalist import read_datalist
from monai_debias.data.datalist_items import DATALIST_NAME
from monai_debias.data.folder_search import FoundFiles, find_files
from monai_debias.data.left_out import refuse_left_out, report_left_out
from monai_debias.files import replace_file, write_csv, write_json

__all__ = ["sectors"]

_COLUMNS = ("number", "image", "mask", "method", "confidence", "area", "doubts")
_PER_SHEET = 40


def sectors(source: str, out: str, mask: str | None = None, progress: bool = True) -> None:
    """Find the ultrasound sector of every image, and write masks, contact sheets and a table to check them by.

    Writes OUT/masks/….png, OUT/sectors.csv, and OUT/contact_sheet_1.png and so on with the least certain masks first.
    To correct a mask, edit its PNG (white = sector) and run the command again: an edited mask is kept. Where SOURCE has
    a datalist.json, the paths of the masks are added to its items, so that a bundle trains with them; items with a mask
    of their own keep it. The sheets show the images as they are, with whatever text is burned into them. What is not
    ultrasound is listed in OUT/left_out.csv. The exit code is 1 if an image has no mask.

    Args:
        source: a data-set directory with a datalist.json, that file itself, or any folder or file of ultrasound.
        out: the folder to write to.
        mask: a mask file for all images of the source, such as those of one scanner, instead of finding sectors.
        progress: whether to show a progress bar.
    """
    target, where = Path(out).expanduser(), Path(source).expanduser()
    datalist = where if where.suffix == ".json" else where / DATALIST_NAME
    content = read_datalist(datalist) if datalist.is_file() else None
    files, not_tried = _files_of(content, datalist.parent, target) if content else _files_below(where, target)
    if content and not files:
        print(f"every image in {datalist} already has a mask; there is nothing to do")
        return
    directory = datalist.parent if content or where.is_dir() else where.parent
    rows, left_out = find_sector_masks(files, directory, target, mask, progress)
    left_out = not_tried + left_out
    if not rows:
        refuse_left_out(left_out, f"there is no ultrasound in {where}")
    target.mkdir(parents=True, exist_ok=True)
    report_left_out(target, left_out, len(rows), strict=False)
    _write_table(rows, target)
    _write_sheets(rows, target)
    if content:
        _complete(content, rows, datalist)
    without = [row for row in rows if row.mask is None]
    print(f"{len(rows) - len(without)} masks of {len(rows)} images in {target}; look at contact_sheet_1.png first")
    if without:
        reasons = "".join(f"\n  {row.image}: {row.doubts}" for row in without[:5])
        raise SystemExit(f"{len(without)} of {len(rows)} images have no mask{reasons}")


def _items(content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for section in content.values():
        if isinstance(section, list):
            yield from (item for item in section if isinstance(item, dict) and item.get("image"))


def _files_of(content: Mapping[str, Any], directory: Path, out: Path) -> FoundFiles:
    """The images of a datalist that have no mask, or one that this command wrote."""
    own = (out / "masks").resolve()
    wanted = [
        item["image"]
        for item in _items(content)
        if not item.get("mask") or (directory / item["mask"]).resolve().is_relative_to(own)
    ]
    return FoundFiles([str(directory / image) for image in dict.fromkeys(wanted)], [])


def _files_below(where: Path, out: Path) -> FoundFiles:
    """The files of a folder, except those that this command wrote there."""

    def is_other(file: str) -> bool:
        return not Path(file).resolve().is_relative_to(out.resolve())

    found = find_files(where)
    return FoundFiles([*filter(is_other, found.files)], [entry for entry in found.left_out if is_other(entry.file)])


def _write_table(rows: Sequence[SectorRow], out: Path) -> None:
    table = []
    for number, row in enumerate(rows, 1):
        mask = "" if row.mask is None else row.mask.relative_to(out).as_posix()
        table.append([number, row.image, mask, row.method, f"{row.confidence:.3f}", f"{row.area:.4f}", row.doubts])
    write_csv(out / "sectors.csv", _COLUMNS, table)


def _write_sheets(rows: Sequence[SectorRow], out: Path) -> None:
    for old in out.glob("contact_sheet_*.png"):
        old.unlink()
    for page, first in enumerate(range(0, len(rows), _PER_SHEET), 1):
        figure = sector_sheet(rows[first : first + _PER_SHEET], first + 1)
        with replace_file(out / f"contact_sheet_{page}.png", "wb") as file:
            figure.savefig(file, dpi=100, format="png")


def _complete(content: Mapping[str, Any], rows: Iterable[SectorRow], datalist: Path) -> None:
    """Add the paths of the masks to the items of the datalist."""
    masks = {row.image: row.mask for row in rows if row.mask is not None}
    for item in _items(content):
        image = Path(os.path.abspath(datalist.parent / item["image"]))
        name = os.path.relpath(image, os.path.abspath(datalist.parent))
        if Path(name).as_posix() in masks:
            item["mask"] = Path(os.path.relpath(masks[Path(name).as_posix()], datalist.parent)).as_posix()
    write_json(datalist, content)
