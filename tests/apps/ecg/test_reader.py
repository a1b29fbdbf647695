# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What becomes of a record whatever its format: leads, missing ones, warnings, MONAI's loader, a mixed folder."""

from __future__ import annotations

import pickle
import random
import shutil
import warnings

import numpy as np
import pydicom
import pytest
from monai.data import DataLoader, Dataset, MetaTensor
from monai.transforms import Compose, LoadImage, LoadImaged

from monai_debias.apps.ecg import STANDARD_LEADS, ECGReader
from monai_debias.apps.ecg.ecg_files import find_ecgs
from monai_debias.data import FileReadError, FileReadWarning, UnrelatedFileError
from monai_debias.data.readable import ReadableDataset, ReadableLoader
from tests.apps.ecg.records import REAL, load, load_loudly, real_leads, write_wfdb

EXAMPLES = {
    ECGReader: [{"leads": ["V6", "aVF"]}, {"leads": ["I", "X"], "missing": "nan"}],
    ECGReader.read: {"data": REAL},
}
SIGNALS = real_leads(2)


def test_leads_come_in_the_order_that_is_asked_for(tmp_path):
    path = write_wfdb(tmp_path, "a", SIGNALS, [name.lower() for name in STANDARD_LEADS])
    signals, meta = load(path, leads=["v6", "avr", "I"])
    np.testing.assert_allclose(signals, SIGNALS[[11, 3, 0]], atol=1e-3)
    assert signals.dtype == np.float32
    assert meta["leads"] == "V6,aVR,I"


@pytest.mark.parametrize("given", [("I", "II"), ("III", "aVR"), ("aVL", "aVF"), ("II", "aVL")])
def test_limb_leads_follow_from_any_two(tmp_path, given):
    rows = [STANDARD_LEADS.index(name) for name in given]
    first, second = SIGNALS[:2]
    limbs = [first, second, second - first, -(first + second) / 2, first - second / 2, second - first / 2]
    path = write_wfdb(tmp_path, "a", [limbs[row] for row in rows], given)
    signals, _ = load(path, leads=STANDARD_LEADS[:6])
    np.testing.assert_allclose(signals, limbs, atol=1e-3)


def test_a_missing_lead_is_an_error_or_nan(tmp_path):
    path = write_wfdb(tmp_path, "a", SIGNALS[:3], ["I", "II", "V1"])
    with pytest.raises(FileReadError, match=r"a\.hea: lacks lead V2, V3; it has I, II, V1\. missing=\"nan\""):
        load(path, leads=["I", "V2", "V3"])
    with pytest.raises(FileReadError, match=r"lacks lead V2, V3, V4, V5, V6"):  # three leads for a network of twelve
        load(path, leads=STANDARD_LEADS)
    signals, meta = load(path, leads=["V2", "V1", "III"], missing="nan")
    assert meta["missing_leads"] == "V2"
    assert np.isnan(signals).tolist() == [[True] * 1000, [False] * 1000, [False] * 1000]
    with pytest.raises(FileReadError, match="lacks lead V5, V6"):
        load(path, leads=["V5", "V6"], missing="nan")


def test_flat_and_empty_leads_are_named(tmp_path):
    signals = SIGNALS.copy()
    signals[7], signals[8] = 0.3, np.nan
    path = write_wfdb(tmp_path, "a", signals, adc_gain=[1000.0] * 12, baseline=[0] * 12)
    with pytest.warns(FileReadWarning) as warned:
        load_loudly(path)
    assert [str(warning.message).partition("a.hea: ")[2] for warning in warned] == [
        "lead V2 is flat: all its values are equal.",
        "lead V3 has no values.",
    ]
    signals[:] = 0.3
    write_wfdb(tmp_path, "b", signals, adc_gain=[1000.0] * 12, baseline=[0] * 12)
    with pytest.raises(FileReadError, match=r"b\.hea: has no lead with a signal"):
        load(tmp_path / "b.hea")


def test_leads_that_look_exchanged(tmp_path):
    load(write_wfdb(tmp_path, "right", SIGNALS))
    turned = SIGNALS.copy()
    turned[0] *= -1
    with pytest.warns(FileReadWarning, match=r"turned\.hea: leads I, II and III contradict .* if I is inverted"):
        load_loudly(write_wfdb(tmp_path, "turned", turned))
    arms = SIGNALS[[0, 2, 1, 4, 3, 5, *range(6, 12)]]
    arms[0] *= -1
    with pytest.warns(FileReadWarning, match=r"arms\.hea: aVL and not aVR runs most against V5 and V6"):
        load_loudly(write_wfdb(tmp_path, "arms", arms))


@pytest.mark.parametrize("factor", [1e-3, 100])
def test_a_unit_that_looks_wrong(tmp_path, factor):
    path = write_wfdb(tmp_path, "a", SIGNALS * factor)
    with pytest.warns(FileReadWarning, match=r"a\.hea: the largest value is .* mV, that of an ECG is about 1 mV"):
        load_loudly(path)
    np.save(tmp_path / "a.npy", SIGNALS[:2] * 1e300)
    with pytest.raises(FileReadError, match=r"a\.npy: has a value of .*e\+300 mV: the file is damaged"):
        load(tmp_path / "a.npy", sampling_rate=500, columns=["I", "II"])


