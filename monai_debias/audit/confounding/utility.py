# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How much an attribute, such as the hospital, tells about the label: the mutual information of the two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from monai_debias.audit.confounding.chance import adjusted_p_values, exchanged_rows, p_values, weights_of_rows
from monai_debias.audit.confounding.columns import Column
from monai_debias.audit.confounding.confounder import ATTRIBUTE, Confounder
from monai_debias.audit.resampling import interval, patient_weights

__all__ = ["mutual_information", "utilities"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_RESAMPLES = 500
_NOTHING = 1e-9  # bits


def utilities(
    attributes: Sequence[Column],
    questions: Mapping[str, Ints],
    patients: Ints,
    n_permutations: int = 999,
    seed: int = 0,
) -> list[Confounder]:
    """Measure how much each attribute tells about each label, as a share of the label's entropy.

        effect = (I - E) / (H(Y) - E),   I = I(A; Y) = Σ p(a, y) log2 p(a, y) / (p(a) p(y))

    It is 1 if the attribute names the class of each image. I of finite data is above 0 by chance, the more so the more
    values an attribute has: E is its mean under the null distribution, where the attributes change places between whole
    patients, see :mod:`monai_debias.audit.confounding.chance`. The interval is that of a bootstrap over patients, whose
    resamples have the excess twice, so that 2 E is taken off. Each patient counts the same.

    Args:
        attributes: columns of N images; those with one value are left out, and so are those with one in each patient,
            which would tell any label.
        questions: by the name of the label, the class of each image, shape (N,), -1 where it is not known.
        patients: number of the patient of each image, shape (N,).
        n_permutations: number of permutations.
        seed: seed of permutations and resamples.

    Returns:
        One for each attribute and label, in their order.

    Reference:
        Vinh, Epps and Bailey, Information theoretic measures for clusterings comparison, JMLR 2010 (the adjustment for
        chance).

    Example:
        >>> hospital, labels = np.repeat([0, 1], 20), np.repeat([0, 1], 20)
        >>> column = Column("hospital", hospital, ("north", "south"))
        >>> (found,) = utilities([column], {"": labels}, np.arange(40))
        >>> found.p, round(found.effect, 1)
        (0.001, 1.0)
    """
    attributes = [column for column in attributes if len(np.unique(column.codes)) > 1]
    pairs = [(column, name) for column in attributes for name, classes in questions.items() if _has_two(classes)]
    if not pairs:
        return []
    rng = np.random.default_rng(seed)
    weights = weights_of_rows(patients)
    observed = _informations(pairs, questions, weights[None], None)[0]
    null = np.concatenate(
        [_informations(pairs, questions, weights[None], rows) for rows in exchanged_rows(patients, n_permutations, rng)]
    )
    resampled = _informations(pairs, questions, weights * patient_weights(patients, _RESAMPLES, rng), None)
    p, adjusted = p_values(observed, null), adjusted_p_values(observed, null)
    excess = null.mean(0)
    found = []
    for m, (column, name) in enumerate(pairs):
        known = questions[name] >= 0
        most = _entropy(questions[name], weights) - excess[m]
        if most < _NOTHING:
            continue
        share, chance = (observed[m] - excess[m]) / most, (np.quantile(null[:, m], 0.95) - excess[m]) / most
        ends = [end for end in interval((resampled[:, m] - 2 * excess[m]) / most) if end is not None]
        one = Confounder(
            kind=ATTRIBUTE,
            name=column.name,
            label=name,
            effect=_within(share),
            low=_within(min([share, *ends])),
            high=_within(max([share, *ends])),
            chance=_within(chance),
            p=float(p[m]),
            adjusted_p=float(adjusted[m]),
            values=len(np.unique(column.codes[known])),
            patients=len(np.unique(patients[known])),
        )
        found.append(one)
    return found


def _within(share: float) -> float:
    return float(np.clip(share, 0, 1))


def mutual_information(tables: Floats) -> Floats:
    """I(A; Y) in bits.

    Args:
        tables: joint weights of the values of A and Y, shape (..., V, K).

    Returns:
        Shape (...).

    Example:
        >>> mutual_information(np.array([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]]])).tolist()
        [1.0, 0.0]
    """
    joint = tables / tables.sum((-2, -1), keepdims=True)
    expected = joint.sum(-1, keepdims=True) * joint.sum(-2, keepdims=True)
    ratio = np.divide(joint, expected, out=np.ones_like(joint), where=joint > 0)
    return (joint * np.log2(ratio)).sum((-2, -1))


def _informations(
    pairs: Sequence[tuple[Column, str]], questions: Mapping[str, Ints], weights: Floats, rows: Ints | None
) -> Floats:
    """I(A; Y) of each pair for rows of weights (R, N), where images take the attributes of others: (R, M)."""
    found = np.empty((len(weights), len(pairs)))
    for m, (column, name) in enumerate(pairs):
        codes, classes = column.codes if rows is None else column.codes[rows], questions[name]
        known = classes >= 0
        shape = column.codes.max() + 1, classes.max() + 1
        cells = codes[known] * shape[1] + classes[known]
        tables = [np.bincount(cells, weights=one[known], minlength=shape[0] * shape[1]) for one in weights]
        found[:, m] = mutual_information(np.stack(tables).reshape(-1, *shape).astype(np.float64))
    return found


def _entropy(classes: Ints, weights: Floats) -> float:
    known = classes >= 0
    share = np.bincount(classes[known], weights=weights[known])
    share = share[share > 0] / share.sum()
    return float(-(share * np.log2(share)).sum())


def _has_two(classes: Ints) -> bool:
    return len(np.unique(classes[classes >= 0])) > 1
