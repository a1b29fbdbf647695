# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A reader of ECGs: whatever a file is, it becomes leads in millivolts, in the order that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import ImageReader
from monai.utils import MetaKeys, ensure_tuple

from monai_debias.apps.ecg.dicom_waveform import read_dicom_waveform
from monai_debias.apps.ecg.ecg_files import find_ecgs
from monai_debias.apps.ecg.lead_order import choose_leads, warn_of_leads
from monai_debias.apps.ecg.record import Record
from monai_debias.apps.ecg.table import TABLE_SUFFIXES, TableLayout, read_table
from monai_debias.apps.ecg.wfdb_record import HEADER_SUFFIX, header_path, read_wfdb
from monai_debias.constraints import NONE, STRING, Integer, Number, OneOf, SequenceOf
from monai_debias.data.folder_search import FoundFiles
from monai_debias.data.formats.regular_file import check_regular_file
from monai_debias.data.reading import UnrelatedFileError, reading
from monai_debias.origin import READER
from monai_debias.parameters import expects

__all__ = ["LEADS", "RATE", "ECGReader"]

RATE = "sampling_rate"  # keys in the meta
LEADS = "leads"
_DICOM_SUFFIXES = ("", ".dcm", ".dicom")
_STAND_ALONE = (*_DICOM_SUFFIXES, *(suffix for suffix in TABLE_SUFFIXES if suffix != ".mat"))  # WFDB's signals may be


