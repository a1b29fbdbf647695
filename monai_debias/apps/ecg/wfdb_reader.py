# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A reader of WFDB records only."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from monai.utils import ensure_tuple

from monai_debias.apps.ecg.reader import ECGReader
from monai_debias.apps.ecg.record import Record
from monai_debias.apps.ecg.wfdb_record import HEADER_SUFFIX, header_path, read_wfdb
from monai_debias.data.reading import UnrelatedFileError
from monai_debias.parameters import constraints_of, expects

__all__ = ["WFDBReader"]

_OPTIONS = constraints_of(ECGReader)


class WFDBReader(ECGReader):
    """Read WFDB records as :class:`~monai_debias.apps.ecg.reader.ECGReader` does, and refuse other files.

    The result has the shape (leads, samples).

    Args:
        leads: names of the leads in the order of the result; None for the leads of each file.
        missing: ``"error"`` or ``"nan"``, what becomes of a lead that a file neither has nor gives.
        max_bytes: largest size of a record in memory.

    Raises:
        ValueError: if an argument has another value.
        UnrelatedFileError: from :meth:`get_data` if the file is not a WFDB header.
        FileReadError: from :meth:`get_data`, as :class:`~monai_debias.apps.ecg.reader.ECGReader`.
        OptionalImportError: from :meth:`get_data` if wfdb is not installed.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> import wfdb
        >>> record = {"units": ["mV"] * 2, "sig_name": ["I", "II"], "fmt": ["16"] * 2}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     wfdb.wrsamp("a", fs=500, p_signal=np.random.rand(5000, 2), **record, write_dir=folder)
        ...     reader = WFDBReader(leads=["II", "III"])
        ...     signals, meta = reader.get_data(reader.read(f"{folder}/a.hea"))
        >>> signals.shape, meta["sampling_rate"], meta["leads"]
        ((2, 5000), 500.0, 'II,III')
    """

    @expects(leads=_OPTIONS["leads"], missing=_OPTIONS["missing"], max_bytes=_OPTIONS["max_bytes"])
    def __init__(self, leads: Sequence[str] | None = None, missing: str = "error", max_bytes: int = 2**30) -> None:
        super().__init__(leads, missing, max_bytes=max_bytes)

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Tell whether each file is a header, or a record named without suffix."""
        return all(Path(name).suffix.lower() in (HEADER_SUFFIX, "") for name in ensure_tuple(filename))

    def open_record(self, path: Path) -> Record:
        """Open the record, and refuse other files.

        Args:
            path: the header, or the record's name.
        """
        header = header_path(path)
        if header is None:
            raise UnrelatedFileError(f"is not a WFDB header ({HEADER_SUFFIX}).")
        return read_wfdb(header, self.max_bytes)
