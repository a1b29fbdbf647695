# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from scipy.stats import binom
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    recall_score,
    roc_auc_score,
)

from monai_debias.metrics import classification_metrics
from monai_debias.metrics.label_scores import LABEL_METRICS, label_scores
from tests.samples import LABELS, PATIENTS, PROBABILITIES, VIEWS

EXAMPLES = {
    classification_metrics: {
        "labels": LABELS,
        "probabilities": PROBABILITIES,
        "class_names": VIEWS,
        "groups": PATIENTS,
        "n_resamples": 20,
    }
}


def one_of_k(n: int = 200, k: int = 4, strength: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(k, size=n)
    logits = rng.normal(size=(n, k)) + strength * np.eye(k)[labels]
    return labels, np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def several(n: int = 300, k: int = 3, missing: float = 0.2, value: float = -1) -> tuple[np.ndarray, np.ndarray]:
    """Rare labels, some of them missing, and probabilities in steps of 0.05, so that many are equal."""
    rng = np.random.default_rng(0)
    labels = (rng.random((n, k)) < 0.2).astype(float)
    probabilities = np.round((rng.random((n, k)) + 0.5 * labels) / 1.5 * 20) / 20
    labels[rng.random((n, k)) < missing] = value
    return labels, probabilities


def values(estimates: dict) -> dict[str, float | None]:
    return {name: estimate.value for name, estimate in estimates.items()}


def test_softmax_worked_by_hand():
    p = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.2, 0.8]]
    found = classification_metrics([0, 0, 0, 1], p, class_names=["A2C", "A4C"], n_resamples=0)
    assert values(found.overall) == {
        "accuracy": 0.75,
        "balanced_accuracy": pytest.approx((2 / 3 + 1) / 2),
        "f1_macro": pytest.approx((0.8 + 2 / 3) / 2),  # A2C: precision 1, recall 2/3; A4C: precision 1/2, recall 1
        "roc_auc": 1.0,
        "average_precision": 1.0,
        "roc_auc_micro": 15 / 16,  # true classes at 0.9, 0.8, 0.3 and 0.8, others at 0.1, 0.2, 0.7 and 0.2
    }
    assert values(found.labels["A2C"]) == {
        "sensitivity": pytest.approx(2 / 3),
        "specificity": 1.0,
        "f1": pytest.approx(0.8),
        "roc_auc": 1.0,
        "average_precision": pytest.approx(1.0),
    }


def test_binary_worked_by_hand():
    """Positives at 0.9 and 0.4, negatives at 0.5 and 0.1: of four pairs one is in the wrong order."""
    found = classification_metrics([1, 1, 0, 0], [0.9, 0.4, 0.5, 0.1], "binary", ["healthy", "ill"], n_resamples=0)
    expected = {"sensitivity": 0.5, "specificity": 0.5, "f1": 0.5, "roc_auc": 0.75}
    precision = (1 + 2 / 3) / 2  # at the two positives
    assert values(found.labels["ill"]) == expected | {"average_precision": pytest.approx(precision)}
    assert list(found.labels) == ["ill"]
    assert values(found.overall) == {
        "accuracy": 0.5,
        "balanced_accuracy": 0.5,
        "f1_macro": 0.5,
        "roc_auc": 0.75,
        "average_precision": pytest.approx(precision),
        "roc_auc_micro": 0.75,
    }
    stricter = classification_metrics([1, 1, 0, 0], [0.9, 0.4, 0.5, 0.1], "binary", thresholds=0.6, n_resamples=0)
    assert values(stricter.labels["1"])["specificity"] == 1.0
    assert stricter.overall["accuracy"].value == 0.75


def test_several_labels_worked_by_hand():
    labels = [[1, 0], [0, 1], [1, -1], [-1, 0]]
    p = [[0.8, 0.3], [0.6, 0.9], [0.5, 0.9], [0.9, 0.2]]
    found = classification_metrics(labels, p, "multi_label", ["cyst", "stone"], ignore_value=-1, n_resamples=0)
    assert values(found.labels["cyst"]) == {
        "sensitivity": 1.0,
        "specificity": 0.0,
        "f1": pytest.approx(0.8),
        "roc_auc": 0.5,
        "average_precision": pytest.approx((1 + 2 / 3) / 2),
    }
    assert set(values(found.labels["stone"]).values()) == {1.0}
    assert found.overall["accuracy"].value == pytest.approx(5 / 6)
    assert found.overall["roc_auc"].value == 0.75
    assert found.overall["balanced_accuracy"].value == 0.75


