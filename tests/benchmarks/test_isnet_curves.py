# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.evidence.testbeds import biased_mnist
from benchmarks.figures import isnet_curves
from benchmarks.methods import METHODS

QUICK = biased_mnist.QUICK


def test_quick_run(tmp_path):
    isnet_curves.main("plain,isnet_few_masks", out=str(tmp_path), quick=True)
    assert (tmp_path / "isnet_curves.png").stat().st_size > 20_000
    network = biased_mnist.make_network()
    network.load_state_dict(torch.load(tmp_path / "isnet_few_masks.pt", weights_only=True))


@pytest.mark.parametrize(("method", "explained"), [("plain", 0), ("isnet", 5), ("isnet_interval4", 2)])
def test_iterations_without_a_heatmap_are_left_out(method, explained):
    curves = isnet_curves.Curves()
    biased_mnist.train(METHODS[method].steps, 0, 1.0, 1.0, QUICK, curves)
    known = {name: int(np.isfinite(values).sum()) for name, values in curves.values.items()}
    assert known["classification"] == known["gradient_norm"] == QUICK.images // 64 == 5
    assert known["background"] == known["foreground"] == known["foreground_relevance"] == explained


def test_unknown_method():
    with pytest.raises(ValueError, match="unknown methods"):
        isnet_curves.main("isnet,isnett")
