# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Two processes with uneven masks, classes and missing labels have the gradients of one with the whole batch."""

from __future__ import annotations

from pathlib import Path

import torch

from monai_debias.inferers import ISNetInferer
from monai_debias.losses import MixupLoss
from tests.losses import losses_ddp
from tests.losses.losses_ddp import CASES, Case


def whole_batch(case: Case, step: int) -> dict[str, torch.Tensor]:
    parts = [losses_ddp.part(case, rank, step) for rank in range(2)]
    batch = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
    if isinstance(case.loss(), MixupLoss):  # the groups of one process follow one another
        batch = {key: value[[0, 1, 4, 5, 2, 3, 6, 7]] for key, value in batch.items()}
    return batch


def test_two_processes_have_the_gradients_of_one(of_two_processes: Path) -> None:
    found = [torch.load(of_two_processes / f"losses_{rank}.pt", weights_only=True) for rank in range(2)]
    for name, case in CASES.items():
        network, loss, inferer = losses_ddp.network(), case.loss(), ISNetInferer(interval=case.interval, blend=False)
        for step in range(case.steps):
            losses_ddp.backward(case, network, loss, inferer, whole_batch(case, step))
        expected = torch.cat([p.grad.flatten() for p in network.parameters()])
        assert bool(expected.isfinite().all())
        assert (expected.norm() == 0) == (name == "no label at all")
        for rank in range(2):
            deviation = (found[rank][name] - expected).norm()
            assert deviation <= 1e-9 * expected.norm(), f"{name}: {deviation} of {expected.norm()}"