def test_softmax_agrees_with_scikit_learn():
    labels, p = one_of_k()
    found, decided = classification_metrics(labels, p, n_resamples=0), p.argmax(1)
    assert values(found.overall) == pytest.approx(
        {
            "accuracy": accuracy_score(labels, decided),
            "balanced_accuracy": balanced_accuracy_score(labels, decided),
            "f1_macro": f1_score(labels, decided, average="macro"),
            "roc_auc": roc_auc_score(labels, p, multi_class="ovr", average="macro"),
            "average_precision": average_precision_score(np.eye(4)[labels], p, average="macro"),
            "roc_auc_micro": roc_auc_score(np.eye(4)[labels], p, average="micro"),
        }
    )
    assert classification_metrics(np.eye(4)[labels], p, n_resamples=0) == found
    classes = np.where(np.arange(200) % 7, labels, np.nan)
    few = np.arange(200) % 7 > 0
    missing = classification_metrics(classes, p, ignore_value=float("nan"), n_resamples=0)
    expected = classification_metrics(labels[few], p[few], n_resamples=0)
    assert values(missing.overall) == pytest.approx(values(expected.overall))


@pytest.mark.parametrize("missing", [-1, float("nan")])
def test_several_labels_agree_with_scikit_learn(missing):
    labels, p = several(value=missing)
    thresholds = [0.35, 0.5, 0.65]
    found = classification_metrics(
        torch.from_numpy(labels), p, "multi_label", thresholds=thresholds, ignore_value=missing, n_resamples=0
    )
    for k, cut in enumerate(thresholds):
        known = labels[:, k] >= 0
        assert 200 < known.sum() < 260
        y, score = labels[known, k], p[known, k]
        assert values(found.labels[str(k)]) == pytest.approx(
            {
                "sensitivity": recall_score(y, score >= cut),
                "specificity": recall_score(y, score >= cut, pos_label=0),
                "f1": f1_score(y, score >= cut),
                "roc_auc": roc_auc_score(y, score),
                "average_precision": average_precision_score(y, score),
            }
        )
    for overall, each in (("f1_macro", "f1"), ("roc_auc", "roc_auc"), ("average_precision", "average_precision")):
        mean = np.mean([found.labels[str(k)][each].value for k in range(3)])
        assert found.overall[overall].value == pytest.approx(mean)
    known = labels >= 0
    right = ((p >= thresholds) == (labels == 1))[known].mean()
    assert found.overall["accuracy"].value == pytest.approx(right)
    assert found.overall["roc_auc_micro"].value == pytest.approx(roc_auc_score(labels[known] == 1, p[known]))
    complete = (labels == 1).astype(int)
    micro = classification_metrics(complete, p, "multi_label", n_resamples=50).overall["roc_auc_micro"]
    assert micro.value == pytest.approx(roc_auc_score(complete, p, average="micro"))
    assert micro.low < micro.value < micro.high


def test_weights_are_those_of_scikit_learn():
    labels, p = several(80, 1, missing=0)
    y, score = labels[:, 0] == 1, p[:, 0]
    weights = np.random.default_rng(1).integers(0, 4, (5, 80)).astype(float)
    found = label_scores(y, score, score >= 0.5, weights)
    for scores, weight in zip(found, weights, strict=True):
        expected = [
            recall_score(y, score >= 0.5, sample_weight=weight),
            recall_score(y, score >= 0.5, pos_label=False, sample_weight=weight),
            f1_score(y, score >= 0.5, sample_weight=weight),
            roc_auc_score(y, score, sample_weight=weight),
            average_precision_score(y, score, sample_weight=weight),
        ]
        assert dict(zip(LABEL_METRICS, scores, strict=True)) == pytest.approx(
            dict(zip(LABEL_METRICS, expected, strict=True))
        )


