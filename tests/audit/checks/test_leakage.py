# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
from monai.data import MetaTensor

from monai_debias.audit import audit
from monai_debias.audit.checks import BackgroundUsed, Leakage
from monai_debias.audit.sentences import sentence
from tests.audit.subjects import looks_at, make_items


def items_and_training(folder):
    """Twenty audited images, and ten of the training, of which two are copies and one has a patient of the former."""
    rng, items, training = np.random.default_rng(0), make_items(20), []
    pictures = rng.random((30, 32, 32))
    pictures[20], pictures[21] = pictures[3], 1 - pictures[4] / 2  # the same, and a pale negative
    for n, picture in enumerate(pictures):
        np.save(folder / f"{n}.npy", picture)
        if n < 20:
            items[n]["image"] = MetaTensor(items[n]["image"], meta={"filename_or_obj": str(folder / f"{n}.npy")})
        else:
            patient = "p7" if n == 29 else f"other {n}"
            training.append({"image": str(folder / f"{n}.npy"), "patient_id": patient})
    return items, training


def found_in(finding):
    return finding.details["images of shared patients"], finding.details["near copies"]


def test_copies_and_shared_patients_are_counted(tmp_path):
    items, training = items_and_training(tmp_path)
    (one,) = audit(looks_at(10, 0), items, checks=[Leakage(training)]).findings
    assert found_in(one) == (1, 2)
    assert one.effect == 3 / 20
    assert one.verdict == "described"
    assert sentence(one).startswith("15.0 % of the audited images")


def test_damaged_files_and_missing_patients_do_not_stop_it(tmp_path):
    items, training = items_and_training(tmp_path)
    (tmp_path / "3.npy").write_bytes(b"damaged")
    unknown = [{**item, "patient_id": None} for item in training] + [{"image": None}, {}]
    (one,) = audit(looks_at(10, 0), items, checks=[Leakage(unknown)]).findings
    assert found_in(one) == (0, 1)
    assert one.details["of which were looked at"] == 12


def test_few_of_many_images_are_looked_at(tmp_path):
    items, training = items_and_training(tmp_path)
    (one,) = audit(looks_at(10, 0), items, checks=[Leakage(training, most=1)]).findings
    assert found_in(one)[0] == 1  # patients of all
    assert found_in(one)[1] <= 1


def test_without_a_training():
    found = audit(looks_at(10, 0), make_items(20), checks=[Leakage([]), BackgroundUsed()])
    assert "items of the training" in found.not_checked["leakage"]
