# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""ECGs as tables of numbers, in text, CSV, NPY and MATLAB files, which do not say their rate, and seldom their unit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.io import loadmat

from monai_debias.apps.ecg.record import Channel, Record, is_voltage, make_record
from monai_debias.data.formats.npy import load_array
from monai_debias.data.reading import FileReadError, warn

__all__ = ["TABLE_SUFFIXES", "TableLayout", "read_table"]

TABLE_SUFFIXES = (".txt", ".csv", ".tsv", ".npy", ".mat")
_CLOCKS = ("time", "t")
_TIMES = ("", *_CLOCKS, "sample", "index")  # headings of columns that are no leads
_HEADING = re.compile(r"(?P<name>.*?)\s*[(\[]\s*(?P<unit>[^()\[\]]*?)\s*[)\]]")  # as "II (uV)"
_TOLERANCE = 0.02  # of times with few digits
_SECONDS = (1.0, 1e-3, 1e-6)  # what a step of a clock may be counted in


class TableLayout(NamedTuple):
    """What the user knows about such files.

    Attributes:
        rate: samples per second.
        unit: what a 1 is, in mV.
        columns: the leads, where the file has no row of their names.
    """

    rate: float | None
    unit: float
    columns: Sequence[str] | None


def read_table(path: Path, layout: TableLayout, max_bytes: int) -> Record:
    """Read a table with a row for each sample and a column for each lead, or an array of either orientation.

    Text is separated by commas, semicolons, tabs or spaces; its first row may have the names of the leads, as in the
    data of the Tianchi competition, and their units, as ``II (uV)``; lines before it that begin with ``#`` are passed
    over. An empty cell is NaN. A comma is that of a decimal number where it does not separate cells. Of a MATLAB file,
    the array is ``ECG.data``, as in CPSC2018.

    Args:
        path: the file.
        layout: what it does not say.
        max_bytes: largest size of the file.

    Raises:
        FileReadError: if the rate is not given, the names of the leads are in neither the file nor the layout, a cell
            is no number, or rows have different lengths.
    """
    if layout.rate is None:
        raise FileReadError("does not say its sampling rate: pass it to the reader, as sampling_rate=500.")
    if path.stat().st_size > max_bytes:
        raise FileReadError(f"has {path.stat().st_size} bytes, more than the {max_bytes} of max_bytes.")
    read = {".npy": _read_npy, ".mat": _read_mat}.get(path.suffix.lower(), _read_text)
    names, values = read(path, layout.columns)
    channels = []
    for heading, column in zip(names, values.T, strict=True):
        name, unit = _name_and_unit(heading)
        if name.casefold() in _CLOCKS:
            _check_clock(column, layout.rate)
        if name.casefold() not in _TIMES:
            channels.append(Channel(name, column * (1.0 if unit else layout.unit), unit or "mV", layout.rate))
    return make_record(channels)


def _name_and_unit(heading: str) -> tuple[str, str]:
    """The lead of a heading, and its unit if it has one; what is in parentheses may be part of the name."""
    found = _HEADING.fullmatch(heading.strip())
    if found is None:
        return heading.strip(), ""
    name, unit = found["name"], found["unit"]
    return (name, unit if is_voltage(unit) else "") if is_voltage(unit) or name.casefold() in _CLOCKS else (heading, "")


def _check_clock(times: np.ndarray, rate: float) -> None:
    """Warn of times that do not go with the sampling rate, whatever they are counted in; steps of 1 count samples."""
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    if step > 0 and step != 1 and not any(abs(step * seconds * rate - 1) < _TOLERANCE for seconds in _SECONDS):
        warn(f"the steps of its time are {step:g}, which is not the sampling rate of {rate:g} Hz that it is read with.")


def _read_npy(path: Path, columns: Sequence[str] | None) -> tuple[Sequence[str], np.ndarray]:
    return _columns_of(load_array(path), columns)


def _read_mat(path: Path, columns: Sequence[str] | None) -> tuple[Sequence[str], np.ndarray]:
    try:
        array = loadmat(path, variable_names="ECG")["ECG"]["data"][0, 0]
    except KeyError:
        raise FileReadError("has no variable ECG, expected that with a field 'data', as in CPSC2018.") from None
    except (ValueError, IndexError) as error:
        raise FileReadError("is no MATLAB file with a structure ECG that has a field 'data'.") from error
    if array.dtype.kind not in "biuf":
        raise FileReadError(f"has values of type {array.dtype} in ECG.data, expected numbers.")
    return _columns_of(array, columns)


def _columns_of(array: np.ndarray, columns: Sequence[str] | None) -> tuple[Sequence[str], np.ndarray]:
    if array.ndim != 2 or columns is None or len(columns) not in array.shape or array.shape[0] == array.shape[1]:
        expected = "(samples, leads) or (leads, samples) with more samples than leads"
        told = "no columns" if columns is None else f"{len(columns)} columns"
        raise FileReadError(
            f"has shape {array.shape}, and the reader was told of {told}; expected {expected}, and the names of the "
            "leads, as columns=['I', 'II']."
        )
    return columns, np.asarray(array if array.shape[1] == len(columns) else array.T, dtype=float)


def _read_text(path: Path, columns: Sequence[str] | None) -> tuple[Sequence[str], np.ndarray]:
    with path.open(encoding="utf-8-sig") as file:
        begin, first = 0, file.readline()
        while first.startswith("#"):
            begin, first = file.tell(), file.readline()
        separator = next((mark for mark in (";", "\t", ",") if mark in first), None)
        cells = [cell.strip().strip('"') for cell in first.rstrip("\r\n").split(separator)]
        has_names = not all(_is_number(cell) for cell in cells)
        if not has_names:
            file.seek(begin)
        rows = [line if separator == "," else line.replace(",", ".") for line in file if line.strip()]
        if not rows:
            raise FileReadError("has no numbers.")
        try:
            values = np.loadtxt(rows, delimiter=separator, ndmin=2, dtype=float, converters=_number)
        except ValueError as error:
            place = re.search(r"row \d+(?:, column \d+)?", str(error))  # and not what is written there
            where = f" ({place[0]} below the names)" if place else ""
            raise FileReadError(f"has a cell that is no number, or rows of different lengths{where}.") from None
    names = cells if has_names else columns
    if names is None:
        raise FileReadError("has no row with the names of the leads: pass them to the reader, as columns=['I', 'II'].")
    if values.shape[1] != len(names):
        raise FileReadError(f"has {values.shape[1]} columns, and {len(names)} names of leads.")
    return names, values


def _number(cell: str) -> float:
    return float(cell) if cell.strip() else float("nan")


def _is_number(cell: str) -> bool:
    try:
        _number(cell.replace(",", "."))
    except ValueError:
        return False
    return True
