# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""ECG records in the WFDB format of PhysioNet: a header and the files with the signals that it names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from monai.utils import OptionalImportError

from monai_debias.apps.ecg.record import Channel, Record, make_record
from monai_debias.data.reading import FileReadError, UnrelatedFileError, warn

__all__ = ["HEADER_SUFFIX", "header_path", "read_header", "read_wfdb", "signal_files"]

HEADER_SUFFIX = ".hea"
_EXPECTED = "expected one that begins with the record, its signals, rate and samples, such as 'a 12 500 5000'"


def header_path(path: Path) -> Path | None:
    """The header that a path names, None if it names another kind of file.

    Args:
        path: a header, or a record as PhysioNet's tables name it, without the suffix.
    """
    if path.suffix.lower() == HEADER_SUFFIX:
        return path
    header = path.with_name(f"{path.name}{HEADER_SUFFIX}")
    return header if not path.exists() and header.exists() else None


def read_wfdb(header: Path, max_bytes: int) -> Record:
    """Read a record with wfdb, in physical units.

    Signals with several samples in each frame keep their own rate. Segments are put one after the other; what lies
    between them is NaN, as are the samples that the format marks as invalid. Samples that do not add up to the checksum
    of the header are a warning and not an error, since published headers are not all right.

    Args:
        header: path of the header.
        max_bytes: largest size of the record in memory.

    Raises:
        FileReadError: if the header makes no sense, or a file that it names is missing or cut short.
        UnrelatedFileError: if the header has no signals.
        OptionalImportError: if wfdb is not installed.
    """
    wfdb = _import_wfdb()
    described = read_header(header, max_bytes)
    several = hasattr(described, "seg_name")
    expanded = not several and any(n > 1 for n in described.samps_per_frame)
    try:
        name = str(header.with_suffix(""))
        record = wfdb.rdrecord(name, physical=False, m2s=False, smooth_frames=not expanded)
        for part in _segments(record) if several else [record]:
            _check_sums(part, expanded)
            part.dac(expanded, inplace=True)
    except (ValueError, IndexError, KeyError, TypeError) as error:
        names = ", ".join(sorted(_parts(described)))
        raise FileReadError(f"does not fit {names}, or one of these is cut short or damaged ({error}).") from error
    if several:
        return make_record(_joined(record))
    _warn_of_gains(header, record.sig_name)
    signals, frames = record.e_p_signal if expanded else record.p_signal.T, record.samps_per_frame
    return make_record(
        [
            Channel(record.sig_name[i] or f"channel {i + 1}", signal, record.units[i] or "mV", record.fs * frames[i])
            for i, signal in enumerate(signals)
        ]
    )


def read_header(header: Path, max_bytes: int) -> Any:
    """Read what a header says, without the signals; what is wrong with it is an error, as in :func:`read_wfdb`.

    Args:
        header: path of the header.
        max_bytes: largest size of the record in memory.

    Returns:
        wfdb's record without signals, with ``fs``, ``sig_len`` and ``comments``.

    Raises:
        FileReadError: if the header makes no sense, or a file that it names is missing.
        UnrelatedFileError: if the header has no signals.
        OptionalImportError: if wfdb is not installed.
    """
    described = _described(header)
    _check_header(described, header, max_bytes)
    return described


def signal_files(header: Path) -> set[str]:
    """The names of the files that belong to a record: of its signals, and of the headers of its segments.

    Args:
        header: path of the header; one that cannot be read names none.

    Raises:
        OptionalImportError: if wfdb is not installed.
    """
    try:
        return _parts(_described(header))
    except (FileReadError, OSError):
        return set()


def _parts(described: Any) -> set[str]:
    segments = [name for name in getattr(described, "seg_name", None) or () if name != "~"]
    return {*(getattr(described, "file_name", None) or ()), *(f"{name}{HEADER_SUFFIX}" for name in segments)}


def _import_wfdb() -> Any:
    try:
        import wfdb
    except ModuleNotFoundError as error:
        raise OptionalImportError("needs the package wfdb: pip install wfdb.") from error
    return wfdb


