# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Which patients go where: patient-wise splits, and the patients who keep their masks."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from monai_debias.constraints import ITEMS, KEY, NONE, SEED, STRING, MappingOf, Number
from monai_debias.parameters import expects

__all__ = [
    "check_splits",
    "keep_mask_fraction",
    "mask_fraction",
    "shared_patients",
    "split_by_patient",
    "split_in_three",
]

_Item = Mapping[str, Any]


@expects(sections=MappingOf(ITEMS, key=STRING), patient_key=KEY)
def check_splits(sections: Mapping[str, Sequence[_Item]], patient_key: str = "patient_id") -> None:
    """Check that no patient is in two splits: a classifier could recognise the patient instead of the disease.

    Sections whose names begin with ``test`` may share patients with each other: paired test sets show the same patients
    under different biases.

    Args:
        sections: items of each section.
        patient_key: key of the patient in an item.

    Raises:
        ValueError: if patients are in two splits. It says how many and names files of one, but not who they are.
        KeyError: if an item has no patient.

    Example:
        >>> check_splits({"training": [{"image": "a.png", "patient_id": "p1"}],
        ...               "test": [{"image": "b.png", "patient_id": "p1"}]})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: 1 patient is both in 'training' and in 'test', such as the patient of a.png and b.png; ...
    """
    problems = shared_patients(sections, patient_key)
    if problems:
        raise ValueError("; ".join(problems) + "; put all files of a patient into one split.")


def shared_patients(sections: Mapping[str, Sequence[_Item]], patient_key: str = "patient_id") -> list[str]:
    """Describe each pair of splits that share patients; see :func:`check_splits`.

    Args:
        sections: items of each section.
        patient_key: key of the patient in an item.

    Returns:
        A sentence for each such pair of sections.
    """
    by_patient = {name: _group(items, patient_key) for name, items in sections.items()}
    problems = []
    for one, other in combinations(by_patient, 2):
        shared = sorted(by_patient[one].keys() & by_patient[other].keys())
        if shared and not (one.startswith("test") and other.startswith("test")):
            who = f"{len(shared)} patients are" if len(shared) > 1 else "1 patient is"
            files = [sections[name][by_patient[name][shared[0]][0]].get("image") for name in (one, other)]
            problems.append(f"{who} both in {one!r} and in {other!r}, such as the patient of {files[0]} and {files[1]}")
    return problems


@expects(
    items=ITEMS,
    fractions=NONE | MappingOf(Number("(0, 1]"), key=STRING, least=1),
    seed=SEED,
    patient_key=KEY,
    label_key=KEY,
)
def split_by_patient(
    items: Sequence[_Item],
    fractions: Mapping[str, float] | None = None,
    seed: int = 0,
    patient_key: str = "patient_id",
    label_key: str = "label",
) -> dict[str, list[dict[str, Any]]]:
    """Split items at random so that each patient is in one section and labels are spread as evenly as that allows.

    Patients are taken in random order, those with most items first, and each goes to the section that lacks most items
    of their labels. (scikit-learn's StratifiedGroupKFold makes equal folds only.) The order of the items has no effect.

    Args:
        items: dicts with a patient and a label.
        fractions: share of each section; they sum to 1. Default: training 0.7, validation 0.1, test 0.2.
        seed: seed of the choice.
        patient_key: key of the patient.
        label_key: key of the label; where it is a list, each combination of labels counts as one.

    Returns:
        The items of each section in their original order, as copies.

    Raises:
        ValueError: if there are fewer patients than sections, or the fractions are not positive or do not sum to 1.
        KeyError: if an item has no patient or no label.

    Example:
        >>> items = [{"patient_id": f"p{n // 4}", "label": n % 4} for n in range(40)]
        >>> {name: len(part) for name, part in split_by_patient(items).items()}
        {'training': 28, 'validation': 4, 'test': 8}
    """
    fractions = {"training": 0.7, "validation": 0.1, "test": 0.2} if fractions is None else fractions
    if abs(sum(fractions.values()) - 1) > 1e-6:
        raise ValueError(f"fractions are {dict(fractions)}, expected positive numbers that sum to 1.")
    patients = _group(items, patient_key)
    if len(patients) < len(fractions):
        raise ValueError(
            f"{len(patients)} patients cannot be split into {len(fractions)} sections, which need one each; if there "
            f"are more patients, {patient_key!r} does not tell them apart."
        )
    _require(items, label_key)
    labels = {label: index for index, label in enumerate(sorted({str(item[label_key]) for item in items}))}
    counts = {
        patient: np.bincount([labels[str(items[i][label_key])] for i in rows], minlength=len(labels))
        for patient, rows in patients.items()
    }
    shuffled = np.random.RandomState(seed).permutation(sorted(patients)).tolist()
    names = list(fractions)
    lacking = np.outer(list(fractions.values()), sum(counts.values()))
    section_of: dict[str, str] = {}
    # large patients first: the small ones can still fill the gaps that these leave
    for position, patient in enumerate(sorted(shuffled, key=lambda patient: -counts[patient].sum())):
        empty = [index for index, name in enumerate(names) if name not in section_of.values()]
        must_fill = len(patients) - position <= len(empty)
        candidates = empty if must_fill else list(range(len(names)))
        # squared lack that is left over, summed over labels: what the choice of this section would change
        change = ((lacking - counts[patient]) ** 2 - lacking**2).sum(axis=1)
        best = min(candidates, key=lambda index: change[index])
        lacking[best] -= counts[patient]
        section_of[patient] = names[best]
    return {name: [dict(item) for item in items if section_of[str(item[patient_key])] == name] for name in names}


