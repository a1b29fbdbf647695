# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Loading goes on where a file cannot be read, and only there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from monai.transforms import Compose, Lambdad

from monai_debias.apps.ultrasound import LoadUltrasoundd
from monai_debias.data import LeftOutError
from monai_debias.data.left_out import LeftOut
from monai_debias.data.readable import ReadableDataset, ReadableLoader


@pytest.fixture
def files(tmp_path):
    """Six files, of which the first, the third and the last can be read."""
    for number in range(6):
        np.save(tmp_path / f"{number}.npy", np.full((4, 4), number, np.uint8))
    (tmp_path / "1.npy").rename(tmp_path / "1.csv")
    (tmp_path / "3.npy").write_bytes(b"no array")
    (tmp_path / "4.npy").unlink()
    return [str(tmp_path / name) for name in ("0.npy", "1.csv", "2.npy", "3.npy", "4.npy", "5.npy")]


def make_loader(files, then=lambda image: image, **kwargs):
    transform = Compose([LoadUltrasoundd("image"), Lambdad("image", then)])
    return ReadableLoader(ReadableDataset([{"image": file} for file in files], transform), **kwargs)


def values(loader):
    return [[int(image.max()) for image in batch["image"]] for batch in loader]


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [({}, [[0], [2], [5]]), ({"batch_size": 2}, [[0], [2], [5]]), ({"batch_size": 4, "num_workers": 1}, [[0, 2], [5]])],
)
def test_what_can_be_read_comes_in_order(files, kwargs, expected, caplog):
    known = LeftOut("pipe", "unrelated", "is a pipe")
    loader = make_loader(files, left_out=[known], **kwargs)
    for _ in range(2):  # a second pass finds the same
        assert values(loader) == expected
        assert [(Path(entry.file).name, entry.kind) for entry in loader.left_out] == [
            ("pipe", "unrelated"),
            ("1.csv", "unrelated"),
            ("3.npy", "unreadable"),
            ("4.npy", "unreadable"),
        ]
    assert caplog.text.count("3 files are used; 4 left out (2 unreadable, 2 unrelated)") == 2


def test_the_progress_counts_what_is_left_out_as_well(files, capsys):
    assert values(make_loader(files, progress=True)) == [[0], [2], [5]]
    assert "6/6" in capsys.readouterr().err


def test_strict_ends_at_the_first(files):
    batches = iter(make_loader(files, strict=True))
    assert next(batches)["image"].max() == 0
    with pytest.raises(LeftOutError, match=r"strict.*1 left out \(1 unrelated\)\n.*1\.csv: is not a DICOM file"):
        next(batches)
    assert values(make_loader([files[0], files[2]], strict=True)) == [[0], [2]]
    with pytest.raises(LeftOutError, match="a pipe"):  # before the first is loaded
        next(iter(make_loader(files[:1], left_out=[LeftOut("x", "unrelated", "is a pipe")], strict=True)))


def test_nothing_left_is_an_error(files):
    with pytest.raises(LeftOutError, match=r"no file is left: 2 left out \(2 unreadable\)"):
        values(make_loader(files[3:5]))


def test_other_errors_are_raised(files):
    def fails(image):
        raise ArithmeticError("a mistake in the program")

    with pytest.raises(RuntimeError) as caught:
        values(make_loader(files, then=fails))
    assert "a mistake in the program" in str(caught.value.__cause__)
