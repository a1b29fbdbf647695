# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The real twelve-lead file, what its groups and channels mean, and damaged ones."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian

from monai_debias.apps.ecg import STANDARD_LEADS, DICOMWaveformReader
from monai_debias.data import FileReadError, FileReadWarning, UnrelatedFileError
from tests.apps.ecg.records import REAL, load, load_loudly

EXAMPLES = {
    DICOMWaveformReader: [{"leads": ["V1", "II"]}, {"leads": ["I", "V9"], "missing": "nan"}],
    DICOMWaveformReader.read: {"data": REAL},
}


@pytest.fixture
def dataset():
    return pydicom.dcmread(REAL)


def changed(folder, dataset, **options):
    dataset.save_as(folder / "a.dcm", **options)
    return folder / "a.dcm"


def test_the_real_record():
    signals, meta = load(REAL)
    assert meta["leads"] == ",".join(STANDARD_LEADS)
    expected = pydicom.dcmread(REAL).waveform_array(0).T / 1000  # in microvolts
    np.testing.assert_allclose(signals, expected, atol=1e-6)
    np.testing.assert_allclose(signals[0] + signals[2], signals[1], atol=0.005)  # Einthoven
    assert (meta["sampling_rate"], meta["filter_low"], meta["filter_high"], meta["filter_notch"]) == (
        1000,
        0.05,
        300,
        0,
    )
    assert 1 < signals[1].max() < 2  # an R wave


def test_scale(tmp_path, dataset):
    first = dataset.WaveformSequence[0].ChannelDefinitionSequence[0]
    first.ChannelSensitivity, first.ChannelSensitivityCorrectionFactor, first.ChannelBaseline = "2.5", "1.1", "-40"
    second = dataset.WaveformSequence[0].ChannelDefinitionSequence[1]
    second.ChannelSensitivityUnitsSequence[0].CodeValue = "mV"
    stored = dataset.WaveformSequence[0].WaveformData
    values = np.frombuffer(stored, "<i2").reshape(-1, 12).T.astype(float)
    with pytest.warns(FileReadWarning, match="is the unit right"):
        signals, _ = load_loudly(changed(tmp_path, dataset), leads=["I", "II"])
    np.testing.assert_allclose(signals[0], (values[0] * 2.5 * 1.1 - 40) / 1000, rtol=1e-5)
    np.testing.assert_allclose(signals[1], values[1] * 1.25, rtol=1e-5)


def test_leads_by_code_meaning_or_label(tmp_path, dataset):
    channels = dataset.WaveformSequence[0].ChannelDefinitionSequence
    source = channels[2].ChannelSourceSequence[0]  # III
    source.CodeValue, source.CodingSchemeDesignator = "2:61", "MDC"
    channels[3].ChannelSourceSequence[0].CodeValue = "X1"  # its meaning is Lead aVR
    channels[4].ChannelSourceSequence[0].CodeValue = channels[4].ChannelSourceSequence[0].CodeMeaning = "X2"
    channels[4].ChannelLabel = "avl"
    del channels[5].ChannelSourceSequence
    channels[5].ChannelLabel = "Doe^Jane"
    _, meta = load(changed(tmp_path, dataset))
    assert meta["leads"] == "I,II,III,aVR,aVL,channel 6,V1,V2,V3,V4,V5,V6"