class ECGReader(ImageReader):
    """Read ECGs as float32 of shape (leads, samples) in millivolts, NaN where a lead has no signal.

    - WFDB, PhysioNet's format, by its header ``.hea``, or by the record's name without it as in PhysioNet's tables,
      see :func:`~monai_debias.apps.ecg.wfdb_record.read_wfdb`. The CinC challenges store the signals as ``.mat``.
    - DICOM waveforms, see :func:`~monai_debias.apps.ecg.dicom_waveform.read_dicom_waveform`; files with any other
      suffix are taken for DICOM.
    - Text, CSV, NPY and MATLAB, see :func:`~monai_debias.apps.ecg.table.read_table`, whose rate you have to give. For
      the Tianchi competition: ``sampling_rate=500, unit=0.00488``; for CPSC2018: ``sampling_rate=500`` and ``columns``.

    Leads are spelt as usual: aVR, V1. A limb lead that the file lacks is computed from two others. There are warnings
    of leads that are flat or empty, that contradict Einthoven's law, and of electrodes that look exchanged.

    MONAI's ``LoadImage`` hides what a reader's ``read`` raises and tries its other readers. So ``read`` only takes the
    name, and whatever is wrong with the file is raised by ``get_data``, which reaches the user.

    The meta dict holds nothing that identifies the patient, no comments and no annotations, only:

    - ``sampling_rate``: samples per second;
    - ``leads``: the names, ``"I,II,V1"``, and ``missing_leads`` those that the file lacks, all NaN;
    - ``units``: ``"mV"``;
    - ``filter_low``, ``filter_high``, ``filter_notch``: the filters of the device in Hz, NaN if unknown, as in
      all files but DICOM;
    - ``reader``, ``spatial_shape``, ``original_channel_dim`` (0) and ``affine``, for MONAI.

    Args:
        leads: names of the leads in the order of the result, such as
            :data:`~monai_debias.apps.ecg.leads.STANDARD_LEADS`; None for the leads of each file.
        missing: what becomes of a lead that a file neither has nor gives: ``"error"``, or ``"nan"`` for NaN values.
        sampling_rate: samples per second of text, CSV, NPY and MATLAB files.
        unit: what a 1 in these files is, in mV.
        columns: the leads of such files, where they have no row with the names.
        max_bytes: largest size of a record in memory, 1 GiB by default, compared with what the header says.

    Raises:
        ValueError: if an argument has another value, or leads are named twice.
        UnrelatedFileError: from :meth:`get_data` if the file is no ECG, or holds the signals of a WFDB record.
        FileReadError: from :meth:`get_data` if it is cut short, a file that it names is missing, its rate is not above
            0, its unit is unknown, a lead is missing, none has a signal, or whatever else goes wrong.
        FileNotFoundError: from :meth:`get_data` if there is no such file.
        OptionalImportError: from :meth:`get_data` if wfdb is needed and not installed.

    Example:
        >>> from pydicom.data import get_testdata_file
        >>> reader = ECGReader(leads=["I", "aVF", "V6"])
        >>> signals, meta = reader.get_data(reader.read(get_testdata_file("waveform_ecg.dcm")))
        >>> signals.shape, meta["sampling_rate"], meta["leads"]
        ((3, 10000), 1000.0, 'I,aVF,V6')
    """

    @expects(
        leads=NONE | SequenceOf(STRING, least=1),
        missing=OneOf("error", "nan"),
        sampling_rate=NONE | Number("(0, inf)"),
        unit=Number("(0, inf)"),
        columns=NONE | SequenceOf(STRING, least=1),
        max_bytes=Integer("[1, inf)"),
    )
    def __init__(
        self,
        leads: Sequence[str] | None = None,
        missing: str = "error",
        sampling_rate: float | None = None,
        unit: float = 1.0,
        columns: Sequence[str] | None = None,
        max_bytes: int = 2**30,
    ) -> None:
        super().__init__()
        for name, given in (("leads", leads), ("columns", columns)):
            if given is not None and len(set(given)) < len(given):
                raise ValueError(f"{type(self).__name__}: {name} are {', '.join(given)}, expected each name once.")
        self.leads = leads
        self.missing = missing
        self.layout = TableLayout(sampling_rate, unit, columns)
        self.max_bytes = max_bytes

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Tell whether the name of each file looks like one of the formats; a name without suffix counts as DICOM."""
        suffixes = (HEADER_SUFFIX, *TABLE_SUFFIXES, *_DICOM_SUFFIXES)
        return all(Path(name).suffix.lower() in suffixes for name in ensure_tuple(filename))

    def find_files(self, path: str | Path) -> FoundFiles:
        """List the ECGs at a path, see :func:`find_ecgs`; builders of datalists ask a reader that has this.

        Args:
            path: a file or a folder.
        """
        return find_ecgs(path)

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> tuple[PathLike, ...]:
        """Take the name of a file, which :meth:`get_data` opens.

        Args:
            data: the file, or a sequence of exactly one.
            kwargs: ignored; part of MONAI's interface.
        """
        return ensure_tuple(data)

    def get_data(self, img: tuple[PathLike, ...]) -> tuple[np.ndarray, dict[str, Any]]:
        """Open and decode the record.

        Args:
            img: what :meth:`read` returned.

        Returns:
            The signals, (leads, samples), and the meta dict that the class describes.
        """
        if len(img) != 1:
            raise ValueError(f"expected one file per item, got {len(img)}: {', '.join(map(str, img[:3]))}.")
        path = Path(img[0])
        check_regular_file(header_path(path) or path)
        with reading(path, "the ECG"):
            record = self.open_record(path)
            warn_of_leads(np.stack([*record.signals.values()]), [*record.signals], record.rate)
            signals, names, lacking = choose_leads(record, self.leads, self.missing)
        return signals.astype(np.float32), self._meta(record, names, lacking, signals.shape[1])

    def open_record(self, path: Path) -> Record:
        """Open a file of any of the formats; a reader of one format overrides this.

        Args:
            path: the file.
        """
        suffix, header = path.suffix.lower(), header_path(path)
        if header is not None:
            return read_wfdb(header, self.max_bytes)
        if suffix not in _STAND_ALONE and path.with_suffix(HEADER_SUFFIX).exists():
            raise UnrelatedFileError(f"belongs to the WFDB record {path.stem}{HEADER_SUFFIX}; read that instead.")
        if suffix in TABLE_SUFFIXES:
            return read_table(path, self.layout, self.max_bytes)
        return read_dicom_waveform(path, self.max_bytes)

    def _meta(self, record: Record, names: Sequence[str], lacking: Sequence[str], length: int) -> dict[str, Any]:
        return {
            RATE: record.rate,
            LEADS: ",".join(names),
            "missing_leads": ",".join(lacking),
            "units": "mV",
            **{f"filter_{name}": value for name, value in record.filters._asdict().items()},
            READER: type(self).__name__,
            MetaKeys.AFFINE: np.eye(4),
            # a tensor, because a cache that is loaded with weights_only takes no arrays
            MetaKeys.SPATIAL_SHAPE: torch.tensor([length]),
            MetaKeys.ORIGINAL_CHANNEL_DIM: 0,
        }
