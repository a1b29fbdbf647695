# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from monai.data import MetaTensor

from monai_debias.audit import audit
from monai_debias.audit.checks import BackgroundUsed, PropertiesPresent
from tests.audit.subjects import looks_at, make_items


def from_files(folder, width):
    """Items that were read from files, whose width depends on the class."""
    rng, items = np.random.default_rng(0), make_items(80)
    for n, item in enumerate(items):
        file = folder / f"{n}.npy"
        np.save(file, rng.random((8, width(item["label"]))))
        item["image"] = MetaTensor(item["image"], meta={"filename_or_obj": str(file)})
    return items


@pytest.mark.parametrize(("apart", "verdict"), [(True, "found"), (False, "too little data")])
def test_the_width_of_a_file_may_tell_its_class(tmp_path, apart, verdict):
    rng = np.random.default_rng(1)
    items = from_files(tmp_path, lambda label: 8 + label if apart else 8 + int(rng.integers(2)))
    found = audit(looks_at(10, 0), items, checks=[PropertiesPresent()])
    (one,) = found.findings
    assert (one.level, one.verdict, one.tested) == ("present", verdict, "properties of the files")
    if apart:
        assert one.effect > 0.45
        assert one.details["AUC of columns alone"] == 1.0
    assert found.exit_code == 0


def test_files_that_cannot_be_read_once_more_are_left_out(tmp_path):
    items = from_files(tmp_path, lambda label: 8 + label)
    (tmp_path / "0.npy").unlink()
    (tmp_path / "1.npy").write_bytes(b"damaged")
    (one,) = audit(looks_at(10, 0), items, checks=[PropertiesPresent()]).findings
    assert one.patients == 78
    for file in tmp_path.iterdir():
        file.unlink()
    found = audit(looks_at(10, 0), items, checks=[PropertiesPresent(), BackgroundUsed()])
    assert "none of the files could be read" in found.not_checked["file properties"]


def test_images_without_files():
    found = audit(looks_at(10, 0), make_items(20), checks=[PropertiesPresent(), BackgroundUsed()])
    assert "files that they were read from" in found.not_checked["file properties"]
