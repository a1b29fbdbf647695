# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""ECGs in DICOM files: multiplex groups of channels, each with its lead, its scale and its filters."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from monai_debias.apps.ecg.leads import STANDARD_LEADS, lead_name
from monai_debias.apps.ecg.record import Channel, Filters, Record, make_record
from monai_debias.data.dicom.dataset import open_dicom, read_content
from monai_debias.data.dicom.values import items, number, optional, text, whole_number
from monai_debias.data.reading import FileReadError, UnrelatedFileError, warn

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["read_dicom_waveform"]

_LEAD_OF_CODE = {  # the last part of the codes of MDC (2:61) and SCP-ECG (5.6.3-9-61)
    **{1: "I", 2: "II", 61: "III", 62: "aVR", 63: "aVL", 64: "aVF"},
    **{number: f"V{number - 2}" for number in range(3, 12)},
}
_CODE = re.compile(r"^(?:2:|5\.6\.3-9-)(\d+)$")


class _Group(NamedTuple):
    """A multiplex group: when it begins, in seconds, and its channels."""

    begin: float
    rate: float
    channels: list[Channel]


def read_dicom_waveform(path: Path, max_bytes: int) -> Record:
    """Read the recorded leads; derived groups, such as a median beat, and annotations are left out.

    A stored value times the sensitivity and its correction, plus the baseline, is the voltage (PS3.3 C.10.9.1.4); a
    value that pads the channel is NaN. Groups that were recorded one after the other, as three leads at a time on a
    paper print, lie at their times, with NaN elsewhere.

    Args:
        path: the file.
        max_bytes: largest size of the record in memory.

    Raises:
        UnrelatedFileError: if it is not DICOM, or has no waveform.
        FileReadError: if the waveform is incomplete or cut short, or its scale is missing.
    """
    dataset = open_dicom(path)
    sequence = items(dataset, "WaveformSequence")
    if not sequence:
        content = read_content(dataset)
        if "Waveform" in content.class_name:
            raise FileReadError(f"has no waveform ({content}): the file was cut short, or stored without it.")
        raise UnrelatedFileError(f"is not an ECG ({content}, without a waveform).")
    little_endian = dataset.original_encoding[1] is not False
    originals = [group for group in sequence if (text(group, "WaveformOriginality") or "ORIGINAL") == "ORIGINAL"]
    chosen = originals or sequence
    size = sum((whole_number(group, "NumberOfWaveformSamples") or 0) * len(_definitions(group)) * 8 for group in chosen)
    if size > max_bytes:
        raise FileReadError(f"takes {size / 2**30:.3g} GiB, more than the {max_bytes / 2**30:.3g} GiB of max_bytes.")
    groups = [_read_group(group, place, little_endian) for place, group in enumerate(chosen, start=1)]
    same = [group for group in groups if group.rate == groups[0].rate]
    if len(same) < len(groups):
        others = ", ".join(f"{group.rate:g}" for group in groups if group.rate != groups[0].rate)
        warn(f"the groups of channels with {others} Hz are left out, the first has {groups[0].rate:g} Hz.")
    return make_record(_on_one_time_line(same, max_bytes), _filters(chosen[0]))


def _definitions(group: Dataset) -> list[Dataset]:
    return items(group, "ChannelDefinitionSequence") or []


def _read_group(group: Dataset, place: int, little_endian: bool) -> _Group:
    rate = number(group, "SamplingFrequency")
    if rate is None or rate <= 0:
        raise FileReadError(f"SamplingFrequency of group {place} is {rate}, expected a number above 0.")
    definitions = _definitions(group)
    stored = _stored_values(group, place, len(definitions), little_endian)
    padding = _padding_value(group, stored.dtype)
    channels = []
    for i, definition in enumerate(definitions):
        scale, offset, unit = _scale(definition, f"channel {i + 1} of group {place}")
        values = stored[:, i] * scale + offset
        if padding is not None:
            values[stored[:, i] == padding] = np.nan
        channels.append(Channel(_lead(definition) or f"channel {i + 1}", values, unit, rate))
        skew = optional(number, definition, "ChannelTimeSkew") or 0.0
        if abs(skew) * rate >= 1:
            warn(f"channel {i + 1} was sampled {skew:g} s after the others, which is not corrected.")
    begin = (optional(number, group, "MultiplexGroupTimeOffset") or 0.0) / 1000
    return _Group(begin, rate, channels)


