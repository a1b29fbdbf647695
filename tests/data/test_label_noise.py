# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor, list_data_collate
from scipy.stats import binom, chisquare

from monai_debias.data import corrupt_labels, load_datalist, save_datalist
from tests.samples import make_items

EXAMPLES = {corrupt_labels: {"items": make_items(60), "rate": 0.3, "mode": "symmetric", "num_classes": 2}}


def single(n: int, n_classes: int = 4) -> list[dict[str, Any]]:
    """Class k occurs (k + 1) times as often as class 0."""
    labels = np.repeat(np.arange(n_classes), np.arange(n_classes) + 1)
    return [{"image": f"{i}.png", "label": int(labels[i % len(labels)]), "patient_id": f"p{i}"} for i in range(n)]


def multi(n: int, n_labels: int = 6) -> list[dict[str, Any]]:
    rng = np.random.default_rng(7)
    return [{"image": f"{i}.png", "label": (rng.random(n_labels) < 0.2).astype(int).tolist()} for i in range(n)]


def column(items: list[dict[str, Any]], key: str = "label") -> np.ndarray:
    return np.array([item[key] for item in items])


# ---------------------------------------------------------------- symmetric


@pytest.mark.parametrize("rate", [0, 0.001, 0.007, 0.1, 0.333, 0.5, 1])
def test_symmetric_corrupts_exactly_the_rate(rate):
    items = single(250)
    noisy = corrupt_labels(items, rate, "symmetric", num_classes=4)
    differs = column(noisy) != column(items)
    assert differs.sum() == round(250 * rate)
    np.testing.assert_array_equal(differs, column(noisy, "label_corrupted"))
    np.testing.assert_array_equal(column(noisy, "clean_label"), column(items))
    assert set(column(noisy)) <= {0, 1, 2, 3}


def test_symmetric_chooses_samples_and_other_classes_evenly():
    items = single(12000)
    noisy = corrupt_labels(items, 0.5, "symmetric", num_classes=4, seed=1)
    clean, label = column(noisy, "clean_label"), column(noisy)
    for k in range(4):
        of_class = label[clean == k]
        low, high = binom.ppf([1e-3, 1 - 1e-3], len(of_class), 0.5)
        assert low <= (of_class != k).sum() <= high
        others = np.bincount(of_class[of_class != k], minlength=4)[np.arange(4) != k]
        assert chisquare(others).pvalue > 0.01


# ---------------------------------------------------------------- flip


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.9])
def test_flips_are_independent_and_of_the_given_probability(rate):
    items = multi(4000)
    noisy = corrupt_labels(items, rate, "flip", seed=2)
    flipped = column(noisy) != column(items)
    for which in (*flipped.T, flipped[column(items) == 1], flipped[column(items) == 0]):  # each label; ones and zeros
        low, high = binom.ppf([1e-4, 1 - 1e-4], which.size, rate)
        assert low <= which.sum() <= high
    correlation = np.corrcoef(flipped.T)[~np.eye(6, dtype=bool)]
    assert np.abs(correlation).max() < 4 / np.sqrt(4000)
    np.testing.assert_array_equal(flipped.any(1), column(noisy, "label_corrupted"))


def test_flip_of_none_and_of_all():
    items = multi(20)
    np.testing.assert_array_equal(column(corrupt_labels(items, 0, "flip")), column(items))
    np.testing.assert_array_equal(column(corrupt_labels(items, 1, "flip")), 1 - column(items))


# ---------------------------------------------------------------- swap


@pytest.mark.parametrize("rate", [0, 0.02, 0.25, 1])
def test_swapped_vectors_are_those_of_other_samples(rate):
    n = 120
    items = [
        {"label": [int(bit) for bit in f"{i:07b}"]} for i in range(n)
    ]  # all different: they tell where they are from
    noisy = corrupt_labels(items, rate, "swap", seed=3)
    source = np.array([int("".join(map(str, item["label"])), 2) for item in noisy])
    assert sorted(source) == list(range(n))  # nothing is lost, nothing occurs twice
    moved = source != np.arange(n)
    assert moved.sum() == round(rate * n)
    np.testing.assert_array_equal(moved, column(noisy, "label_corrupted"))


def test_every_pair_of_samples_can_swap():
    items = [{"label": [int(i == k) for k in range(5)]} for i in range(5)]
    counts = np.zeros((5, 5))
    for seed in range(2000):
        noisy = corrupt_labels(items, 1, "swap", seed=seed)
        counts[np.arange(5), column(noisy).argmax(1)] += 1
    assert (np.diag(counts) == 0).all()
    assert chisquare(counts[~np.eye(5, dtype=bool)]).pvalue > 0.01


def test_swap_keeps_what_labels_there_are_and_flags_only_those_that_changed():
    for items in (multi(300), single(300)):
        noisy = corrupt_labels(items, 0.5, "swap")
        clean, label = column(items), column(noisy)
        assert sorted(map(str, clean)) == sorted(map(str, label))
        differs = (clean != label).reshape(300, -1).any(1)
        assert 0 < differs.sum() < 150  # some got an equal one
        np.testing.assert_array_equal(differs, column(noisy, "label_corrupted"))


