# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Cohorts whose diagnoses are SNOMED CT codes in the comments of WFDB headers, as ``#Dx: 426783006,164889003``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from monai_debias.apps.ecg.cohorts.unknown_labels import UnknownLabels
from monai_debias.apps.ecg.wfdb_record import read_header
from monai_debias.data.cohort import Record
from monai_debias.data.demographics import sex_letter, years
from monai_debias.data.reading import FileReadError, reading

__all__ = ["coded_records"]

_MAX_BYTES = 2**30


def coded_records(
    headers: Iterable[Path], names: Mapping[str, str], table: Path, site_of: Callable[[Path], str] = lambda header: ""
) -> Iterator[Record]:
    """List the records of some headers, each a patient of its own since the headers name none.

    Codes may occur twice in a header, and a comma may be the last of its line. Codes that the table does not know are
    left out, with a warning that counts them; a record with no other code is left out, too.

    Args:
        headers: the headers.
        names: the label of each code.
        table: the file that the names are from.
        site_of: the site of a header.
    """
    unknown = UnknownLabels(table)
    for header in headers:
        comments, rate, defect = _read(header)
        codes = {code.strip() for code in comments.get("dx", "").split(",")} - {""}
        without_label = unknown.among(codes, set(names))
        yield Record(
            header,
            frozenset(names[code] for code in codes if code in names),
            header.stem,
            attributes={
                "site": site_of(header),
                "sex": sex_letter(comments.get("sex", "")),
                "age": years(comments.get("age", "")),
                "sampling_rate": rate,
            },
            excluded="" if defect or not without_label else "has no diagnosis" if not codes else "has no known code",
            defect=defect,
        )
    unknown.warn()


def _read(header: Path) -> tuple[dict[str, str], float | None, str]:
    """The comments of a header by their names, its sampling rate, and why it cannot be used."""
    if not header.is_file():
        return {}, None, "is missing."
    try:
        with reading(header, "the header"):
            described = read_header(header, _MAX_BYTES)
    except FileReadError as error:
        return {}, None, str(error).removeprefix(f"{header}: ")
    parts = [comment.partition(":") for comment in described.comments]  # "Dx: 1,2", and "Dx:1,2" in some
    return {name.strip().lower(): value.strip() for name, _, value in parts}, described.fs, ""