def _stored_values(group: Dataset, place: int, n_channels: int, little_endian: bool) -> np.ndarray:
    """The stored integers, (samples, channels)."""
    from pydicom.waveforms.numpy_handler import WAVEFORM_DTYPES

    bits, kind = whole_number(group, "WaveformBitsAllocated"), text(group, "WaveformSampleInterpretation")
    dtype = WAVEFORM_DTYPES.get((bits or 0, kind or ""))
    if dtype is None or kind in ("MB", "AB"):
        raise FileReadError(f"group {place} has values of {bits} bits of the kind {kind}, which is not supported.")
    counts = whole_number(group, "NumberOfWaveformSamples"), whole_number(group, "NumberOfWaveformChannels")
    if not counts[0] or counts[1] != n_channels:
        raise FileReadError(
            f"group {place} declares {counts[0]} samples of {counts[1]} channels and defines {n_channels} of these."
        )
    data = group.get("WaveformData") or b""
    expected = counts[0] * n_channels * np.dtype(dtype).itemsize
    if len(data) < expected:
        raise FileReadError(f"group {place} is cut short: it has {len(data)} bytes of {expected}.")
    in_order = np.dtype(dtype).newbyteorder("<" if little_endian else ">")
    return np.frombuffer(data[:expected], in_order).reshape(counts[0], n_channels)


def _padding_value(group: Dataset, dtype: np.dtype) -> int | None:
    value = group.get("WaveformPaddingValue")
    if not isinstance(value, bytes) or len(value) < dtype.itemsize:
        return None
    return int(np.frombuffer(value[: dtype.itemsize], dtype)[0])


def _scale(definition: Dataset, where: str) -> tuple[float, float, str]:
    """Factor, offset and unit of the stored values of a channel."""
    sensitivity = number(definition, "ChannelSensitivity")
    units = items(definition, "ChannelSensitivityUnitsSequence")
    if sensitivity is None or sensitivity == 0 or not units:
        raise FileReadError(f"{where} has no sensitivity with a unit: its values cannot be turned into millivolts.")
    correction = number(definition, "ChannelSensitivityCorrectionFactor")
    baseline = number(definition, "ChannelBaseline") or 0.0
    return sensitivity * (1.0 if correction is None else correction), baseline, text(units[0], "CodeValue") or ""


def _lead(definition: Dataset) -> str:
    """The lead of a channel by its code, else by the code's meaning or the label if that is the name of a lead."""
    told = [text(source, key) for source in items(definition, "ChannelSourceSequence") or [] for key in _CODE_KEYS]
    for word in (*told, optional(text, definition, "ChannelLabel")):
        match = _CODE.match(word or "")
        name = _LEAD_OF_CODE.get(int(match[1])) if match else lead_name(word or "")
        if name in _KNOWN:
            return name
    return ""


_CODE_KEYS = ("CodeValue", "CodeMeaning")
_KNOWN = {*STANDARD_LEADS, *_LEAD_OF_CODE.values()}


def _filters(group: Dataset) -> Filters:
    first = _definitions(group)[0]
    found = (
        optional(number, first, key) for key in ("FilterLowFrequency", "FilterHighFrequency", "NotchFilterFrequency")
    )
    return Filters(*(float("nan") if value is None else value for value in found))


def _on_one_time_line(groups: list[_Group], max_bytes: int) -> list[Channel]:
    """Put the channels of groups of one rate at their times; where two have the same lead, the first counts."""
    rate, start = groups[0].rate, min(group.begin for group in groups)
    begins = [round((group.begin - start) * rate) for group in groups]
    length = max(begin + len(group.channels[0].samples) for begin, group in zip(begins, groups, strict=True))
    size = length * len({channel.name for group in groups for channel in group.channels}) * np.dtype(float).itemsize
    if size > max_bytes:
        raise FileReadError(
            f"has groups that begin {max(begins) / rate:.3g} s apart: on one time line these take {size / 2**30:.3g} "
            f"GiB, more than the {max_bytes / 2**30:.3g} GiB of max_bytes."
        )
    placed: dict[str, Channel] = {}
    for begin, group in zip(begins, groups, strict=True):
        for channel in group.channels:
            kept = placed.setdefault(channel.name, channel._replace(samples=np.full(length, np.nan)))
            if kept.unit != channel.unit:
                raise FileReadError(f"lead {channel.name} has the units {kept.unit} and {channel.unit} in two groups.")
            piece = kept.samples[begin : begin + len(channel.samples)]
            np.copyto(piece, channel.samples, where=np.isnan(piece))
    return [*placed.values()]
