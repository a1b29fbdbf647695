# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from monai_debias.demo.cues import assign_cues


@pytest.mark.parametrize("bias", [0.25, 0.8, 0.95, 1.0])
def test_cue_shares_are_exact(bias):
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(4), 400))
    same, none, reversed_ = (
        assign_cues(labels, 4, mode, bias, np.random.default_rng(2)) for mode in ("same", "random", "reversed")
    )
    table = np.stack([np.bincount(same[labels == view], minlength=4) for view in range(4)])
    assert (np.diag(table) == round(400 * bias)).all()
    others = table[~np.eye(4, dtype=bool)]
    assert others.max() - others.min() <= 1
    assert all((np.bincount(none[labels == view]) == 100).all() for view in range(4))
    assert not (reversed_ == labels).any()
    assert all(np.ptp(np.delete(np.bincount(reversed_[labels == v], minlength=4), v)) <= 1 for v in range(4))


def test_cue_assignment_follows_the_generator():
    labels = np.tile(np.arange(4), 50)
    first, again, other = (assign_cues(labels, 4, "same", 0.5, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
    assert assign_cues([], 4, "random", 0.95, np.random.default_rng(0)).shape == (0,)


def test_bad_cues():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="mode is 'half', expected"):
        assign_cues([0, 1], 4, "half", 0.95, rng)
    with pytest.raises(ValueError, match="labels has a 4, expected"):
        assign_cues([0, 4], 4, "same", 0.95, rng)
    with pytest.raises(ValueError, match=r"bias is 0\.4, expected at least 1 / 2"):
        assign_cues([0, 1], 2, "same", 0.4, rng)
