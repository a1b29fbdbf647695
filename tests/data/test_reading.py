# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The boundary that names the file in every error and warning."""

from __future__ import annotations

import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from monai.utils import OptionalImportError

from monai_debias.apps.ultrasound.reader import UltrasoundReader
from monai_debias.data.reading import FileReadError, FileReadWarning, reading, warn


@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"),
        MemoryError(),
        RecursionError("deep"),
        zlib.error("bad"),
        struct.error("short"),
        OSError(5, "x"),
        NotImplementedError("no"),
        StopIteration(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_any_error_names_the_file_and_the_step(error):
    said = rf"^a\.dcm: the header cannot be read: {type(error).__name__}"
    with pytest.raises(FileReadError, match=said) as raised, reading("a.dcm", "the header"):
        raise error
    assert raised.value.__cause__ is error


def test_an_interruption_passes():
    with pytest.raises(KeyboardInterrupt), reading("a.dcm", "the header"):
        raise KeyboardInterrupt


def test_a_missing_package_stays_one():
    with pytest.raises(OptionalImportError, match=r"^a\.dcm: needs it"), reading("a.dcm", "the header"):
        raise OptionalImportError("needs it")


def test_a_warning_is_said_once_for_each_file():
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for name in ("a.dcm", "b.dcm"):
            with reading(name, "the pixels"):
                for _ in range(3):
                    warn("odd")
        warn("of none")
    assert [str(warning.message) for warning in said] == ["a.dcm: odd", "b.dcm: odd", "of none"]
    assert {warning.category for warning in said} == {FileReadWarning}


def test_files_that_are_read_at_the_same_time_keep_their_names():
    def fail(name):
        with pytest.raises(FileReadError, match=rf"^{name}: ") as error, reading(name, "it"):
            raise ValueError
        return str(error.value)

    names = [f"file{i}" for i in range(200)]
    with ThreadPoolExecutor(8) as pool:
        assert [text.partition(":")[0] for text in pool.map(fail, names)] == names


def test_sequences_that_are_nested_too_deep(tmp_path, write_dicom):
    content = write_dicom(tmp_path / "a.dcm", np.zeros((8, 8), dtype=np.uint8)).read_bytes()
    place = content.index(b"\x28\0\x02\0US")  # the first element of the pixels' layout
    nested = (b"\x20\0\x20\x92SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\xff\xff\xff\xff") * 5000
    (tmp_path / "a.dcm").write_bytes(content[:place] + nested + content[place:])
    with pytest.raises(FileReadError, match=r"a\.dcm: the DICOM header cannot be read: RecursionError"):
        UltrasoundReader().read(tmp_path / "a.dcm")
