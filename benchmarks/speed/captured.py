# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Steps of a MONAI trainer, eager and captured, in float32 and in mixed precision: what they take on a device."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
from monai.engines import SupervisedTrainer
from torch import nn
from torch.profiler import DeviceType, ProfilerActivity, profile

from benchmarks.speed.isnet import Step, disk
from benchmarks.speed.networks import NETWORKS
from benchmarks.speed.operations import operations_of
from benchmarks.speed.timing import alternate, compared
from monai_debias.engines import CapturedIteration, PrepareBatchAttached
from monai_debias.handlers import FiniteLoss, GradientClipping
from monai_debias.inferers import ISNetInferer
from monai_debias.losses import ISNetLRPLoss

N_CLASSES, WARM_UP = 3, 3
TABLE = "a step of a trainer"


# of each network: images in a batch, and their shape
BATCHES: dict[str, tuple[int, tuple[int, ...]]] = {
    "ResNet18": (32, (112, 112)),
    "DenseNet121": (32, (224, 224)),
    "ViT-S": (64, (224, 224)),
    "ResNet18, 3-D": (4, (96, 96, 96)),
    "ResNet50": (32, (224, 224)),
    "EfficientNet-B0": (32, (224, 224)),
}


def batch_of(images: int, shape: Sequence[int], device: str = "cpu", seed: int = 0) -> dict[str, torch.Tensor]:
    """Noise, labels, and masks: a disk, or a cylinder."""
    generator = torch.Generator().manual_seed(seed)
    mask = disk(images, shape[0])
    mask = mask if len(shape) == 2 else mask[..., None].expand(*mask.shape, shape[-1]).contiguous()
    batch = {"image": torch.rand(images, 1, *shape, generator=generator), "mask": mask}
    batch["label"] = torch.randint(N_CLASSES, (images,), generator=generator)
    return {key: value.to(device) for key, value in batch.items()}


def make_trainer(
    network: nn.Module, batches: list[dict[str, torch.Tensor]], target: str | None, capture: bool, amp: bool
) -> SupervisedTrainer:
    """A trainer of an ISNet, or of the plain network if there is no target, with what a bundle has around it."""
    device = batches[0]["image"].device
    if target is None:
        batches = [{key: value for key, value in batch.items() if key != "mask"} for batch in batches]
    isnet = {} if target is None else {"inferer": ISNetInferer(target)}
    # on a CPU, which has no graphs, the same Python runs again: a test of this file
    record = None if device.type == "cuda" else lambda compute: compute
    return SupervisedTrainer(
        device=device,
        max_epochs=1,
        train_data_loader=batches,
        network=network.to(device),
        optimizer=torch.optim.SGD(network.parameters(), 1e-3, momentum=0.9),
        loss_function=nn.CrossEntropyLoss() if target is None else ISNetLRPLoss(),
        prepare_batch=PrepareBatchAttached(),
        iteration_update=CapturedIteration(WARM_UP, record=record) if capture else None,
        train_handlers=[GradientClipping(network, 1e3), FiniteLoss()],
        decollate=False,
        amp=amp and device.type == "cuda",
        amp_kwargs={"dtype": torch.bfloat16},
        **isnet,
    )


def step_of(trainer: SupervisedTrainer) -> Step:
    """One more step of a trainer that has run, with its first batch, until its device has done it."""
    batch = next(iter(trainer.data_loader))

    def step() -> None:
        trainer._process_function(trainer, batch)
        if batch["image"].is_cuda:
            torch.cuda.synchronize()

    return step


def kernels_of(step: Step, device: str) -> int:
    """How many kernels a step starts on a GPU, and how many operations it has on a CPU."""
    if device == "cpu":
        return operations_of(step).total()
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        step()
    return sum(event.device_type == DeviceType.CUDA for event in profiler.events())


def step_rows(
    name: str, device: str, rounds: int, targets: Sequence[str | None], smaller: int = 1
) -> list[dict[str, Any]]:
    """Times, memory and kernels of all kinds of steps of a network, alternating, beside the captured plain step.

    Args:
        name: of the network.
        device: "cuda" or "cpu".
        rounds: how often all run in turn.
        targets: of the ISNets; None for the plain network.
        smaller: by what sizes and batches are divided.
    """
    images, shape = BATCHES[name]
    shape, images = tuple(side // smaller for side in shape), max(2, images // smaller**2)
    batch = batch_of(images, shape, device)
    rows = []
    for amp in (False, True) if device == "cuda" else (False,):
        steps: dict[str, Step] = {}
        memory: dict[str, float] = {}
        for target, capture in product(targets, (True, False)):
            torch.manual_seed(0)
            before = _allocated(device)
            trainer = make_trainer(NETWORKS[name](shape[0], N_CLASSES), [batch] * (WARM_UP + 2), target, capture, amp)
            trainer.run()
            variant = f"{target or 'plain'}, {'captured' if capture else 'eager'}"
            steps[variant], memory[variant] = step_of(trainer), _peak(device) - before
        of = f"{name}, {images} x {' x '.join(map(str, shape))}, {'bfloat16' if amp else 'float32'}"
        kernels = {variant: float(kernels_of(step, device)) for variant, step in steps.items()}
        seconds = alternate({variant: (step, 1) for variant, step in steps.items()}, rounds)
        megabytes = {variant: peak / 1e6 for variant, peak in memory.items()}
        rows += compared(TABLE, of, seconds, "plain, captured", kernels=kernels, megabytes=megabytes)
    return rows


def _allocated(device: str) -> float:
    if device == "cpu":
        return np.nan
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated()


def _peak(device: str) -> float:
    return np.nan if device == "cpu" else torch.cuda.max_memory_allocated()