# ---------------------------------------------------------------- missing labels


@pytest.mark.parametrize("mode", ["flip", "swap"])
@pytest.mark.parametrize("missing", [-1, None])
def test_a_missing_label_stays_missing(mode, missing):
    rng = np.random.default_rng(0)
    items = [
        {"label": [missing if rng.random() < 0.3 else bit for bit in item["label"]]}
        for item in [*multi(300), {"label": [1] * 6}]
    ]
    noisy = corrupt_labels(items, 1, mode)

    def known(items):
        return np.array([[-1 if bit is None else bit for bit in item["label"]] for item in items])

    assert [[bit == missing for bit in item["label"]] for item in noisy] == [
        [bit == missing for bit in item["label"]] for item in items
    ]
    clean, label = known(items), known(noisy)
    if mode == "flip":
        np.testing.assert_array_equal(label, np.where(clean == -1, -1, 1 - clean))
    else:
        np.testing.assert_array_equal((label == 1).sum(0), (clean == 1).sum(0))
        assert (label != clean).any(0).all()
    as_arrays = corrupt_labels([{"label": row.astype(np.float32)} for row in clean], 1, mode)
    np.testing.assert_array_equal(column(as_arrays), label)


def test_no_known_label_to_swap():
    items = [{"label": [-1, 1]}, {"label": [0, -1]}, {"label": [-1, -1]}]
    assert [item["label"] for item in corrupt_labels(items, 1, "swap")] == [item["label"] for item in items]


# ---------------------------------------------------------------- all modes


@pytest.mark.parametrize(
    "label",
    [
        [1, 0, 0],
        (0, 1, 1),
        [1.0, 0.0],
        [True, False],
        np.array([1, 0, 1], dtype=np.uint8),
        np.array([0.0, 1.0], dtype=np.float32),
        np.array([True, False]),
        torch.tensor([1, 0, 1]),
        torch.tensor([1.0, 0.0]).bfloat16(),
        torch.tensor([True, False]),
        MetaTensor(torch.tensor([0.0, 1.0]), meta={"source": "report"}),
    ],
    ids=lambda label: f"{type(label).__name__}-{getattr(label, 'dtype', type(label[0]).__name__)}",
)
def test_vectors_keep_their_type(label):
    other = copy.deepcopy(label)
    if isinstance(label, list | tuple):
        other = type(label)(type(value)(1 - value) for value in label)
    else:
        other[:] = torch.logical_not(label) if isinstance(label, torch.Tensor) else np.logical_not(label)
    items = [{"label": label}, {"label": other}]
    noisy = corrupt_labels(items, 1, "swap")
    for item, clean, new in zip(noisy, (label, other), (other, label), strict=True):
        assert item["clean_label"] is clean
        assert item["label"] is not new  # changed in place, it would change with the other
        assert type(item["label"]) is type(label)
        if isinstance(label, list | tuple):
            assert item["label"] == new
            assert [type(value) for value in item["label"]] == [type(value) for value in label]
        else:
            assert item["label"].dtype == label.dtype
            assert item["label"].tolist() == new.tolist()
    if isinstance(label, MetaTensor):
        assert noisy[0]["label"].meta["source"] == "report"


@pytest.mark.parametrize(
    "make", [int, np.int64, np.uint8, np.array, torch.tensor, lambda k: MetaTensor(torch.tensor(k))]
)
def test_indices_keep_their_type(make):
    items = [{"label": make(k)} for k in (0, 1)]
    noisy = corrupt_labels(items, 1, "symmetric", num_classes=2)
    for item, expected in zip(noisy, (1, 0), strict=True):
        assert type(item["label"]) is type(items[0]["label"])
        assert getattr(item["label"], "dtype", None) == getattr(items[0]["label"], "dtype", None)
        assert int(item["label"]) == expected
        assert np.ndim(item["label"]) == 0


@pytest.mark.parametrize(("mode", "make"), [("symmetric", single), ("flip", multi), ("swap", multi)])
def test_input_is_untouched_and_the_seed_decides(mode, make):
    items = make(50)
    before = copy.deepcopy(items)
    first, again, other = (corrupt_labels(items, 0.3, mode, num_classes=6, seed=seed) for seed in (0, 0, 1))
    assert items == before
    assert first == again
    assert first != other
    for item, old in zip(first, items, strict=True):
        assert item is not old
        assert item.keys() - {"clean_label", "label_corrupted"} == old.keys()
        assert item["image"] == old["image"]


def test_other_keys():
    (item, _) = corrupt_labels([{"y": 0}, {"y": 1}], 1, "swap", label_key="y", clean_key="true_y", flag_key="wrong")
    assert item == {"y": 1, "true_y": 0, "wrong": True}


