# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pydicom
import pytest
import torch

from monai_debias.audit import items
from monai_debias.audit.items import AuditItems, attribute_names, with_dicom_tags
from tests.samples import CLIP_FILE


def test_attributes_are_what_has_a_few_values_or_numbers():
    rows = [
        {"image": f"{i}", "label": i % 2, "patient_id": f"p{i}", "age": 20.5 + i, "site": "ab"[i % 2], "note": f"n{i}"}
        for i in range(30)
    ]
    assert attribute_names(rows) == ["age", "site"]
    rows[3] |= {"site": None, "age": None}
    assert attribute_names(rows) == ["age", "site"]
    assert attribute_names([{**row, "site": "a"} for row in rows]) == ["age"]


def test_tags(tmp_path):
    found = with_dicom_tags([{"image": CLIP_FILE}, {"image": __file__}], ["Modality", "Rows"])
    assert found == [
        {"image": CLIP_FILE, "Modality": "US", "Rows": 240.0},
        {"image": __file__, "Modality": "", "Rows": ""},
    ]
    header = pydicom.Dataset()
    header.PatientAge, header.KVP = "006M", "80.5"
    header.file_meta = pydicom.dataset.FileMetaDataset()
    header.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    header.preamble = bytes(128)
    header.save_as(tmp_path / "a.dcm")
    (item,) = with_dicom_tags([{"image": str(tmp_path / "a.dcm")}], ["PatientAge", "KVP"])
    assert (item["PatientAge"], item["KVP"]) == (0.5, 80.5)
    with pytest.raises(ValueError, match="'Patientage' is no keyword of the DICOM standard"):
        with_dicom_tags([{"image": CLIP_FILE}], ["Patientage"])


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(items, "_CACHE", 100)
    loads = []

    def load(item):
        loads.append(item["image"])
        return {"image": torch.zeros(1, 4, 4)}  # 64 bytes

    found = AuditItems([{"image": name, "label": 0} for name in "ab"], load)
    assert [set(found[i]) for i in (0, 1, 0, 1)] == [{"label", "image"}] * 4
    assert loads == ["a", "b", "b"]
