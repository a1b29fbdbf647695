# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Stop a training that is meant to use masks and has none."""

from __future__ import annotations

from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents
from monai.utils import CommonKeys

from monai_debias.attached import attached

__all__ = ["RequireMasks"]


class RequireMasks:
    """Raise an error after the first epoch if none of its images had a mask.

    Without masks an ISNet is trained as a plain classifier. Attach it to a ``SupervisedTrainer`` with
    ``PrepareBatchAttached``. In distributed training a mask in one of the processes is enough.

    Raises:
        ValueError: after an epoch without any mask.

    Example:
        >>> from monai.engines import SupervisedTrainer
        >>> from monai_debias.engines import PrepareBatchAttached
        >>> from monai_debias.inferers import ISNetInferer
        >>> from monai_debias.losses import ISNetLRPLoss
        >>> batch = {"image": torch.rand(2, 1, 4), "label": torch.tensor([0, 1])}
        >>> batch |= {"mask": torch.zeros(2, 1, 4), "has_mask": torch.tensor([False, False])}
        >>> network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2))
        >>> trainer = SupervisedTrainer(
        ...     device="cpu", max_epochs=1, train_data_loader=[batch], network=network, loss_function=ISNetLRPLoss(),
        ...     optimizer=torch.optim.SGD(network.parameters()), prepare_batch=PrepareBatchAttached(),
        ...     inferer=ISNetInferer(), train_handlers=[RequireMasks()],
        ... )
        >>> trainer.run()
        Traceback (most recent call last):
        ValueError: none of the images of epoch 1 has a mask, ...
    """

    def __init__(self) -> None:
        self._seen: torch.Tensor | bool = False

    def attach(self, engine: Engine) -> None:
        """Attach to a MONAI trainer."""
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self._look_for_masks)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._refuse_epoch_without_masks)

    def _look_for_masks(self, engine: Engine) -> None:
        output: Any = engine.state.output  # ignite leaves the types open
        flags = attached(output[CommonKeys.LABEL], "has_mask")
        self._seen = self._seen | (
            flags.any() if flags is not None else False
        )  # stays on the device, so that nothing waits for it

    def _refuse_epoch_without_masks(self, engine: Engine) -> None:
        if not idist.all_reduce(int(self._seen)):
            raise ValueError(
                f"none of the images of epoch {engine.state.epoch} has a mask, so that only the classification would "
                "be trained: give masks, or train without this method."
            )