def split_in_three(
    items: Sequence[_Item], validation_fraction: float, test_fraction: float, seed: int
) -> dict[str, list[dict[str, Any]]]:
    """Split items into ``training``, ``validation`` and ``test``, as :func:`split_by_patient` does.

    Args:
        items: dicts with a patient and a label.
        validation_fraction: share of validation.
        test_fraction: share of test; training gets the rest.
        seed: seed of the choice.

    Raises:
        ValueError: as :func:`split_by_patient`; if nothing is left for training.
    """
    training_fraction = 1 - validation_fraction - test_fraction
    fractions = {"training": training_fraction, "validation": validation_fraction, "test": test_fraction}
    return split_by_patient(items, fractions, seed)


@expects(items=ITEMS, fraction=Number("(0, 1]"), seed=SEED, patient_key=KEY, flag_key=KEY, mask_key=NONE | KEY)
def keep_mask_fraction(
    items: Sequence[_Item],
    fraction: float,
    seed: int = 0,
    patient_key: str = "patient_id",
    flag_key: str = "use_mask",
    mask_key: str | None = None,
) -> list[dict[str, Any]]:
    """Choose the patients whose masks are used in semi-supervised BackMix (the paper's f, down to 0.05).

    Whole patients are drawn at random, at least one, so that their samples come as near to the fraction of all samples
    as whole patients allow. (The authors of BackMix took every n-th file, which spreads a patient over both groups.)
    The choice depends on the seed and the patients, not on the order of the items. Give ``BackMixWeightd`` the share
    that :func:`mask_fraction` then returns.

    Args:
        items: training items.
        fraction: share of the samples that keep their mask, in (0, 1].
        seed: seed of the choice.
        patient_key: key of the patient; if no item has it, each item counts as a patient, and a warning says so.
        flag_key: key of the flag that is written.
        mask_key: if given, only items with a mask under this key (not None) can be chosen, so that the flagged items
            are exactly those with a mask; needed where some images lack a mask file.

    Returns:
        Copies of the items, in their order, with a bool flag for :class:`~monai_debias.transforms.keep_mask.KeepMaskd`.

    Raises:
        ValueError: if the fraction is not in (0, 1] or no item can be chosen.
        KeyError: if some items have a patient and others do not.

    Example:
        >>> items = [{"patient_id": f"p{n // 5}"} for n in range(100)]
        >>> mask_fraction(keep_mask_fraction(items, 0.05))
        0.05
    """
    named = items
    if not any(item.get(patient_key) for item in items):
        warnings.warn(f"no item has a {patient_key}: each one counts as a patient of its own.", stacklevel=3)
        named = [{**item, patient_key: str(position)} for position, item in enumerate(items)]
    eligible = [item for item in named if _has_mask(item, mask_key)]
    if not eligible:
        raise ValueError(f"none of the {len(items)} items {f'has the key {mask_key!r}' if items else 'is there'}.")
    sizes = {patient: len(rows) for patient, rows in _group(eligible, patient_key).items()}
    order = np.random.RandomState(seed).permutation(sorted(sizes)).tolist()
    chosen = _nearest_subset(order, sizes, fraction * len(items))
    flags = [str(item[patient_key]) in chosen and _has_mask(item, mask_key) for item in named]
    return [{**item, flag_key: flag} for item, flag in zip(items, flags, strict=True)]


@expects(items=ITEMS, flag_key=KEY)
def mask_fraction(items: Sequence[_Item], flag_key: str = "use_mask") -> float:
    """Return the share of the items whose flag is set.

    Args:
        items: items from :func:`keep_mask_fraction`.
        flag_key: key of the flag.

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: if there are no items.
        KeyError: if an item has no flag.

    Example:
        >>> mask_fraction([{"use_mask": True}, {"use_mask": False}])
        0.5
    """
    if not items:
        raise ValueError("items is empty, so it has no mask fraction; expected one item or more.")
    _require(items, flag_key)
    return sum(bool(item[flag_key]) for item in items) / len(items)


def _has_mask(item: _Item, mask_key: str | None) -> bool:
    return mask_key is None or item.get(mask_key) is not None


def _nearest_subset(order: Sequence[str], sizes: Mapping[str, int], target: float) -> set[str]:
    """Return patients, one or more and early ones first, whose sizes sum as near to the target as possible."""
    total = sum(sizes.values())
    ideal = max(1, min(total, round(target)))
    # last_added[s]: position of the patient with whom the sum s was reached first
    last_added = np.full(total + 1, -1)
    reached = np.zeros(total + 1, dtype=bool)
    reached[0] = True
    for position, patient in enumerate(order):
        size = sizes[patient]
        fresh = reached[: total + 1 - size] & ~reached[size:]
        last_added[size:][fresh] = position
        reached[size:] |= fresh
        if reached[ideal]:
            break  # later patients are not needed
    sums = np.flatnonzero(reached)[1:]
    remaining = int(sums[np.argmin(np.abs(sums - target))])
    chosen: set[str] = set()
    while remaining:
        patient = order[last_added[remaining]]
        chosen.add(patient)
        remaining -= sizes[patient]
    return chosen


def _require(items: Sequence[_Item], key: str) -> None:
    for position, item in enumerate(items):
        if key not in item:
            raise KeyError(f"item {position} ({item.get('image')}) has no {key}.")


def _group(items: Sequence[_Item], patient_key: str) -> dict[str, list[int]]:
    """Return the positions of the items of each patient."""
    groups: dict[str, list[int]] = defaultdict(list)
    for position, item in enumerate(items):
        if item.get(patient_key) in (None, ""):
            raise KeyError(f"item {position} ({item.get('image')}) has no {patient_key}.")
        groups[str(item[patient_key])].append(position)
    return dict(groups)
