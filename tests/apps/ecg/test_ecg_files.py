# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Which files of a folder are ECGs to read."""

from __future__ import annotations

import numpy as np
import pytest

from monai_debias.apps.ecg.ecg_files import find_ecgs
from monai_debias.data import FileReadError, LeftOutError, build_folder_datalist, load_datalist
from tests.apps.ecg.records import load, write_wfdb

EXAMPLES = {find_ecgs: lambda folder: {"path": write_wfdb(_made(folder), "a", [[0.1, 0.2]], ["I"])}}


def _made(folder):
    folder.mkdir(exist_ok=True)
    return folder


def test_the_parts_of_a_record_are_not_listed(tmp_path):
    (tmp_path / "below").mkdir()
    for name in ("s1", "s2"):
        write_wfdb(tmp_path / "below", name, np.random.default_rng(0).normal(size=(2, 100)), ["I", "II"])
    (tmp_path / "below" / "long.hea").write_text("long/3 2 500 230\ns1 100\n~ 30\ns2 100\n")
    (tmp_path / "s1.dat").write_bytes(b"of no record here")
    (tmp_path / "damaged.hea").write_text("\0")
    (tmp_path / "UPPER.HEA").write_text("UPPER 2 500 100\n")
    (tmp_path / "loop.hea").symlink_to("loop.hea")
    found = [file.rpartition("/")[2] for file in find_ecgs(tmp_path).files]
    assert found == ["UPPER.HEA", "long.hea", "damaged.hea", "s1.dat"]
    with pytest.raises(FileReadError, match=r"UPPER\.HEA: has the suffix \.HEA, wfdb reads \.hea only: rename it"):
        load(tmp_path / "UPPER.HEA")


def test_a_folder_for_each_label_has_an_item_for_each_record_and_leaves_nothing_out(tmp_path):
    """Of WFDB records, whose signals are files of their own, and one of which has two segments."""
    signals = np.random.default_rng(0).normal(size=(2, 100))
    for label in ("normal", "other"):
        (tmp_path / label).mkdir()
        for name in ("p0", "p1", "p2", "p3", "p4"):
            write_wfdb(tmp_path / label, name, signals, ["I", "II"])
    (tmp_path / "other" / "p3p4.hea").write_text("p3p4/2 2 500 200\np3 100\np4 100\n")
    asked = {"patient_regex": "(p[0-9])", "reader": "monai_debias.apps.ecg.ECGReader", "strict": True}
    build_folder_datalist(str(tmp_path), validation_fraction=0.25, test_fraction=0.25, **asked)
    items = [item for name in ("training", "validation", "test") for item in load_datalist(tmp_path, name)]
    others = sorted(item["image"].rpartition("/")[2] for item in items if item["label"] == 1)
    assert others == ["p0.hea", "p1.hea", "p2.hea", "p3p4.hea"]
    assert len(items) == 5 + len(others)
    (tmp_path / "normal" / "p1.dat").unlink()
    with pytest.raises(LeftOutError, match=r"1 left out \(1 unreadable\)\n.*p1\.hea: names p1\.dat"):
        build_folder_datalist(str(tmp_path), overwrite=True, **asked)
