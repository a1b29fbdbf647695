# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Records as wfdb writes them, what is odd in those of PhysioNet, and damaged ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import wfdb

from monai_debias.apps.ecg import STANDARD_LEADS, WFDBReader
from monai_debias.data import FileReadError, FileReadWarning, UnrelatedFileError
from tests.apps.ecg.records import REAL, change_header, load, load_loudly, real_leads, write_wfdb

TWO_LEADS = Path(__file__).resolve().parents[2] / "reference" / "two_leads.hea"
EXAMPLES = {WFDBReader: [{"leads": ["II", "III"]}, {}], WFDBReader.read: {"data": TWO_LEADS}}
SIGNALS = real_leads(2)


@pytest.mark.parametrize("fmt", ["16", "24", "32", "80", "212"])
@pytest.mark.parametrize(("unit", "in_mv"), [("mV", 1.0), ("uV", 1e-3), ("V", 1e3)])
def test_formats_and_units(tmp_path, fmt, unit, in_mv):
    path = write_wfdb(tmp_path, "a", SIGNALS / in_mv, unit=unit, fmt=[fmt] * 12)
    step = np.ptp(SIGNALS, axis=1).max() / {"80": 250, "212": 4000}.get(fmt, 60000)
    signals, meta = load(path)
    np.testing.assert_allclose(signals, SIGNALS, atol=2 * step)
    assert meta["sampling_rate"] == 500
    assert np.isnan(meta["filter_low"])


def packed(values, fmt):
    """Samples of 10 bits as a format stores them, for those that wfdb reads and does not write."""
    first, second, third = (values & 0x3FF).reshape(-1, 3).T
    return {
        "8": lambda: np.diff(values.reshape(-1, 2), axis=0, prepend=values[None, :2]).astype("i1"),
        "61": lambda: values.astype(">i2"),
        "160": lambda: (values + 2**15).astype("<u2"),
        "310": lambda: np.stack([first << 1 | (third & 31) << 11, second << 1 | third >> 5 << 11], 1).astype("<u2"),
        "311": lambda: (first | second << 10 | third << 20).astype("<u4"),
    }[fmt]().tobytes()


@pytest.mark.parametrize("fmt", ["8", "61", "160", "310", "311"])
def test_formats_of_other_programs(tmp_path, fmt):
    time = np.arange(300) / 100
    stored = np.stack([200 * np.sin(8 * time), 120 * np.cos(5 * time)]).round().astype(int)
    (tmp_path / "a.dat").write_bytes(packed(stored.T.ravel(), fmt))
    told = [
        f"a.dat {fmt} 100/mV 16 0 {lead[0]} {lead.sum()} 0 {name}\n" for lead, name in zip(stored, "xy", strict=True)
    ]
    (tmp_path / "a.hea").write_text("a 2 100 300\n" + "".join(told))
    np.testing.assert_allclose(load(tmp_path / "a.hea")[0], stored / 100, rtol=1e-6)


def test_gain_baseline_and_gaps(tmp_path):
    stored = np.array([[100, 300, -32768], [0, -200, 50]])
    scale = {"adc_gain": [200, 0.5], "baseline": [100, 50], "fmt": ["16"] * 2}
    wfdb.wrsamp("a", 250, ["mV", "uV"], ["I", "II"], d_signal=stored.T, **scale, write_dir=tmp_path)
    signals, _ = load(tmp_path / "a.hea")
    np.testing.assert_allclose(signals, [[0, 1, np.nan], [-0.1, -0.5, 0]])  # (stored - baseline) / gain


def test_the_name_of_a_record_without_suffix(tmp_path):
    write_wfdb(tmp_path, "00001_lr", SIGNALS)
    np.testing.assert_allclose(load(tmp_path / "00001_lr")[0], SIGNALS, atol=1e-3)


def test_a_record_of_the_cinc_challenges(tmp_path):
    """Leads before samples in a MATLAB file, behind whose header the values begin."""
    stored = np.round(SIGNALS * 1000).astype(np.int16)
    scipy.io.savemat(tmp_path / "A0001.mat", {"val": stored}, format="4")
    lines = [f"A0001.mat 16+24 1000/mV 16 0 0 0 0 {name}\n" for name in STANDARD_LEADS]
    (tmp_path / "A0001.hea").write_text("A0001 12 500 1000\n" + "".join(lines) + "#Age: 74\n# Dx: 59118001\n")
    np.testing.assert_allclose(load(tmp_path / "A0001.hea")[0], SIGNALS, atol=6e-4)


