# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Stop a training whose loss is NaN or infinite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from ignite.engine import Engine
from monai.engines.utils import IterationEvents
from monai.utils import CommonKeys

from monai_debias.attached import plain_tensor
from monai_debias.origin import file_names

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
            engine.add_event_handler(event, self._refuse_infinite, key)

    def _refuse_infinite(self, engine: Engine, key: CommonKeys) -> None:
        output: Any = engine.state.output  # ignite leaves the types open
        value = plain_tensor(output[key])
        if not isinstance(value, torch.Tensor) or bool(value.detach().isfinite().all()):
            return
        batch: Any = engine.state.batch
        loaded = isinstance(batch, Mapping) and CommonKeys.IMAGE in batch  # images as they were before any mixing
        mean = value.detach().float().mean().item()
        raise FloatingPointError(
            f"the {_NAMES[key]} {mean:g} in iteration {engine.state.iteration} (epoch {engine.state.epoch}): "
            f"{_cause((batch if loaded else output)[CommonKeys.IMAGE])} Nothing of this epoch is saved."
        )


def _cause(images: torch.Tensor) -> str:
    finite = images.detach().flatten(1).isfinite().all(1).tolist()
    if all(finite):
        return "the images are finite, so lower the learning rate or the weights of the loss's terms."
    names = file_names(images) or [f"number {i}" for i in range(len(finite))]
    bad = [name for name, good in zip(names, finite, strict=True) if not good]
    return f"{len(bad)} of its {len(finite)} images have NaN or infinite values: {', '.join(bad[:3])}."
