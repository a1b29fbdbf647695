# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What the commands that find masks share: from a datalist or a folder to masks, contact sheets and a table."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_debias.data.datalist import read_datalist
from monai_debias.data.datalist_items import DATALIST_NAME, PATH_KEYS
from monai_debias.data.folder_search import FoundFiles, find_files
from monai_debias.data.found_masks.find_all import SHOWN, MaskRow, find_masks
from monai_debias.data.found_masks.finder import MaskFinder
from monai_debias.data.found_masks.sheet import mask_sheet
from monai_debias.data.left_out import LeftOut, refuse_left_out, report_left_out
from monai_debias.distributed import is_first
from monai_debias.files import replace_file, write_csv

__all__ = ["Source", "with_masks", "write_masks"]

_COLUMNS = ("number", "image", "mask", "usable", "method", "confidence", "area", "doubts")
_PER_SHEET = 40


class Source:
    """Images to find masks for: those of a datalist that have none, or all below a folder.

    Args:
        source: a data-set directory with a datalist.json, that file itself, or any folder or file.
        out: the folder that the masks are written to; what is in it is no image, and its masks count as none.

    Raises:
        FileNotFoundError: if there is nothing.
        ValueError: if the datalist is damaged.
    """

    def __init__(self, source: str | os.PathLike, out: Path) -> None:
        self.where = Path(source).expanduser()
        self.datalist = self.where if self.where.suffix == ".json" else self.where / DATALIST_NAME
        self.content = read_datalist(self.datalist) if self.datalist.is_file() else None
        self.directory = self.datalist.parent if self.content or self.where.is_dir() else self.where.parent
        below = out.resolve()
        self.found = _files_below(self.where, below) if self.content is None else self._files(below / "masks")

    def _files(self, own: Path) -> FoundFiles:
        """The images of a datalist that have no mask, or one that an earlier call wrote."""
        wanted = [
            item["image"]
            for item in _items(self.content or {})
            if not item.get("mask") or (self.directory / item["mask"]).resolve().is_relative_to(own)
        ]
        return FoundFiles([str(self.directory / image) for image in dict.fromkeys(wanted)], [])


def write_masks(
    source: Source, out: Path, finder: MaskFinder, kind: str, table: str, workers: int | None, progress: bool
) -> list[MaskRow]:
    """Find the masks of all images; write them, a table, contact sheets, and a list of what is something else.

    The contact sheets have the thousand least certain masks.

    Args:
        source: the images.
        out: the folder to write to.
        finder: what finds a mask.
        kind: what the images are, in messages, such as ``"ultrasound"``.
        table: name of the table, without its suffix.
        workers: number of processes; None = one per available processor.
        progress: whether to show a progress bar.

    Returns:
        A row for each image, those that need a look first.

    Raises:
        LeftOutError: if none of the files is of this kind.
    """
    rows, left_out = find_masks(source.found.files, source.directory, out, finder, workers, progress)
    left_out = source.found.left_out + left_out
    if not rows:
        refuse_left_out(left_out, f"there is no {kind} in {source.where}")
    if is_first():
        _write(rows, left_out, out, table)
    return rows


def _write(rows: Sequence[MaskRow], left_out: Sequence[LeftOut], out: Path, table: str) -> None:
    """Write what there is beside the masks."""
    out.mkdir(parents=True, exist_ok=True)
    report_left_out(out, left_out, len(rows), strict=False)
    write_csv(out / f"{table}.csv", _COLUMNS, [_cells(number, row, out) for number, row in enumerate(rows, 1)])
    for old in out.glob("contact_sheet_*.png"):
        old.unlink()
    shown = rows[:SHOWN]
    for page, first in enumerate(range(0, len(shown), _PER_SHEET), 1):
        figure = mask_sheet(shown[first : first + _PER_SHEET], first + 1)
        with replace_file(out / f"contact_sheet_{page}.png", "wb") as file:
            figure.savefig(file, dpi=100, format="png")


def with_masks(source: Source, rows: Iterable[MaskRow], to: Path) -> dict[str, Any]:
    """The datalist of a source, in which the items of some rows have the masks that were found.

    An item whose mask was found by an earlier call and is not among the rows has none.

    Args:
        source: with a datalist.
        rows: the masks to take.
        to: the folder that the paths are written relative to.
    """
    masks = {row.image: row.mask for row in rows if row.mask is not None}
    searched = {os.path.abspath(file) for file in source.found.files}
    content = {**(source.content or {})}
    for section, items in content.items():
        if isinstance(items, list):
            content[section] = [_with_mask(item, source.directory, masks, searched, to) for item in items]
    return content


def _items(content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for section in content.values():
        if isinstance(section, list):
            yield from (item for item in section if isinstance(item, dict) and item.get("image"))


def _with_mask(item: Any, directory: Path, masks: Mapping[str, Path], searched: set[str], to: Path) -> Any:
    if not (isinstance(item, dict) and item.get("image")):
        return item
    image, item = os.path.abspath(directory / item["image"]), dict(item)
    if image in searched:
        item.pop("mask", None)
        found = masks.get(Path(os.path.relpath(image, os.path.abspath(directory))).as_posix())
        item |= {} if found is None else {"mask": os.path.relpath(found, directory)}
    for key in PATH_KEYS:
        if item.get(key) and not os.path.isabs(item[key]):
            item[key] = Path(os.path.relpath(directory / item[key], to)).as_posix()
    return item


def _files_below(where: Path, out: Path) -> FoundFiles:
    """The files of a folder, except those that an earlier call wrote there."""

    def is_other(file: str) -> bool:
        return not Path(file).resolve().is_relative_to(out)

    found = find_files(where)
    return FoundFiles([*filter(is_other, found.files)], [entry for entry in found.left_out if is_other(entry.file)])


def _cells(number: int, row: MaskRow, out: Path) -> Sequence[Any]:
    mask = "" if row.mask is None else row.mask.relative_to(out).as_posix()
    usable = "yes" if row.usable else "no"
    return number, row.image, mask, usable, row.method, f"{row.confidence:.3f}", f"{row.area:.4f}", row.doubts