def test_what_is_not_defined_has_a_reason_and_no_number():
    labels = [[1, 0, 0, -1], [0, 0, 1, -1], [1, 0, -1, -1], [-1, -1, -1, -1]]
    p = np.full((4, 4), 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = classification_metrics(
            labels, p, "multi_label", list("abcd"), thresholds=[0.5, 0.5, None, 0.5], ignore_value=-1, n_resamples=30
        )
    assert found.labels["a"]["roc_auc"].value == 0.5
    notes = {name: {m: e.note for m, e in metrics.items() if e.value is None} for name, metrics in found.labels.items()}
    no_positives = "undefined: no positives among 3 known labels"
    assert notes == {
        "a": {},
        "b": dict.fromkeys(("sensitivity", "f1", "roc_auc", "average_precision", "roc_auc_delong"), no_positives),
        "c": dict.fromkeys(("sensitivity", "specificity", "f1"), "undefined: no threshold"),
        "d": dict.fromkeys((*LABEL_METRICS, "roc_auc_delong"), "undefined: no known labels"),
    }
    undefined = [e for metrics in found.labels.values() for e in metrics.values() if e.value is None]
    assert {e[:3] for e in undefined} == {(None, None, None)}
    assert found.overall["roc_auc"].note == "mean without b, d, where it is undefined"
    assert found.overall["accuracy"].note == "without c, which has no threshold"
    assert found.overall["accuracy"].value == pytest.approx(2 / 6)


def test_only_one_class_or_none_at_all():
    single = classification_metrics([1, 1], [0.2, 0.9], "binary")
    assert values(single.labels["1"])["sensitivity"] == 0.5
    assert single.labels["1"]["roc_auc"].note == "undefined: no negatives among 2 known labels"
    assert single.overall["roc_auc"] == (None, None, None, "undefined: in every output")
    nothing = classification_metrics([[-1, -1]] * 2, [[0.2, 0.9]] * 2, "multi_label", ignore_value=-1)
    assert {e.value for e in nothing.overall.values()} == {None}
    assert nothing.overall["accuracy"].note == "undefined: no known labels"


def test_a_class_that_does_not_occur_is_left_out_of_the_means():
    labels, p = one_of_k()
    labels, p = labels[labels != 2], p[labels != 2]
    found = classification_metrics(labels, p, n_resamples=20)
    recalls = [(p.argmax(1)[labels == k] == k).mean() for k in (0, 1, 3)]
    assert found.overall["balanced_accuracy"].value == pytest.approx(np.mean(recalls))
    assert found.overall["balanced_accuracy"].note == "mean without 2, where it is undefined"


@pytest.mark.parametrize("confidence", [0.5, 0.95])
def test_the_interval_of_an_accuracy_is_that_of_the_binomial_distribution(confidence):
    """Of 400 samples with 280 hits, a resample has as many hits as 400 draws that each hit with probability 0.7."""
    labels = np.arange(400) % 2
    hit = np.arange(400) < 280
    p = np.where(hit, labels, 1 - labels)
    found = classification_metrics(labels, p, "binary", n_resamples=2000, confidence=confidence)
    expected = binom.ppf([(1 - confidence) / 2, (1 + confidence) / 2], 400, 0.7)
    low_high = np.multiply(found.overall["accuracy"][1:3], 400)
    assert low_high == pytest.approx(expected, abs=1.5)  # the ends of the next interval are 3 away


def test_the_interval_of_an_auc_is_that_of_a_loop_over_resamples():
    labels, p = several(60, 2)
    patients = np.arange(60) // 3
    found = classification_metrics(labels, p, "multi_label", ignore_value=-1, groups=patients, n_resamples=1000)
    rng, drawn = np.random.default_rng(7), []
    known = labels[:, 1] >= 0
    members = [np.flatnonzero((patients == g) & known) for g in range(20)]
    for _ in range(400):
        rows = np.concatenate([members[g] for g in rng.integers(20, size=20)])
        if 0 < labels[rows, 1].sum() < len(rows):
            drawn.append(roc_auc_score(labels[rows, 1], p[rows, 1]))
    assert found.labels["1"]["roc_auc"][1:3] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.04)


def test_whole_patients_are_resampled():
    labels, p = one_of_k(40)
    copies = 8  # each patient has 8 identical images: 40 independent observations, not 320
    repeated = np.repeat(labels, copies), np.repeat(p, copies, axis=0)
    patients = [f"patient {i}" for i in np.repeat(np.arange(40), copies)]

    def width(*data, groups=None) -> float:
        _, low, high, _ = classification_metrics(*data, groups=groups, n_resamples=300).overall["accuracy"]
        return high - low

    assert width(*repeated, groups=patients) == pytest.approx(width(labels, p), rel=0.2)
    assert width(*repeated) < 0.5 * width(labels, p)


def test_patients_without_any_label_change_nothing():
    labels, p = several(60)
    patients = np.arange(60) // 2
    options = {"task": "multi_label", "ignore_value": -1, "n_resamples": 50}
    found = classification_metrics(labels, p, groups=patients, **options)
    more = np.concatenate([labels, np.full((10, 3), -1)]), np.concatenate([p, np.full((10, 3), 0.3)])
    assert classification_metrics(*more, groups=[*patients, *range(90, 100)], **options) == found


