# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What each of the processes of test_losses_ddp does: steps with each loss on its part of a batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from monai_debias.attached import attach
from monai_debias.inferers import BackgroundSwapInferer, ISNetInferer
from monai_debias.losses import (
    BackgroundConsistencyLoss,
    ISNetLRPLoss,
    MixupLoss,
    SampleWeightedLoss,
    SpectralDecouplingLoss,
)

NAN = float("nan")
ALL, NONE, ONE = [True] * 4, [False] * 4, [False, True, False, False]
INDEX = [[0, 1, 2, 0], [1, 1, 0, 2]]
SOME = [[0, -1, 2, 0], [-1, -1, 0, -1]]
GAMMAS = [0.5, -1.0, 2.0]


class Case(NamedTuple):
    """A loss, and the labels and the flags of the masks of each process in each step."""

    loss: Callable[[], nn.Module]
    labels: list[list]
    has_mask: list[list[bool]] | None = None  # for an ISNet
    steps: int = 1
    interval: int = 1
    weighted: bool = False
    swapped: list[list[int]] | None = None  # the rows of each process that have another background


CASES = {
    "masks": Case(ISNetLRPLoss, INDEX, [ALL, ONE]),
    "no mask in one process": Case(ISNetLRPLoss, INDEX, [NONE, ONE]),
    "no mask in both": Case(ISNetLRPLoss, INDEX, [NONE, NONE]),
    "accumulated, with a map in every second step": Case(ISNetLRPLoss, INDEX, [ALL, ONE], steps=3, interval=2),
    "ISNet without some labels": Case(lambda: ISNetLRPLoss(ignore_value=-1), SOME, [ONE, ALL]),
    "ISNet of torch's loss": Case(
        lambda: ISNetLRPLoss(nn.CrossEntropyLoss(ignore_index=-1, reduction="none")),
        [[0, -1, 2, 0], [-1] * 4],
        [ALL, ONE],
    ),
    "ISNet of all": Case(
        lambda: ISNetLRPLoss(SpectralDecouplingLoss(logit_target=GAMMAS, ignore_value=-1, reduction="none")),
        SOME,
        [ALL, ONE],
    ),
    "penalty by class": Case(
        lambda: SpectralDecouplingLoss(None, [0.1, 0.4, 0.2], GAMMAS), [[0, 0, 0, 1], [2, 2, 1, 1]]
    ),
    "labels of one logit each": Case(
        lambda: SpectralDecouplingLoss("bce", ignore_value=NAN),
        [[[0, 1, NAN], [NAN, NAN, 1], [1, 1, 1], [0, 0, 0]], [[NAN] * 3, [NAN] * 3, [1, NAN, 0], [NAN] * 3]],
    ),
    "no label at all": Case(lambda: SpectralDecouplingLoss(logit_target=GAMMAS, ignore_value=-1), [[-1] * 4] * 2),
    "weights": Case(lambda: SampleWeightedLoss(ignore_value=-1), SOME, weighted=True),
    "backgrounds": Case(BackgroundConsistencyLoss, INDEX, swapped=[[0, 1, 3], [1, 2]]),
    "backgrounds of one process": Case(lambda: BackgroundConsistencyLoss(ignore_value=-1), SOME, swapped=[[], [0, 3]]),
    "groups": Case(lambda: MixupLoss(["a", "b"], None, [1, 3], ignore_value=-1), [[0, 1, 2, -1], [-1, -1, 1, 1]]),
}


def network() -> nn.Sequential:
    torch.manual_seed(0)
    first = nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 6, 3, stride=2), nn.ReLU()
    return nn.Sequential(*first, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)).double()


def part(case: Case, rank: int, step: int) -> dict[str, Any]:
    """Four samples, which the processes have other ones of."""
    generator = torch.Generator().manual_seed(10 * rank + step)
    label = torch.tensor(case.labels[rank])
    batch = {"image": torch.rand(4, 1, 9, 9, generator=generator).double(), "label": label}
    batch["weight"] = torch.rand(4, generator=generator).double()
    if case.swapped is not None:
        batch["swap"] = torch.zeros(4, dtype=torch.bool).index_fill(0, torch.tensor(case.swapped[rank]).long(), True)
        batch["swap_image"] = torch.rand(4, 1, 9, 9, generator=generator).double()
    if case.has_mask is not None:
        flag = torch.tensor(case.has_mask[rank])
        batch |= {"mask": (torch.rand(4, 1, 9, 9, generator=generator) > 0.6) & flag[:, None, None, None]}
        batch |= {"has_mask": flag}
    return batch


def backward(case: Case, network: nn.Module, loss: nn.Module, inferer: ISNetInferer, batch: dict[str, Any]) -> None:
    if case.has_mask is not None:
        pred = inferer(batch["image"], network, rows=batch["has_mask"].nonzero().flatten())
    elif case.swapped is not None:
        rows = batch["swap"].nonzero().flatten()
        image = attach(batch["image"], swapped={"rows": rows, "images": batch["swap_image"][rows]})
        pred = BackgroundSwapInferer()(image, network)
    else:
        pred = network(batch["image"])
    loss(pred, with_parts(case, batch)).backward()


def with_parts(case: Case, batch: dict[str, Any]) -> torch.Tensor:
    """The labels, and what the loss takes beside them."""
    names = ("mask", "has_mask") if case.has_mask is not None else ("weight",) if case.weighted else ()
    return attach(batch["label"], **{name: batch[name] for name in names})


def train(rank: int, folder: Path) -> None:
    gradients = {}
    for name, case in CASES.items():
        plain = network()
        wrapped, loss, inferer = (
            DistributedDataParallel(plain),
            case.loss(),
            ISNetInferer(interval=case.interval, blend=False),
        )
        for step in range(case.steps):
            batch = part(case, rank, step)
            backward(case, wrapped, loss, inferer, batch)
            if rank == 0 and case.has_mask is None:  # a validation in one process waits for no other
                with torch.no_grad():
                    loss(plain(batch["image"]), with_parts(case, batch))
        gradients[name] = torch.cat([p.grad.flatten() for p in plain.parameters()])
    torch.save(gradients, folder / f"losses_{rank}.pt")
