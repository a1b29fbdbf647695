# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Go on with an interrupted training."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from monai.handlers import CheckpointLoader

__all__ = ["ResumeTraining"]


class ResumeTraining:
    """Load the last checkpoint of a directory when a training starts, if there is one.

    It finds what ``monai.handlers.CheckpointSaver(save_interval=1, n_saved=1, file_prefix="last")`` leaves there after
    every epoch: ``last_checkpoint_epoch=N.pt`` with network, optimizer, scheduler and trainer. Give both the same
    ``objects``; with the trainer among them the number of the epoch goes on too.

    Args:
        ckpt_dir: directory of the checkpoints; it may not exist yet.
        objects: what to restore, ``{name: object with load_state_dict}``.
        map_location: device that tensors are loaded to, as in ``torch.load``; files are read with weights_only.
        file_prefix: beginning of the checkpoints' names.

    Raises:
        ValueError: when ``objects`` is empty.

    Example:
        >>> import torch
        >>> trainer = Engine(lambda engine, batch: None)
        >>> ResumeTraining("models", {"network": torch.nn.Linear(1, 1), "trainer": trainer}).attach(trainer)
    """

    def __init__(
        self, ckpt_dir: str | Path, objects: Mapping[str, Any], map_location: Any = None, file_prefix: str = "last"
    ) -> None:
        if not objects:
            raise ValueError("objects is empty; give what a checkpoint restores, at least the network.")
        self.ckpt_dir = Path(ckpt_dir)
        self.objects = dict(objects)
        self.map_location = map_location
        self.file_prefix = file_prefix

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Load the newest checkpoint, if there is one; called when ``engine`` starts."""
        found = {
            int(path.stem.rpartition("=")[2]): path for path in self.ckpt_dir.glob(f"{self.file_prefix}*epoch=*.pt")
        }
        if not found:
            return
        newest = found[max(found)]
        CheckpointLoader(str(newest), self.objects, map_location=self.map_location, strict=True)(engine)
        logger = logging.getLogger(type(self).__name__)
        if engine.state.max_epochs is not None and engine.state.epoch >= engine.state.max_epochs:
            logger.warning(
                "the training in %s has its %d epochs already: nothing is trained. Raise the number of epochs to go "
                "on, or give another ckpt_dir to start anew.",
                self.ckpt_dir,
                engine.state.max_epochs,
            )
        else:
            logger.info("resuming after epoch %d from %s", engine.state.epoch, newest)