def _described(header: Path) -> Any:
    if header.suffix != HEADER_SUFFIX:
        raise FileReadError(f"has the suffix {header.suffix}, wfdb reads {HEADER_SUFFIX} only: rename it.")
    try:
        return _import_wfdb().rdheader(str(header.with_suffix("")))
    except (IndexError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise FileReadError(f"has no WFDB header that can be read ({type(error).__name__}); {_EXPECTED}.") from error


def _check_header(described: Any, header: Path, max_bytes: int) -> None:
    """Refuse what the header says before anything of that size is read."""
    if not described.n_sig:
        raise UnrelatedFileError("is a WFDB header without signals.")
    if not described.fs or described.fs <= 0:
        raise FileReadError(f"has a sampling rate of {described.fs} Hz, expected one above 0.")
    told = _lines(header)[0][2:3]  # wfdb takes what it does not understand for 250, and 1e3 for 1
    if not told:
        warn("has no sampling rate: 250 samples per second are taken, as the WFDB format says.")
    if told and _number(told[0]) != described.fs:
        raise FileReadError(f"has the sampling rate {told[0][:20]!r}, expected a plain number above 0, such as 500.")
    n_described = len(getattr(described, "file_name", None) or ())
    if not hasattr(described, "seg_name") and n_described != described.n_sig:
        raise FileReadError(f"declares {described.n_sig} signals, but describes {n_described}.")
    samples = sum(getattr(described, "samps_per_frame", None) or [1] * described.n_sig)
    size = (described.sig_len or 0) * samples * np.dtype(float).itemsize
    if size > max_bytes:
        raise FileReadError(
            f"takes {size / 2**30:.3g} GiB ({described.sig_len} samples of {described.n_sig} signals), more than the "
            f"{max_bytes / 2**30:.3g} GiB of max_bytes; raise it, or split the record."
        )
    gone = [name for name in sorted(_parts(described)) if name != "~" and not header.with_name(name).exists()]
    if gone:
        raise FileReadError(f"names {', '.join(gone[:3])}, which is not in the same folder.")


def _lines(header: Path) -> list[list[str]]:
    """The words of the lines of a header that are no comments; that of the record is the first."""
    lines = header.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line.split() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _number(word: str) -> float | None:
    """The number before what a rate or a gain may have after it."""
    try:
        return float(re.split("[/(]", word)[0])
    except ValueError:
        return None


def _warn_of_gains(header: Path, names: list[str | None]) -> None:
    """Warn of leads whose size in mV is not known."""
    without = [
        name or f"channel {row + 1}"
        for row, (name, line) in enumerate(zip(names, _lines(header)[1:], strict=False))
        if not (len(line) > 2 and _number(line[2]))
    ]
    if without:
        warn(f"lead {', '.join(without)} has no gain: 200 steps are taken for 1 mV, as the WFDB format says.")


def _check_sums(record: Any, expanded: bool) -> None:
    """Warn of leads whose samples do not add up to the checksum of the header, modulo 2 to the power of 16."""
    told = record.checksum or []
    if not any(told):  # none, or a program wrote zeros in their place
        return
    leads = zip(record.sig_name, told, record.calc_checksum(expanded), record.samps_per_frame, record.skew, strict=True)
    wrong = [
        name or f"channel {row + 1}"
        for row, (name, expected, found, per_frame, skew) in enumerate(leads)
        if expected is not None and (expected - found) % 2**16 and not skew and (expanded or per_frame == 1)
    ]
    if wrong:
        warn(
            f"the samples of lead {', '.join(wrong)} in {', '.join(dict.fromkeys(record.file_name))} do not add up to "
            f"the checksum in {record.record_name}{HEADER_SUFFIX}: one of the files is damaged or was changed."
        )


def _segments(record: Any) -> list[Any]:
    """The segments with samples, not the one that only names the leads of a record, nor gaps."""
    return [part for part, n in zip(record.segments, record.seg_len, strict=True) if n and part is not None]


def _joined(record: Any) -> list[Channel]:
    """The channels of a record of several segments, each in the unit of the first segment that has it."""
    parts = [part for part in zip(record.segments, record.seg_len, strict=True) if part[1]]
    length = int(sum(n for _, n in parts))
    units: dict[str, str] = {}
    values: dict[str, np.ndarray] = {}
    begin = 0
    for segment, n in parts:
        if segment is not None and segment.fs != record.fs:
            raise FileReadError(f"has {record.fs:g} Hz, and its segment {segment.record_name} {segment.fs:g} Hz.")
        for i, name in enumerate(segment.sig_name if segment is not None else ()):
            unit = segment.units[i] or "mV"
            if units.setdefault(name, unit) != unit:
                raise FileReadError(f"lead {name} has the units {units[name]} and {unit} in different segments.")
            values.setdefault(name, np.full(length, np.nan))[begin : begin + n] = segment.p_signal[:, i]
        begin += int(n)
    return [Channel(name, signal, units[name], record.fs) for name, signal in values.items()]
