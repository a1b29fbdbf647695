# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Which files of a folder are ECGs to read."""

from __future__ import annotations

import numpy as np

from monai_debias.apps.ecg.ecg_files import find_ecgs
from tests.apps.ecg.records import write_wfdb

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
    found = [file.rpartition("/")[2] for file in find_ecgs(tmp_path).files]
    assert found == ["long.hea", "damaged.hea", "s1.dat"]
