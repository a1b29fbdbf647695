# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
import copy
import random

import numpy as np
import pytest

from monai_debias.data import check_splits, keep_mask_fraction, mask_fraction, split_by_patient
from tests.samples import make_items

EXAMPLES = {
    check_splits: {"sections": {"training": make_items(60)[:30], "test": make_items(60)[30:]}},
    keep_mask_fraction: {"items": make_items(60), "fraction": 0.3},
    mask_fraction: {"items": make_items(60)},
    split_by_patient: {"items": make_items(60)},
}


def cohort(n_patients, seed=0, n_labels=4, largest=12):
    rng = np.random.RandomState(seed)
    return [
        {"image": f"{patient:03d}_{n}.png", "label": int(rng.randint(n_labels)), "patient_id": f"p{patient:03d}"}
        for patient in range(n_patients)
        for n in range(rng.randint(1, largest + 1))
    ]


def patients(items):
    return {item["patient_id"] for item in items}


# ---------------------------------------------------------------- check_splits


def test_check_splits_names_number_splits_and_files_but_no_patients():
    sections = {"training": cohort(5), "validation": cohort(3), "test": [{"image": "x.png", "patient_id": "other"}]}
    with pytest.raises(ValueError, match="3 patients are both in 'training' and in 'validation'") as caught:
        check_splits(sections)
    assert "000_0.png" in str(caught.value)
    assert "p000" not in str(caught.value)
    assert "'test'" not in str(caught.value)


def test_paired_test_sets_may_share_patients():
    check_splits({"test_same": cohort(3), "test_reversed": cohort(3), "test": cohort(3)})
    with pytest.raises(ValueError, match="'training' and in 'test_same'"):
        check_splits({"training": cohort(1), "test_same": cohort(3), "test_reversed": cohort(3)})


def test_items_without_patient():
    with pytest.raises(KeyError, match=r"item 0 .*has no patient_id"):
        check_splits({"training": [{"image": "a.png"}]})


# ---------------------------------------------------------------- split_by_patient


def test_split_is_patient_wise_complete_and_stratified():
    items = cohort(200)
    sections = split_by_patient(items, seed=3)
    check_splits(sections)
    assert sorted(item["image"] for part in sections.values() for item in part) == sorted(
        item["image"] for item in items
    )
    overall = np.bincount([item["label"] for item in items]) / len(items)
    for name, fraction in {"training": 0.7, "validation": 0.1, "test": 0.2}.items():
        part = sections[name]
        assert len(part) / len(items) == pytest.approx(fraction, abs=0.01)
        shares = np.bincount([item["label"] for item in part], minlength=4) / len(part)
        np.testing.assert_allclose(shares, overall, atol=0.03)


def test_split_depends_on_the_seed_and_not_on_the_order():
    items = cohort(40)
    shuffled = random.Random(1).sample(items, len(items))
    first, again, other = (split_by_patient(i, seed=s) for i, s in ((items, 0), (shuffled, 0), (items, 1)))
    assert patients(first["test"]) == patients(again["test"])
    assert patients(first["test"]) != patients(other["test"])


@pytest.mark.parametrize("n_patients", [3, 4, 7])
def test_every_section_gets_a_patient(n_patients):
    for seed in range(10):
        sections = split_by_patient(cohort(n_patients, seed), seed=seed)
        assert all(sections.values())


def test_split_refuses():
    with pytest.raises(ValueError, match="2 patients cannot be split into 3 sections"):
        split_by_patient(cohort(2))
    with pytest.raises(ValueError, match="expected positive numbers that sum to 1"):
        split_by_patient(cohort(9), {"training": 0.5, "test": 0.4})
    with pytest.raises(ValueError, match=r"fractions\['test'\] is 0\.0, expected a number in \(0, 1\]"):
        split_by_patient(cohort(9), {"training": 1.0, "test": 0.0})