@pytest.mark.parametrize("layout", [False, True])
def test_segments_with_a_gap_between_them(tmp_path, layout):
    rows = [1, 6] if layout else [0, 1]  # without a layout all segments have the same leads
    write_wfdb(tmp_path, "s1", SIGNALS[:2, :300], ["I", "II"])
    write_wfdb(tmp_path, "s2", SIGNALS[rows, :200], [STANDARD_LEADS[row] for row in rows])
    line = "~ 0 200/mV 16 0 0 0 0 "
    (tmp_path / "lay.hea").write_text(f"lay 3 500 0\n{line}I\n{line}II\n{line}V1\n")
    first = "a/4 3 500 600\nlay 0\n" if layout else "a/3 2 500 600\n"
    (tmp_path / "a.hea").write_text(f"{first}s1 300\n~ 100\ns2 200\n")
    signals, meta = load(tmp_path / "a.hea", leads=["I", "II", "V1"], missing="nan")
    expected = np.full((3, 600), np.nan)
    expected[:2, :300] = SIGNALS[:2, :300]
    expected[[1, 2] if layout else [0, 1], 400:] = SIGNALS[rows, :200]
    np.testing.assert_allclose(signals, expected, atol=1e-3)
    assert meta["sampling_rate"] == 500


def test_channels_of_another_rate_and_unit_are_left_to_the_user(tmp_path):
    given = {"e_p_signal": [*SIGNALS[:2], SIGNALS[2].repeat(4)], "samps_per_frame": [1, 1, 4]}
    wfdb.wrsamp("a", 500, ["mV", "mV", "Ohm"], ["I", "II", "RESP"], fmt=["16"] * 3, write_dir=tmp_path, **given)
    with pytest.raises(FileReadError, match=r"a\.hea: has channels that are no leads: RESP has the unit 'Ohm'"):
        load(tmp_path / "a.hea")
    assert load(tmp_path / "a.hea", leads=["II", "I"])[0].shape == (2, 1000)
    change_header(tmp_path / "a.hea", "/Ohm", "/mV")
    with pytest.raises(FileReadError, match=r"RESP has 4000 samples at 2000 Hz, most have 1000 at 500"):
        load(tmp_path / "a.hea")


def test_every_channel_may_have_several_samples_in_a_frame(tmp_path):
    given = {"e_p_signal": list(SIGNALS[:2]), "samps_per_frame": [2, 2]}
    wfdb.wrsamp("a", 250, ["mV"] * 2, ["I", "II"], fmt=["16"] * 2, write_dir=tmp_path, **given)
    signals, meta = load(tmp_path / "a.hea")
    assert meta["sampling_rate"] == 500
    np.testing.assert_allclose(signals, SIGNALS[:2], atol=1e-3)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (" 500 ", " 0 ", "has a sampling rate of 0 Hz, expected one above 0"),
        (" 1000\n", " 1000000000000\n", "more than the 1 GiB of max_bytes"),
        (" 500 ", " -500 ", "has the sampling rate '-500', expected a plain number above 0, such as 500"),
        (" 500 ", " 1e3 ", "has the sampling rate '1e3'"),
        (" 500 ", " nan ", "has the sampling rate 'nan'"),
        (" 1000\n", " 1001\n", r"does not fit a\.dat, or one of these is cut short or damaged"),
        (".dat 16 ", ".dat 99 ", r"does not fit a\.dat"),
        ("a 2", "a 3", "declares 3 signals, but describes 2"),
        ("a 2", "\0", "no WFDB header that can be read"),
        ("/mV", "/mmHg", "has no lead: I has the unit 'mmHg'"),
        ("0 II", "0 I", "several leads with the name I"),
        ("a.dat", "b.dat", r"names b\.dat, which is not in the same folder"),
    ],
)
def test_headers_that_make_no_sense(tmp_path, old, new, message):
    path = change_header(write_wfdb(tmp_path, "a", SIGNALS[:2], ["I", "II"]), old, new)
    with pytest.raises(FileReadError, match=rf"a\.hea: .*{message}"):
        load(path)


