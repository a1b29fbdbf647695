# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The command ``monai-debias check``: what is wrong with a data set, and what goes with its labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monai_debias.audit.confounding.confounder import Confounder
from monai_debias.audit.confounding.picture import survey_figure
from monai_debias.audit.confounding.survey import survey_section
from monai_debias.audit.confounding.table import survey_lines
from monai_debias.data.check import find_defects
from monai_debias.data.inspection import Defect, inspect_datalist
from monai_debias.files import make_writable, write_csv

__all__ = ["check", "defect_table"]

_FILES = ("defects.csv", "confounding.csv", "confounding.png")
_SHOWN = 20  # defects of one kind; the CSV file has all


def check(
    datalist: str,
    out: str | None = None,
    section: str | None = None,
    reader: str = "monai_debias.data.ImageFileReader",
    num_workers: int = 2,
    progress: bool = True,
    overwrite: bool = False,
) -> None:
    """Read all images and masks of a datalist once and print what is wrong, and what goes with the label.

    What is wrong: files that cannot be read; masks that do not fit their image, or that are not binary, empty, full,
    inverted or of an unusual area; duplicates and near duplicates; patients in two splits; labels that a split lacks;
    items without label or patient. See monai_debias.data.check_datalist for the rules.

    What goes with the label in the training section: attributes, which are the other keys of the items, such as the
    hospital; and properties of the files, such as their size, bits, polarity, brightness, sharpness and borders. A
    network can use each of these in place of the finding. p-values are of permutations of whole patients, corrected for
    the number of lines; docs/data_check.md has the details.

    The exit code is 0 if nothing is wrong, 1 if something is, 2 if there is no such datalist. What goes with the label
    does not change it.

    Args:
        datalist: the data-set directory, or its JSON file.
        out: folder for defects.csv, confounding.csv and confounding.png; it is made if it is not there.
        section: the section whose labels are looked at; default: training.
        reader: dotted name of the image reader, of this package, of MONAI (monai.data.NibabelReader) or of your own,
            with arguments if it needs any: "monai_debias.apps.radiography.RadiographReader(body_part='CHEST')".
        num_workers: number of threads that read files.
        progress: whether to show a progress bar.
        overwrite: whether existing files in the folder may be replaced.
    """
    target = None if out is None else Path(out).expanduser()
    there = [] if target is None else [name for name in _FILES if (target / name).exists()]
    if there and not overwrite:
        raise FileExistsError(f"{target} has {', '.join(there)} already; pass --overwrite to replace it.")
    if target is not None:
        make_writable(target)
    inspection = inspect_datalist(datalist, reader, num_workers, progress)
    defects = find_defects(inspection)
    print(defect_table(defects))
    if inspection.images and len({d[1:3] for d in defects if d.kind == "unreadable"}) == len(inspection.images):
        print(f"\nno image can be read by {reader}: pass another --reader, for ECGs monai_debias.apps.ecg.ECGReader")
    survey = survey_section(inspection, section)
    print("", *survey_lines(survey), sep="\n")
    if target is not None:
        write_csv(target / _FILES[0], Defect._fields, defects)
        write_csv(target / _FILES[1], Confounder._fields, [*survey.attributes, *survey.properties])
        survey_figure(survey).savefig(target / _FILES[2], dpi=150)
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