def test_split_copies():
    items = cohort(5)
    split_by_patient(items)["training"][0]["label"] = 99
    assert all(item["label"] < 4 for item in items)


# ---------------------------------------------------------------- keep_mask_fraction


@pytest.mark.parametrize("fraction", [0.01, 0.05, 0.2, 0.5, 0.9, 1.0])
def test_share_is_as_near_as_whole_patients_allow(fraction):
    items = cohort(100)
    kept = keep_mask_fraction(items, fraction, seed=1)
    flagged = patients(item for item in kept if item["use_mask"])
    assert flagged.isdisjoint(patients(item for item in kept if not item["use_mask"]))
    # one-image patients are among them, so every number of images can be reached
    assert abs(mask_fraction(kept) - fraction) <= 0.5 / len(items)


def test_at_least_one_patient_and_nearest_of_few():
    items = [{"patient_id": "a"}] * 7 + [{"patient_id": "b"}] * 4 + [{"patient_id": "c"}] * 9
    for fraction, expected in ((0.001, 4), (0.3, 7), (0.38, 7), (0.5, 9), (0.56, 11), (1, 20)):
        kept = keep_mask_fraction(items, fraction)
        assert sum(item["use_mask"] for item in kept) == expected


def test_choice_does_not_depend_on_order_and_input_is_unchanged():
    items = cohort(60)
    before = copy.deepcopy(items)
    shuffled = random.Random(0).sample(items, len(items))
    flags = {item["image"]: item["use_mask"] for item in keep_mask_fraction(items, 0.1, seed=5)}
    assert flags == {item["image"]: item["use_mask"] for item in keep_mask_fraction(shuffled, 0.1, seed=5)}
    assert flags != {item["image"]: item["use_mask"] for item in keep_mask_fraction(items, 0.1, seed=6)}
    assert items == before


def test_every_patient_has_the_same_chance():
    items = [{"patient_id": f"p{n:02d}"} for n in range(20)]
    counts = np.zeros(20)
    for seed in range(600):
        counts += [item["use_mask"] for item in keep_mask_fraction(items, 0.25, seed=seed)]
    assert counts.min() > 110
    assert counts.max() < 190  # expected 150, standard deviation 10.6


def test_only_items_with_a_mask():
    items = [{"patient_id": f"p{n // 4}", **({"mask": "m.png"} if n % 2 else {})} for n in range(80)]
    kept = keep_mask_fraction(items, 0.25, mask_key="mask")
    assert mask_fraction(kept) == 0.25
    assert all("mask" in item for item in kept if item["use_mask"])
    assert mask_fraction(keep_mask_fraction(items, 1.0, mask_key="mask")) == 0.5
    with pytest.raises(ValueError, match="none of the 80 items has the key 'sector'"):
        keep_mask_fraction(items, 0.5, mask_key="sector")


def test_empty_lists_and_missing_keys():
    with pytest.raises(ValueError, match="none of the 0 items"):
        keep_mask_fraction([], 0.5)
    with pytest.raises(ValueError, match="items is empty"):
        mask_fraction([])
    with pytest.raises(KeyError, match="patient_id"):
        keep_mask_fraction([{"image": "a.png"}, {"image": "b.png", "patient_id": "p1"}], 0.5)
    with pytest.raises(KeyError, match="use_mask"):
        mask_fraction([{"image": "a.png"}])


def test_large_cohort_is_quick():
    items = [{"patient_id": f"p{n // 3}"} for n in range(60000)]
    assert mask_fraction(keep_mask_fraction(items, 0.05)) == 0.05


def test_combinations_of_several_labels_are_spread():
    items = [{"patient_id": f"p{n // 2}", "label": [n // 2 % 2, 1 - n // 2 % 2]} for n in range(40)]
    sections = split_by_patient(items, {"training": 0.5, "test": 0.5})
    for section in sections.values():
        assert sum(item["label"][0] for item in section) == len(section) / 2 == 10
