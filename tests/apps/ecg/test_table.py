# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Text, CSV and NPY files of the cohorts, and tables that make no sense."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.io import savemat

from monai_debias.data import FileReadError, FileReadWarning
from tests.apps.ecg.records import load, load_loudly, real_leads

LEADS = ["I", "II", "V1", "V2", "V3", "V4", "V5", "V6"]
STORED = np.round(real_leads(1)[[0, 1, *range(6, 12)]] / 0.00488).astype(int)


def test_the_layout_of_the_tianchi_competition(tmp_path):
    rows = [" ".join(LEADS), *(" ".join(map(str, sample)) for sample in STORED.T)]
    (tmp_path / "1221.txt").write_text("\n".join(rows) + "\n")
    signals, meta = load(tmp_path / "1221.txt", sampling_rate=500, unit=0.00488, leads=["I", "aVF", "V6"])
    second = STORED[1] - STORED[0] / 2
    np.testing.assert_allclose(signals, np.stack([STORED[0], second, STORED[7]]) * 0.00488, atol=1e-6)
    assert meta["sampling_rate"] == 500


@pytest.mark.parametrize("separator", [",", ";", "\t", " "])
@pytest.mark.parametrize("names", [False, True])
def test_separators_gaps_and_names(tmp_path, separator, names):
    rows = [[0.5, 1], [1.5, 2], [2.5, 1]]
    lines = [separator.join(map(str, row)) for row in rows] + ([] if separator == " " else [f"{separator}3"])
    (tmp_path / "a.csv").write_text("\n".join(([separator.join(["time", "v1"])] if names else []) + lines))
    signals, meta = load(tmp_path / "a.csv", sampling_rate=250, **({} if names else {"columns": ["I", "V1"]}))
    expected = np.array([*rows, *([] if separator == " " else [[np.nan, 3]])]).T
    np.testing.assert_array_equal(signals, expected[1:] if names else expected)
    assert meta["leads"] == ("V1" if names else "I,V1")


@pytest.mark.parametrize(
    "text", ["I;II\n0,5;1\n1,25;-2,5\n", "0,5;1\n1,25;-2,5\n", "# by a device\n#\nI\tII\n0,5\t1\n1,25\t-2,5\n"]
)
def test_decimal_commas(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    signals, _ = load(tmp_path / "a.csv", sampling_rate=500, columns=["I", "II"])
    np.testing.assert_array_equal(signals, [[0.5, 1.25], [1, -2.5]])


def test_headings_with_units(tmp_path):
    (tmp_path / "a.csv").write_text("Time (s),I (uV),II [mV],V1 (raw)\n0.0,500,1,3\n0.002,1000,2,4\n")
    signals, meta = load(tmp_path / "a.csv", sampling_rate=500, unit=0.5)
    np.testing.assert_allclose(signals, [[0.5, 1], [1, 2], [1.5, 2]])
    assert meta["leads"] == "I,II,V1 (raw)"


@pytest.mark.parametrize("step", [2, 0.002])
def test_times_that_do_not_go_with_the_rate(tmp_path, step):
    (tmp_path / "a.csv").write_text("".join(["time,I\n", *(f"{i * step},{i % 3}\n" for i in range(9))]))
    load(tmp_path / "a.csv", sampling_rate=500)
    with pytest.warns(
        FileReadWarning, match=rf"steps of its time are {step}, which is not the sampling rate of 250 Hz"
    ):
        load_loudly(tmp_path / "a.csv", sampling_rate=250)


@pytest.mark.parametrize("array", [STORED, STORED.T, STORED.astype(">i2")])
def test_npy_of_either_orientation(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    signals, _ = load(tmp_path / "a.npy", sampling_rate=500, unit=0.00488, columns=LEADS)
    np.testing.assert_allclose(signals, STORED * 0.00488, rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("I,II\n1,2\n3,Doe\n", r"no number, or rows of different lengths \(row 1, column 2 below"),
        ("I,II\n1,2\n3\n", "rows of different lengths"),
        ("I,II\n1,2,3\n", "has 3 columns, and 2 names"),
        ("1,2\n3,4\n", "has no row with the names of the leads"),
        ("I,II\n", "has no numbers"),
        ("I,II\n1,inf\n2,3\n", "lead II has infinite values"),
        ("I,I\n1,2\n", "several leads with the name I"),
    ],
)
def test_tables_that_make_no_sense(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(FileReadError, match=rf"a\.csv: .*{message}") as caught:
        load(tmp_path / "a.csv", sampling_rate=500)
    assert "Doe" not in str(caught.value)


def test_what_a_file_does_not_say_must_be_given(tmp_path):
    np.save(tmp_path / "a.npy", STORED)
    with pytest.raises(FileReadError, match=r"a\.npy: does not say its sampling rate: pass it to the reader"):
        load(tmp_path / "a.npy", columns=LEADS)
    with pytest.raises(FileReadError, match=r"shape \(8, 500\), and the reader was told of no columns"):
        load(tmp_path / "a.npy", sampling_rate=500)
    with pytest.raises(FileReadError, match="told of 7 columns"):
        load(tmp_path / "a.npy", sampling_rate=500, columns=LEADS[:7])
    savemat(tmp_path / "a.mat", {"val": STORED})
    with pytest.raises(FileReadError, match=r"a\.mat: has no variable ECG, expected that with a field 'data'"):
        load(tmp_path / "a.mat", sampling_rate=500, columns=LEADS)
    savemat(tmp_path / "a.mat", {"ECG": {"age": 74}})
    with pytest.raises(FileReadError, match=r"a\.mat: is no MATLAB file with a structure ECG that has a field 'data'"):
        load(tmp_path / "a.mat", sampling_rate=500, columns=LEADS)
    savemat(tmp_path / "a.mat", {"ECG": {"data": STORED.astype(complex)}})
    with pytest.raises(FileReadError, match=r"a\.mat: has values of type complex128 in ECG\.data, expected numbers"):
        load(tmp_path / "a.mat", sampling_rate=500, columns=LEADS)
    (tmp_path / "a.mat").write_bytes(b"nothing of the kind")
    with pytest.raises(FileReadError, match=r"a\.mat: "):
        load(tmp_path / "a.mat", sampling_rate=500, columns=LEADS)
    np.save(tmp_path / "square.npy", STORED[:, :8])
    with pytest.raises(FileReadError, match=r"square\.npy: has shape \(8, 8\)"):
        load(tmp_path / "square.npy", sampling_rate=500, columns=LEADS)
