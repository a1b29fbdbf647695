# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Stop a training that is meant to use masks and has none."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents
from monai.utils import CommonKeys

from monai_debias.attached import attached
from monai_debias.distributed import gathered
from monai_debias.engines.step_kind import inferers_of

__all__ = ["RequireMasks"]


class RequireMasks:
    """Raise an error after an epoch if none of its images had a mask, or no batch two that exchange backgrounds.

    Without masks an ISNet is trained as a plain classifier, and so is a network by ``BackgroundConsistencyLoss`` or
    with ``BlendBackgroundsd`` if no batch has two masks. Attach it to a ``SupervisedTrainer`` with
    ``PrepareBatchAttached``. In distributed training a mask, or a pair, in one of the processes is enough. An ISNet
    whose batches never have two masks is trained with its heatmaps, but without the blend of its backgrounds
    (:class:`~monai_debias.inferers.ISNetInferer`): one warning says so.

    Raises:
        ValueError: after an epoch without any mask, or without any pair where backgrounds are swapped.

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
        self._most: torch.Tensor | int = 0  # masks in a batch
        self._warned = False
        self._pairs: bool | None = None  # None as long as none are exchanged

    def attach(self, engine: Engine) -> None:
        """Attach to a MONAI trainer."""
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self._look_for_masks)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._refuse_epoch_without_masks)

    def _look_for_masks(self, engine: Engine) -> None:
        output: Any = engine.state.output  # ignite leaves the types open
        flags = attached(output[CommonKeys.LABEL], "has_mask")
        if flags is not None:  # the number stays on the device, so that nothing waits for it
            most, n_masks = self._most, flags.sum()
            self._most = torch.maximum(n_masks, most) if isinstance(most, torch.Tensor) else n_masks
        swapped = attached(output[CommonKeys.PRED], "swapped")
        blend = getattr(getattr(engine, "prepare_batch", None), "blend", None)
        if swapped is not None:
            self._pairs = bool(self._pairs) or len(swapped["rows"]) > 0
        elif blend is not None:
            self._pairs = bool(self._pairs) or blend.n_blended > 0

    def _refuse_epoch_without_masks(self, engine: Engine) -> None:
        epoch = engine.state.epoch
        if self._pairs is not None:
            if not any(gathered([self._pairs])):
                raise ValueError(
                    f"no batch of epoch {epoch} has two images with masks, so that no backgrounds could be exchanged: "
                    "give more masks or larger batches, or train without this method."
                )
            return
        most = max(gathered([int(self._most)]))
        if not most:
            raise ValueError(
                f"none of the images of epoch {epoch} has a mask, so that only the classification would be trained: "
                "give masks, or train without this method."
            )
        blends = any(getattr(inferer, "blend", False) for inferer in inferers_of(engine))
        if most == 1 and blends and not self._warned:
            self._warned = True
            warnings.warn(
                f"no batch of epoch {epoch} has two images with masks, so that no backgrounds were blended, without "
                "which a clean heatmap can hide a shortcut: give more masks or larger batches.",
                stacklevel=2,
            )
