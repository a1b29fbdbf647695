# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The command ``python -m monai_debias check``: the defects of a data set as a table, a CSV file and an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monai_debias.data.check import Defect, check_datalist
from monai_debias.files import write_csv

__all__ = ["check", "defect_table"]

_SHOWN = 20  # defects of one kind; the CSV file has all


def check(
    datalist: str,
    out: str | None = None,
    reader: str = "monai_debias.data.ImageFileReader",
    num_workers: int = 2,
    progress: bool = True,
    overwrite: bool = False,
) -> None:
    """Read all images and masks of a datalist once and print what is wrong, file by file.

    It finds files that cannot be read; masks that do not fit their image, or that are not binary, empty, full, inverted
    or of an unusual area; duplicates; patients in two splits; labels that a split lacks; items without label or
    patient. See monai_debias.data.check_datalist for the rules. The exit code is 0 if nothing was found, 1 if something
    was, 2 if there is no such datalist.

    Args:
        datalist: the data-set directory, or its JSON file.
        out: CSV file to write all defects to, with the columns kind, section, item, file and detail.
        reader: dotted name of the image reader, of this package, of MONAI (monai.data.NibabelReader) or of your own,
            with arguments if it needs any: "monai_debias.apps.radiography.RadiographReader(body_part='CHEST')".
        num_workers: number of threads that read files.
        progress: whether to show a progress bar.
        overwrite: whether an existing CSV file may be replaced.
    """
    target = None if out is None else Path(out).expanduser()
    if target is not None and target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists already; pass --overwrite to replace it.")
    defects = check_datalist(datalist, reader, num_workers, progress)
    print(defect_table(defects))
    if target is not None:
        write_csv(target, Defect._fields, defects)
    if defects:
        raise SystemExit(1)


def defect_table(defects: Sequence[Defect]) -> str:
    """The defects as text, by kind; at most 20 of each kind.

    Args:
        defects: from :func:`check_datalist`.

    Returns:
        Lines of text.

    Example:
        >>> print(defect_table([Defect("empty", "training", 3, "masks/3.npy", "is 0 everywhere")]))
        empty: 1
          training 3   masks/3.npy   is 0 everywhere
        <BLANKLINE>
        1 defect in all: empty 1
    """
    if not defects:
        return "no defects found"
    by_kind: dict[str, list[Defect]] = {}
    for defect in defects:
        by_kind.setdefault(defect.kind, []).append(defect)
    lines = []
    for kind, found in by_kind.items():
        shown = found[:_SHOWN]
        places = [f"{d.section} {'' if d.item is None else d.item}".strip() for d in shown]
        widths = max(map(len, places)), max(len(d.file) for d in shown)
        lines.append(f"{kind}: {len(found)}")
        for place, defect in zip(places, shown, strict=True):
            cells = (place.ljust(widths[0]), defect.file.ljust(widths[1]), defect.detail)
            lines.append("  " + "   ".join(cell for cell in cells if cell.strip()))
        lines += [f"  … and {len(found) - _SHOWN} more; --out writes all"] if len(found) > _SHOWN else []
        lines.append("")
    counts = ", ".join(f"{kind} {len(found)}" for kind, found in by_kind.items())
    return "\n".join([*lines, f"{len(defects)} defect{'s' * (len(defects) > 1)} in all: {counts}"])