def test_it_survives_json_and_a_datalist_of_the_package(tmp_path):
    vectors = corrupt_labels(multi(30), 0.3, "flip")
    assert json.loads(json.dumps(vectors)) == vectors
    items = corrupt_labels(single(30), 0.3, "symmetric", num_classes=4)
    for item in items:
        (tmp_path / item["image"]).write_bytes(b"")
    save_datalist(tmp_path, {"training": items}, list("ABCD"), "noisy")
    loaded = load_datalist(tmp_path, "training")
    assert [{**item, "image": item["image"].split("/")[-1]} for item in loaded] == [
        {**item, "item": f"training {n}"} for n, item in enumerate(items)
    ]


def test_it_collates():
    batch = list_data_collate(corrupt_labels(single(6), 0.5, "symmetric", num_classes=4))
    for key, dtype in (("label", torch.int64), ("clean_label", torch.int64), ("label_corrupted", torch.bool)):
        assert batch[key].dtype == dtype
        assert batch[key].shape == (6,)
    assert torch.equal(batch["label"] != batch["clean_label"], batch["label_corrupted"])
    items = corrupt_labels([{"label": torch.tensor(item["label"])} for item in multi(6)], 0.5, "flip")
    (batch,) = DataLoader(Dataset(items), batch_size=6)
    assert batch["label"].shape == batch["clean_label"].shape == (6, 6)
    assert torch.equal((batch["label"] != batch["clean_label"]).any(1), batch["label_corrupted"])


def test_bad_arguments_get_a_clear_error():
    items = single(10)
    for change, message in (
        ({"items": []}, "items is empty"),
        ({"num_classes": None}, "set num_classes"),
        ({"num_classes": 1}, "num_classes is 1, expected 2 or more"),
        ({"num_classes": 1, "mode": "swap"}, "num_classes is 1, expected 2 or more"),
        ({"num_classes": 3}, "label of item 6 is 3, expected a class from 0 to num_classes - 1"),
        ({"num_classes": 3, "mode": "swap"}, "label of item 6 is 3"),
        ({"items": [{"label": -1}]}, "label of item 0 is -1"),
        ({"clean_key": "label"}, "must be three keys"),
        ({"clean_key": "flag", "flag_key": "flag"}, "must be three keys"),
        ({"clean_key": "image"}, "item 0 has 'image' already"),
        ({"rate": 0.1, "mode": "swap"}, "chooses 1 of 10 samples, .* raise the rate"),
    ):
        arguments = {"items": items, "rate": 0.5, "mode": "symmetric", "num_classes": 4, **change}
        with pytest.raises(ValueError, match=message):
            corrupt_labels(**arguments)
    with pytest.raises(KeyError, match="item 1 of the datalist has no 'label'"):
        corrupt_labels([{"label": 1}, {"image": "a.png"}], 0.5, "swap")


def test_a_second_corruption_is_refused():
    noisy = corrupt_labels(single(10), 0.5, "symmetric", num_classes=4)
    with pytest.raises(ValueError, match=r"item 0 has 'clean_label' already: .* lose the clean label"):
        corrupt_labels(noisy, 0.5, "symmetric", num_classes=4)
    for item in noisy:
        del item["clean_label"]
    with pytest.raises(ValueError, match="item 0 has 'label_corrupted' already"):
        corrupt_labels(noisy, 0.5, "swap")


@pytest.mark.parametrize(
    ("mode", "label", "error", "message"),
    [
        ("symmetric", [0, 1], TypeError, "takes class indices"),
        ("symmetric", torch.tensor([1]), TypeError, "takes class indices"),
        ("symmetric", 1.0, TypeError, "takes class indices"),
        ("symmetric", True, TypeError, "takes class indices"),
        ("symmetric", "A4C", TypeError, "takes class indices"),
        ("flip", 1, TypeError, "takes multi-label vectors"),
        ("flip", [[0, 1]], TypeError, "list of the numbers 0 and 1"),
        ("flip", np.eye(2), TypeError, "takes multi-label vectors"),
        ("flip", [0, 0.5], ValueError, "soft labels"),
        ("flip", [0, 2], ValueError, "expected 0 and 1 only"),
        ("flip", [0, float("nan")], ValueError, "expected 0 and 1 only"),
        ("flip", [], ValueError, "has 0 entries, expected 2"),
        ("flip", [1, 0, 1], ValueError, "has 3 entries, expected 2"),
        ("swap", None, TypeError, "expected a class index or a vector"),
        ("swap", 0.5, TypeError, "expected a class index or a vector"),
        ("swap", torch.tensor([0.9, 0.1]), ValueError, "soft labels"),
        ("swap", [torch.tensor(1)], TypeError, "list of the numbers"),
        ("swap", "A4C", TypeError, "expected a class index or a vector"),
    ],
)
def test_labels_of_another_kind_get_a_clear_error(mode, label, error, message):
    with pytest.raises(error, match=message):
        corrupt_labels([{"label": label}, {"label": label}], 1, mode, num_classes=2)


def test_labels_of_different_shapes_get_a_clear_error():
    for labels in ([[1, 0], [1, 0, 0]], [[1, 0], 1]):
        with pytest.raises(ValueError, match=r"label of item 1 has shape .* expected the same in all items"):
            corrupt_labels([{"label": label} for label in labels], 1, "swap")
