# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Which leads are lost, and how often."""

from __future__ import annotations

import numpy as np

from monai_debias.apps.ecg import RandLeadDropout, RandLeadDropoutd

EXAMPLES = {RandLeadDropout: [{"prob": 0.7, "most": 2}], RandLeadDropoutd: [{"keys": "image", "prob": 0.7, "most": 2}]}


def test_one_to_so_many_leads_are_lost_and_never_all():
    signal = np.ones((12, 5))
    drop = RandLeadDropout(prob=1.0, most=3).set_random_state(0)
    lost = np.array([(drop(signal) == 0).all(axis=1) for _ in range(300)])
    assert set(lost.sum(axis=1)) == {1, 2, 3}
    assert (lost.mean(axis=0) > 0.08).all()  # 2 / 12 on average
    assert (RandLeadDropout(prob=1.0, most=9)(np.ones((1, 5))) == 1).all()
    assert {int(RandLeadDropout(prob=1.0, most=9)(np.ones((2, 1))).sum()) for _ in range(9)} == {1}
    assert RandLeadDropout(prob=0.0)(signal) is signal


def test_the_keys_of_a_sample_lose_the_same_leads():
    drop = RandLeadDropoutd(["a", "b"], prob=1.0).set_random_state(1)
    sample = drop({"a": np.ones((12, 2)), "b": np.full((12, 2), 2.0)})
    np.testing.assert_array_equal(sample["a"][:, 0] == 0, sample["b"][:, 0] == 0)