def test_groups_recorded_one_after_the_other(tmp_path, dataset):
    whole = dataset.WaveformSequence[0]
    values = np.frombuffer(whole.WaveformData, "<i2").reshape(-1, 12)
    groups = []
    for part in range(4):  # as on paper: three leads for 2.5 s, then the next three
        group = copy.deepcopy(whole)
        leads = slice(3 * part, 3 * part + 3)
        group.ChannelDefinitionSequence = whole.ChannelDefinitionSequence[leads]
        group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = 3, 2500
        group.MultiplexGroupTimeOffset = str(2500 * part)
        group.WaveformData = values[2500 * part : 2500 * (part + 1), leads].tobytes()
        groups.append(group)
    dataset.WaveformSequence = groups
    signals, _ = load(changed(tmp_path, dataset))
    expected = values.T * 0.00125
    for row in range(12):
        begin = 2500 * (row // 3)
        np.testing.assert_allclose(signals[row, begin : begin + 2500], expected[row, begin : begin + 2500], atol=1e-6)
        assert np.isnan(signals[row]).sum() == 7500
    groups[3].SamplingFrequency = "500"
    with pytest.warns(FileReadWarning, match=r"a\.dcm: the groups of channels with 500 Hz are left out"):
        signals, _ = load_loudly(changed(tmp_path, dataset))
    assert signals.shape == (9, 7500)
    groups[1].MultiplexGroupTimeOffset = str(10**12)
    with pytest.raises(FileReadError, match=r"a\.dcm: has groups that begin 1e\+09 s apart: .* more than the 1 GiB"):
        load_loudly(changed(tmp_path, dataset))


def test_padding_is_nan_and_byte_order_does_not_matter(tmp_path, dataset):
    group = dataset.WaveformSequence[0]
    values = np.frombuffer(group.WaveformData, "<i2").reshape(-1, 12).copy()
    values[100:200, 5] = -32768
    group.WaveformData, group.WaveformPaddingValue = values.tobytes(), (-32768).to_bytes(2, "little", signed=True)
    group["WaveformPaddingValue"].VR = "OW"
    signals, _ = load(changed(tmp_path, dataset))
    assert np.isnan(signals).sum(1).tolist() == [0] * 5 + [100] + [0] * 6
    big = Dataset()
    big.update({element.tag: element for element in dataset if not element.tag.is_private})
    for item in big.WaveformSequence:
        item.WaveformData = np.frombuffer(item.WaveformData, "<i2").astype(">i2").tobytes()
        if "WaveformPaddingValue" in item:
            item.WaveformPaddingValue = (-32768).to_bytes(2, "big", signed=True)
    big.file_meta = dataset.file_meta
    big.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    big.save_as(tmp_path / "big.dcm", implicit_vr=False, little_endian=False, enforce_file_format=True)
    np.testing.assert_array_equal(load(tmp_path / "big.dcm")[0], signals)


def test_without_the_preamble(tmp_path, dataset):
    whole = Path(REAL).read_bytes()
    (tmp_path / "bare").write_bytes(whole[132:])
    np.testing.assert_array_equal(load(tmp_path / "bare")[0], load(REAL)[0])


@pytest.mark.parametrize(
    ("keyword", "value", "message"),
    [
        ("SamplingFrequency", "0", "SamplingFrequency of group 1 is 0.0, expected a number above 0"),
        ("SamplingFrequency", None, "SamplingFrequency of group 1 is None"),
        ("NumberOfWaveformSamples", 20000, "group 1 is cut short: it has 240000 bytes of 480000"),
        ("NumberOfWaveformSamples", 4 * 10**9, "takes 358 GiB"),
        ("NumberOfWaveformChannels", 11, "group 1 declares 10000 samples of 11 channels and defines 12"),
        ("WaveformSampleInterpretation", "MB", "group 1 has values of 16 bits of the kind MB, which is not supported"),
    ],
)
def test_groups_that_make_no_sense(tmp_path, dataset, keyword, value, message):
    if value is None:
        delattr(dataset.WaveformSequence[0], keyword)
    else:
        setattr(dataset.WaveformSequence[0], keyword, value)
    with pytest.raises(FileReadError, match=rf"a\.dcm: {message}"):
        load(changed(tmp_path, dataset))


def test_a_channel_without_scale_or_with_another_unit(tmp_path, dataset):
    channels = dataset.WaveformSequence[0].ChannelDefinitionSequence
    channels[4].ChannelSensitivityUnitsSequence[0].CodeValue = "mm[Hg]"
    with pytest.raises(FileReadError, match=r"a\.dcm: has channels that are no leads: aVL has the unit 'mm\[Hg\]'"):
        load(changed(tmp_path, dataset))
    del channels[4].ChannelSensitivity
    with pytest.raises(FileReadError, match="channel 5 of group 1 has no sensitivity with a unit"):
        load(changed(tmp_path, dataset))


def test_without_a_waveform(tmp_path, dataset):
    with pytest.raises(UnrelatedFileError, match=r"CT_small\.dcm: is not an ECG \(modality CT"):
        load(get_testdata_file("CT_small.dcm"))
    whole = Path(REAL).read_bytes()
    (tmp_path / "cut.dcm").write_bytes(whole[:100_000])
    with pytest.raises(FileReadError, match=r"cut\.dcm: "):
        load(tmp_path / "cut.dcm")
    del dataset.WaveformSequence
    with pytest.raises(FileReadError, match=r"a\.dcm: has no waveform \(modality ECG"):
        load(changed(tmp_path, dataset))
    (tmp_path / "text.dcm").write_text("an ECG")
    with pytest.raises(UnrelatedFileError, match="not a DICOM file"):
        load(tmp_path / "text.dcm")
    (tmp_path / "a.hea").write_text("a 1 500 10")
    with pytest.raises(UnrelatedFileError, match=r"a\.hea: is not a DICOM file"):
        load_loudly(tmp_path / "a.hea", DICOMWaveformReader)