def test_intervals_that_nothing_can_tell():
    one = classification_metrics([0, 1, 1], [0.1, 0.9, 0.2], "binary", groups=["a"] * 3)
    assert one.overall["accuracy"] == (
        pytest.approx(2 / 3),
        None,
        None,
        "no interval: all samples with a label are of one patient or group",
    )
    rare = classification_metrics(np.arange(200) == 0, np.linspace(1, 0, 200), "binary", n_resamples=300).overall
    assert rare["roc_auc"] == (1.0, 1.0, 1.0, "")  # the only positive is in 63 % of the resamples


def test_an_interval_needs_half_of_the_resamples():
    labels, p = [[0, 1], [1, 0], [-1, 0]], [[0.1, 0.9], [0.8, 0.2], [0.5, 0.5]]
    found = classification_metrics(labels, p, "multi_label", ignore_value=-1, n_resamples=1000)
    value, low, high, note = found.labels["0"]["roc_auc"]  # both patients of its labels: in 12 of 27 resamples
    assert (value, low, high) == (1.0, None, None)
    undefined = int(note.removeprefix("no interval: undefined in ").split()[0])
    assert undefined == pytest.approx(1000 * 15 / 27, abs=70)


def test_intervals_are_reproducible_from_the_seed():
    labels, p = one_of_k(50)
    first = classification_metrics(labels, p, n_resamples=50, seed=4)
    assert classification_metrics(labels, p, n_resamples=50, seed=4) == first
    assert classification_metrics(labels, p, n_resamples=50, seed=5) != first


@pytest.mark.parametrize(
    ("task", "labels", "p", "message"),
    [
        ("softmax", [0, 1], [[0.5, 0.5]], r"got \(2,\) and \(1, 2\)"),
        ("softmax", [0, 1], [[0.5, np.nan], [0.5, 0.5]], "1 of 2 samples have probabilities that are NaN"),
        ("softmax", [0, 1], [[2.0, -1.0], [0.5, 0.5]], "give probabilities and not logits"),
        ("softmax", [0, 2], [[0.5, 0.5], [0.5, 0.5]], "the label 2 of sample 1 .* is none of the 2 classes"),
        ("softmax", [0.5, 1], [[0.5, 0.5], [0.5, 0.5]], "the label 0.5 of sample 0 .* is not a class index"),
        ("softmax", [[1, 1], [0, 1]], [[0.5, 0.5], [0.5, 0.5]], "2 of sample 0 .* is the sum of its classes"),
        ("softmax", [0, 1], [0.5, 0.5], "2 class_names or more"),
        ("binary", [0, 1], [[0.5, 0.5], [0.5, 0.5]], "'binary' has the outputs .* there are 2 probabilities"),
        ("binary", [0, -1], [0.5, 0.5], "ignore_value=-1"),
        (
            "multi_label",
            [0, 1],
            [[0.5, 0.5], [0.5, 0.5]],
            r"shape \(N, 2\), one for each of the 2 logits, got shape \(2,\)",
        ),
        ("multi_label", [[0.5, 1]], [[0.5, 0.5]], "is neither 0 nor 1"),
        ("multi_label", [[np.nan, 1]], [[0.5, 0.5]], r"ignore_value=float\('nan'\)"),
    ],
)
def test_bad_input_gets_a_clear_error(task, labels, p, message):
    with pytest.raises(ValueError, match=message):
        classification_metrics(labels, p, task)


def test_bad_options_get_a_clear_error():
    labels, p = one_of_k(10)
    with pytest.raises(ValueError, match="groups has 3 entries for 10"):
        classification_metrics(labels, p, groups=["a", "b", "c"])
    with pytest.raises(ValueError, match="confidence"):
        classification_metrics(labels, p, confidence=95)
    with pytest.raises(ValueError, match="takes no thresholds"):
        classification_metrics(labels, p, thresholds=0.5)
    with pytest.raises(ValueError, match="2 thresholds for 3 outputs"):
        classification_metrics(*several(), "multi_label", thresholds=[0.5, 0.5], ignore_value=-1)
    with pytest.raises(ValueError, match="the names of its negative and its positive class"):
        classification_metrics([0, 1], [0.1, 0.9], "binary", ["ill"])
    with pytest.raises(ValueError, match="'a' more than once"):
        classification_metrics(labels, p, class_names=["a", "b", "c", "a"])
