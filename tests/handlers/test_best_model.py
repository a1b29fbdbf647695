# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from monai_debias.handlers import BestModel
from tests.handlers.resumable import Training, assert_same
from tests.samples import NETWORK

EXAMPLES = {BestModel: [{"network": NETWORK}]}


def test_a_metric_that_is_nan_or_infinite_is_never_the_best(tmp_path, caplog):
    training = Training(tmp_path, 5, scores=[float("nan"), 0.5, float("inf"), 0.4, float("nan")])
    training.run()
    best = training.last()["best"]
    assert (best["score"], best["epoch"]) == (0.5, 2)
    assert_same(best["weights"], training.model())
    assert "score is nan in epoch 1, which does not count" in caplog.text
