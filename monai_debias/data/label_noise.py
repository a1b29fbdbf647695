# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Wrong labels on purpose, to measure how a method copes with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.utils import convert_to_dst_type
from numpy.typing import NDArray

from monai_debias.constraints import ITEMS, KEY, NONE, SEED, Integer, Number, OneOf
from monai_debias.parameters import expects

__all__ = ["corrupt_labels"]

_MISSING = -1  # as in a datalist


@expects(
    items=ITEMS,
    rate=Number("[0, 1]"),
    mode=OneOf("symmetric", "flip", "swap"),
    num_classes=NONE | Integer("[1, inf)"),
    seed=SEED,
    label_key=KEY,
    clean_key=KEY,
    flag_key=KEY,
)
def corrupt_labels(
    items: Sequence[Mapping[str, Any]],
    rate: float,
    mode: str,
    num_classes: int | None = None,
    seed: int = 0,
    label_key: str = "label",
    clean_key: str = "clean_label",
    flag_key: str = "label_corrupted",
) -> list[dict[str, Any]]:
    """Corrupt the labels of a datalist, and keep the clean label under another key.

    Only for training items: validation and test sections keep their labels, otherwise errors would be measured against
    wrong labels. The modes:

    - ``"symmetric"``, for class indices: ``round(rate * N)`` samples get one of the other classes, each with the same
      probability. Rare classes become more frequent.
    - ``"flip"``, for multi-label vectors of 0 and 1: each label of each sample flips with probability ``rate``. Where
      most labels are 0, most flips add a wrong 1, so that labels become more frequent.
    - ``"swap"``, for multi-label or one-hot vectors and for class indices: ``round(rate * N)`` samples exchange their
      labels, so that each of them has the label of another. How often each label and each combination of labels
      occurs stays as it is; some samples get a label that equals their own.

    An entry of a vector that is missing, -1 or None, stays missing, and no other sample gets it: each label is flipped
    or exchanged among the samples of which it is known. The choice depends on the seed and on the order of the items.

    Args:
        items: dicts with a label: a class index (int, or integer array or tensor without dimensions), or a vector of 0
            and 1, -1 or None where it is not known (list, tuple, array or tensor), of the same length in all items.
        rate: share of the samples, or for ``"flip"`` probability of each label, in [0, 1].
        mode: ``"symmetric"``, ``"flip"`` or ``"swap"``.
        num_classes: number of classes, 2 or more for class indices; needed for ``"symmetric"``, otherwise checked.
        seed: seed of the choice.
        label_key: key of the label; what is written there has the type that was there.
        clean_key: key that the clean label is written to.
        flag_key: key of the bool that says whether the label differs from the clean one.

    Returns:
        Copies of the items, in their order.

    Raises:
        KeyError: if an item has no label.
        TypeError: if a label is not of the kind that the mode takes.
        ValueError: if there are no items; an item was corrupted before; keys are the same; the rate is not in [0, 1];
            the mode is unknown; ``num_classes`` is missing or too small, or labels do not fit it; vectors differ in
            length or are soft; or a single sample would have to swap.

    Reference:
        Chen et al., Flow-Mixup, BIBM 2020 (multi-label classification with corrupted labels).

    Example:
        >>> items = [{"image": f"{n}.png", "label": n % 4} for n in range(8)]
        >>> noisy = corrupt_labels(items, 0.25, "symmetric", num_classes=4)
        >>> [(item["clean_label"], item["label"]) for item in noisy if item["label_corrupted"]]
        [(2, 3), (0, 3)]
    """
    _check_arguments(items, mode, num_classes, (label_key, clean_key, flag_key))
    clean = _read_labels(items, mode, num_classes, label_key, (clean_key, flag_key))
    rng = np.random.default_rng(seed)
    noisy = clean.copy()
    if mode == "flip":
        noisy = np.where((rng.random(clean.shape) < rate) & (clean != _MISSING), 1 - clean, clean)
    else:
        chosen = rng.permutation(len(items))[: round(rate * len(items))]
        if mode == "symmetric" and num_classes is not None:
            noisy[chosen] = (clean[chosen] + rng.integers(1, num_classes, len(chosen))) % num_classes
        elif len(chosen) == 1:
            raise ValueError(
                f"rate {rate:g} chooses 1 of {len(items)} samples, which has none to swap with: raise the rate so that "
                "2 are chosen, or set it to 0."
            )
        else:
            for old, new in zip(np.atleast_2d(clean.T), np.atleast_2d(noisy.T), strict=True):
                known = chosen[old[chosen] != _MISSING]
                new[known] = old[np.roll(known, 1)]  # around a ring in random order, so that none keeps its own
    return [
        {
            **item,
            label_key: _like(item[label_key], new),
            clean_key: item[label_key],
            flag_key: bool((new != old).any()),
        }
        for item, new, old in zip(items, noisy, clean, strict=True)
    ]


