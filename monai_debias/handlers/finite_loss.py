# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Stop a training whose loss is NaN or infinite."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from ignite.engine import Engine
from monai.engines.utils import IterationEvents
from monai.utils import CommonKeys

from monai_debias.attached import plain_tensor
from monai_debias.origin import file_names
from monai_debias.without_waiting import follow, look, training_step

__all__ = ["FiniteLoss"]

_PREDICTION, _LOSS = CommonKeys.PRED, CommonKeys.LOSS
_NAMES = {_PREDICTION: "mean of the predictions is", _LOSS: "loss is"}


class FiniteLoss:
    """Raise an error if predictions or loss are NaN or infinite, before the step that would spoil the weights.

    Attach it to a ``SupervisedTrainer``. Ignite's ``TerminateOnNan`` ends such a training as if it were complete: the
    program goes on, and its exit status is 0.

    Raises:
        FloatingPointError: when predictions or a loss are not finite; it names the iteration, and the images if they
            are the cause.

    Example:
        >>> from monai.engines import SupervisedTrainer
        >>> network = torch.nn.Linear(1, 1)
        >>> trainer = SupervisedTrainer(
        ...     device="cpu", max_epochs=1, network=network, loss_function=torch.nn.MSELoss(),
        ...     train_data_loader=[{"image": torch.tensor([[torch.nan]]), "label": torch.ones(1, 1)}],
        ...     optimizer=torch.optim.SGD(network.parameters()), train_handlers=[FiniteLoss()],
        ... )
        >>> trainer.run()
        Traceback (most recent call last):
        FloatingPointError: the mean of the predictions is nan in iteration 1 (epoch 1): 1 of its 1 images have ...
    """

    def attach(self, engine: Engine) -> None:
        """Attach to a MONAI trainer."""
        for event, key in ((IterationEvents.FORWARD_COMPLETED, _PREDICTION), (IterationEvents.LOSS_COMPLETED, _LOSS)):
            engine.add_event_handler(event, _Finite(key))
        follow(engine)


class _Finite:
    """The check of the predictions or of the loss, each with values of its own to be read."""

    def __init__(self, key: CommonKeys) -> None:
        self.key = key

    def __call__(self, engine: Engine) -> None:
        output: Any = engine.state.output  # ignite leaves the types open
        value = plain_tensor(output[self.key])
        if not isinstance(value, torch.Tensor):
            return
        batch: Any = engine.state.batch
        loaded = isinstance(batch, Mapping) and CommonKeys.IMAGE in batch  # images as they were before any mixing
        images = (batch if loaded else output)[CommonKeys.IMAGE]
        refuse = partial(_refuse_infinite, _NAMES[self.key], engine.state.iteration, engine.state.epoch, images)
        with training_step(self):
            value = value.detach()
            look(refuse, value.isfinite().all(), value.mean(dtype=torch.promote_types(value.dtype, torch.float32)))


def _refuse_infinite(
    name: str, iteration: int, epoch: int, images: torch.Tensor, finite: torch.Tensor, mean: torch.Tensor
) -> None:
    if not bool(finite):
        raise FloatingPointError(
            f"the {name} {mean.item():g} in iteration {iteration} (epoch {epoch}): {_cause(images)} Nothing of this "
            "epoch is saved."
        )


def _cause(images: torch.Tensor) -> str:
    finite = plain_tensor(images).detach().flatten(1).isfinite().all(1).tolist()
    if all(finite):
        return "the images are finite, so lower the learning rate or the weights of the loss's terms."
    names = file_names(images) or [f"number {i}" for i in range(len(finite))]
    bad = [name for name, good in zip(names, finite, strict=True) if not good]
    return f"{len(bad)} of its {len(finite)} images have NaN or infinite values: {', '.join(bad[:3])}."
