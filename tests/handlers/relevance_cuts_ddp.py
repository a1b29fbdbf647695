# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What each of the processes of test_relevance_cuts does: an epoch in which all tune the cuts together."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.nn.parallel import DistributedDataParallel

from monai_debias.handlers import RelevanceCutTuning
from monai_debias.inferers import ISNetInferer
from monai_debias.losses import ISNetLRPLoss
from tests.handlers.isnet_training import make_batches, make_images, make_network, make_trainer


def train(rank: int, folder: Path) -> None:
    """The second process has masks in none of its samples of the first half."""
    inferer, loss = ISNetInferer(0, blend=False), ISNetLRPLoss()
    has_mask = [True] * 8 if rank == 0 else [False] * 4 + [True] * 2 + [False] * 2
    batches = make_batches(make_images(16)[8 * rank : 8 * rank + 8], has_mask)
    handlers = [RelevanceCutTuning(inferer, loss, epochs=1)]
    make_trainer(batches, inferer, loss, handlers, epochs=2, network=DistributedDataParallel(make_network())).run()
    torch.save(torch.as_tensor(loss.cuts), folder / f"cuts_{rank}.pt")