def test_segments_that_do_not_fit(tmp_path):
    write_wfdb(tmp_path, "s1", SIGNALS[:2, :300], ["I", "II"])
    write_wfdb(tmp_path, "s2", SIGNALS[:2, :300], ["I", "II"], rate=250)
    for text, message in (
        ("a/2 2 500 600\ns1 300\ns2 300\n", r"a\.hea: has 500 Hz, and its segment s2 250 Hz"),
        ("a/2 2 500 900\ns1 300\ns1 300\n", r"a\.hea: does not fit s1\.hea"),
        ("a/2 2 500 600\ns1 400\ns1 200\n", r"a\.hea: does not fit s1\.hea"),
        ("a/2 2 500 600\ns1 300\ngone 300\n", r"a\.hea: names gone\.hea, which is not in the same folder"),
    ):
        (tmp_path / "a.hea").write_text(text)
        with pytest.raises(FileReadError, match=message):
            load(tmp_path / "a.hea")


def test_a_lead_without_a_gain_is_named(tmp_path):
    path = write_wfdb(tmp_path, "a", SIGNALS[:2], ["I", "II"], adc_gain=[200.0] * 2, baseline=[0] * 2)
    change_header(path, "200.0(0)/mV", "0(0)/mV")
    with pytest.warns(FileReadWarning, match=r"a\.hea: lead I, II has no gain: 200 steps are taken for 1 mV"):
        signals, _ = load_loudly(path)
    np.testing.assert_allclose(signals, SIGNALS[:2], atol=5e-3)


def test_a_header_without_a_rate_is_told(tmp_path):
    path = change_header(write_wfdb(tmp_path, "a", SIGNALS[:2], ["I", "II"]), f"a 2 500 {SIGNALS.shape[1]}", "a 2")
    with pytest.warns(FileReadWarning, match=r"a\.hea: has no sampling rate: 250 samples per second are taken"):
        assert load_loudly(path)[1]["sampling_rate"] == 250


def test_samples_that_do_not_fit_the_checksum(tmp_path):
    path = write_wfdb(tmp_path, "a", SIGNALS[:2], ["I", "II"])
    values = np.fromfile(path.with_suffix(".dat"), np.int16)
    values[201] ^= 0x0400  # a flipped bit in lead II
    values.tofile(path.with_suffix(".dat"))
    (tmp_path / "b.hea").write_text("b/2 2 500 2000\na 1000\na 1000\n")
    told = r"the samples of lead II in a\.dat do not add up to the checksum in a\.hea: one of the files is damaged"
    for header in (path, tmp_path / "b.hea"):
        with pytest.warns(FileReadWarning, match=rf"{header.name}: {told}"):
            signals, _ = load_loudly(header)
    np.testing.assert_allclose(signals[0, :1000], SIGNALS[0], atol=1e-3)


@pytest.mark.parametrize("sums", [("1 0 I", "65535 0 II"), ("1 0 I", "-1 0 II"), ("0 0 I", "0 0 II"), ("", "")])
def test_checksums_that_tell_of_no_damage(sums, tmp_path):
    """Signed or not, they are remainders; zeros stand for sums that nobody computed, and a header may have none."""
    np.array([[1, -1], [0, 0]], np.int16).tofile(tmp_path / "a.dat")
    (tmp_path / "a.hea").write_text("a 2 500 2\n" + "".join(f"a.dat 16 1/mV 16 0 0 {told}\n" for told in sums))
    assert load(tmp_path / "a.hea")[0].shape == (2, 2)


def test_what_is_cut_short_or_gone(tmp_path):
    path = write_wfdb(tmp_path, "a", SIGNALS)
    whole = path.with_suffix(".dat").read_bytes()
    for length in (0, 1, 12, len(whole) - 1):
        path.with_suffix(".dat").write_bytes(whole[:length])
        with pytest.raises(FileReadError, match=r"a\.hea: does not fit a\.dat, or one of these is cut short"):
            load(path)
    path.with_suffix(".dat").unlink()
    with pytest.raises(FileReadError, match=r"a\.hea: names a\.dat, which is not in the same folder"):
        load(path)
    path.write_text("a 0 500 1000\n")
    with pytest.raises(UnrelatedFileError, match="is a WFDB header without signals"):
        load(path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(UnrelatedFileError, match=r"waveform_ecg\.dcm: is not a WFDB header"):
        load_loudly(REAL, WFDBReader)
    path = write_wfdb(tmp_path, "a", SIGNALS)
    assert WFDBReader().verify_suffix([path, tmp_path / "a"])
    assert not WFDBReader().verify_suffix(REAL)
    assert load_loudly(path, WFDBReader)[0].shape == (12, 1000)