def _check_arguments(
    items: Sequence[Mapping[str, Any]], mode: str, num_classes: int | None, keys: tuple[str, ...]
) -> None:
    if not items:
        raise ValueError("items is empty, expected the training items of a datalist.")
    if mode == "symmetric" and num_classes is None:
        raise ValueError('mode "symmetric" draws from the other classes: set num_classes.')
    if num_classes == 1 and mode != "flip":
        raise ValueError("num_classes is 1, expected 2 or more.")
    if len(set(keys)) < len(keys):
        raise ValueError(f"label_key, clean_key and flag_key must be three keys, got {keys}.")


def _read_labels(
    items: Sequence[Mapping[str, Any]], mode: str, num_classes: int | None, label_key: str, new_keys: tuple[str, str]
) -> NDArray[np.int64]:
    """Class indices (N,) or vectors (N, labels)."""
    labels = []
    for number, item in enumerate(items):
        if label_key not in item:
            raise KeyError(f"item {number} of the datalist has no {label_key!r}: set label_key.")
        for key in new_keys:
            if key in item:
                raise ValueError(
                    f"item {number} has {key!r} already: corrupting it twice would lose the clean label. Start from "
                    "the clean datalist, or set clean_key and flag_key."
                )
        labels.append(_label_values(item[label_key], f"item {number}", mode, num_classes))
        if labels[-1].shape != labels[0].shape:
            raise ValueError(
                f"the label of item {number} has shape {labels[-1].shape}, that of item 0 has {labels[0].shape}; "
                "expected the same in all items."
            )
    return np.stack(labels)


def _label_values(label: Any, where: str, mode: str, num_classes: int | None) -> NDArray[np.int64]:
    if isinstance(label, list | tuple):
        if not all(isinstance(entry, int | float | np.generic | None) for entry in label):
            raise TypeError(f"the label of {where} is {label!r:.80}, expected a list of the numbers 0 and 1.")
        label = [_MISSING if entry is None else entry for entry in label]
    values = np.asarray(label.tolist() if isinstance(label, torch.Tensor) else label)
    is_index = values.ndim == 0 and values.dtype.kind in "iu"
    is_vector = values.ndim == 1 and values.dtype.kind in "biuf"
    if mode == "symmetric" and not is_index:
        raise TypeError(f'the label of {where} is {label!r:.80}, mode "symmetric" takes class indices; or use "swap".')
    if mode == "flip" and not is_vector:
        raise TypeError(
            f'the label of {where} is {label!r:.80}, mode "flip" takes multi-label vectors of 0 and 1; or use '
            '"symmetric".'
        )
    if not (is_index or is_vector):
        raise TypeError(f"the label of {where} is {label!r:.80}, expected a class index or a vector of 0 and 1.")
    if is_index and (values < 0 or (num_classes is not None and values >= num_classes)):
        raise ValueError(f"the label of {where} is {label!r:.80}, expected a class from 0 to num_classes - 1.")
    if is_vector and not np.isin(values, (0, 1, _MISSING)).all():
        raise ValueError(
            f"the label of {where} is {label!r:.80}, expected 0 and 1 only, or -1 where it is missing: soft labels "
            "cannot be corrupted."
        )
    if is_vector and (not values.size or (num_classes is not None and values.size != num_classes)):
        expected = "1 or more" if num_classes is None else num_classes
        raise ValueError(f"the label of {where} has {values.size} entries, expected {expected}.")
    return values.astype(np.int64)


def _like(label: Any, values: NDArray[np.int64]) -> Any:
    """The values with the type of the label, and its entries with the types of the old ones."""
    if isinstance(label, torch.Tensor):
        return convert_to_dst_type(np.asarray(values), label)[0]
    if isinstance(label, np.ndarray):
        return np.asarray(values, dtype=label.dtype)
    if isinstance(label, list | tuple):
        return type(label)(
            None if old is None else type(old)(new) for old, new in zip(label, values.tolist(), strict=True)
        )
    return type(label)(values)