def test_damaged_files_are_read_or_named(tmp_path):
    write_wfdb(tmp_path, "a", SIGNALS[:, :300])
    for name in ("s1", "s2"):
        write_wfdb(tmp_path, name, SIGNALS[:2, :300], ["I", "II"])
    (tmp_path / "m.hea").write_text("m/3 2 500 700\ns1 300\n~ 100\ns2 300\n")
    dataset = pydicom.dcmread(REAL)
    for group in dataset.WaveformSequence:
        group.NumberOfWaveformSamples, group.WaveformData = 300, group.WaveformData[: 300 * 24]
    dataset.save_as(tmp_path / "d.dcm")
    (tmp_path / "t.csv").write_text("I,II\n" + "\n".join("{:.3f},{:.3f}".format(*row) for row in SIGNALS[:2].T))
    np.save(tmp_path / "n.npy", SIGNALS[:2])
    options = {"t.csv": {"sampling_rate": 500}, "n.npy": {"sampling_rate": 500, "columns": ["I", "II"]}}
    whole = {name: (tmp_path / name).read_bytes() for name in ("a.hea", "m.hea", "d.dcm", "t.csv", "n.npy")}
    rng, refused, read = random.Random(0), 0, 0
    for name in rng.choices(sorted(whole), k=120):
        damaged = bytearray(whole[name])
        place = rng.randrange(min(len(damaged), 6000))
        damaged[place : place + rng.choice((1, 2, 4))] = rng.randbytes(rng.choice((0, 1, 4)))
        (tmp_path / name).write_bytes(damaged)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                signals, _ = load_loudly(tmp_path / name, **options.get(name, {}))
            except FileReadError as error:
                assert str(error).startswith(f"{tmp_path / name}: ")  # noqa: PT017
                refused += 1
            else:
                assert signals.dtype == np.float32
                assert not np.isinf(signals).any()
                read += 1
        (tmp_path / name).write_bytes(whole[name])
    assert refused > 20
    assert read > 20


def test_monais_loader_shows_the_errors_and_keeps_the_meta(tmp_path):
    path = write_wfdb(tmp_path, "a", SIGNALS)
    for reader in (ECGReader(), "monai_debias.apps.ecg.ECGReader"):
        signal = LoadImage(reader=reader, ensure_channel_first=True)(path)
        assert isinstance(signal, MetaTensor)
        assert signal.shape == (12, 1000)
        assert (signal.meta["sampling_rate"], signal.meta["units"]) == (500, "mV")
        with pytest.raises(FileNotFoundError, match=r"gone\.hea: no such file"):
            LoadImage(reader=reader)(tmp_path / "gone.hea")
    assert LoadImage(reader="monai_debias.apps.ecg.ECGReader", leads=["II"])(path).shape == (1, 1000)
    items = [{"image": str(path)}, {"image": REAL}]
    load_items = Compose([LoadImaged("image", reader=ECGReader(leads=["I", "V2"]), ensure_channel_first=True)])
    for item, rate in zip(DataLoader(Dataset(items, load_items), batch_size=1), (500, 1000), strict=True):
        assert item["image"].meta["sampling_rate"].tolist() == [rate]
        assert item["image"].meta["leads"] == ["I,V2"]


def test_a_folder_of_mixed_files(tmp_path):
    write_wfdb(tmp_path, "one", SIGNALS)
    write_wfdb(tmp_path, "two", SIGNALS[:2], ["I", "II"])
    cut = write_wfdb(tmp_path, "cut", SIGNALS).with_suffix(".dat")
    cut.write_bytes(cut.read_bytes()[:-100])
    shutil.copy(REAL, tmp_path / "three")
    (tmp_path / "RECORDS").write_text("one\ntwo\ncut\n")
    (tmp_path / "one.atr").write_bytes(bytes(10))
    (tmp_path / "four.txt").write_text("I\tII\n0.1\t0.2\n0.2\t0.3\n")
    (tmp_path / "readme.txt").write_text("records of 2020\n")
    found = find_ecgs(tmp_path)
    assert [file.rpartition("/")[2] for file in found.files] == [
        *("RECORDS", "cut.hea", "four.txt", "one.atr", "one.hea", "readme.txt", "three", "two.hea")
    ]
    transform = LoadImaged("image", reader=ECGReader(leads=["I", "II"], sampling_rate=500))
    loader = ReadableLoader(ReadableDataset([{"image": file} for file in found.files], transform))
    assert [len(batch["image"][0, 0]) for batch in loader] == [2, 1000, 10000, 1000]
    assert {entry.file.rpartition("/")[2]: entry.kind for entry in loader.left_out} == {
        "RECORDS": "unrelated",
        "cut.hea": "unreadable",
        "one.atr": "unrelated",
        "readme.txt": "unreadable",
    }
    with pytest.raises(UnrelatedFileError, match=r"one\.dat: belongs to the WFDB record one\.hea; read that instead"):
        load(tmp_path / "one.dat")


def test_nothing_of_the_patient_is_kept(tmp_path):
    path = write_wfdb(tmp_path, "a", SIGNALS)
    for file in (path, REAL):
        _, meta = load(file)
        text = repr(meta) + repr(pickle.dumps(meta))
        assert not any(word in text for word in ("Doe", "Jane", "Age", "Anonymous", "RITMO"))
        filters = {"filter_low", "filter_high", "filter_notch"}
        for_monai = {"reader", "affine", "spatial_shape", "original_channel_dim"}
        assert set(meta) == {"sampling_rate", "leads", "missing_leads", "units"} | filters | for_monai


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="leads are I, I, expected each name once"):
        ECGReader(leads=["I", "I"])
    with pytest.raises(ValueError, match="expected one file per item, got 2"):
        load([REAL, REAL])
