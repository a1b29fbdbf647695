# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Save the state of a training after every epoch, and go on from there after an interruption."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint, DiskSaver
from monai.handlers import CheckpointSaver

__all__ = ["ResumableTraining"]


class ResumableTraining:
    """Save ``last.pt`` after every epoch, and start from it where a directory has one.

    MONAI's ``CheckpointSaver`` cannot hold the trainer in a bundle config (each would refer to the other), so that the
    count of epochs is lost, and it forgets the best metric, so that the first epoch after a restart replaces the best
    model. This handler takes the trainer that it is attached to, and restores the saver of the best model as well.
    Attach it behind the handlers that validate and that step the learning rate. The order of the samples and the random
    transforms are not restored: a resumed training is a valid one, not the identical one.

    Args:
        ckpt_dir: directory of ``last.pt``; made where it is missing.
        objects: what to save and restore beside the trainer: ``{name: object with state_dict and load_state_dict}``.
        best_saver: ``CheckpointSaver`` of the best model in the same directory, made with ``save_key_metric=True`` and
            ``key_metric_filename="model.pt"``; the best metric so far is saved and restored.
        map_location: device that tensors are loaded to, as in ``torch.load``; files are read with ``weights_only``.

    Raises:
        ValueError: when ``objects`` is empty or has a ``"trainer"``.
        FileExistsError: when ``ckpt_dir`` has a ``model.pt`` but no ``last.pt``, so that a training would overwrite a
            model of which it cannot be told where it comes from; raised before the first epoch.

    Example:
        >>> import tempfile
        >>> def train(epochs, folder):
        ...     trainer = Engine(lambda engine, batch: None)
        ...     ResumableTraining(folder, {"network": torch.nn.Linear(1, 1)}).attach(trainer)
        ...     return trainer.run([0, 1], max_epochs=epochs)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     first, second = train(2, folder), train(3, folder)
        >>> first.iteration, second.iteration
        (4, 6)
    """

    def __init__(
        self,
        ckpt_dir: str | Path,
        objects: Mapping[str, Any],
        best_saver: CheckpointSaver | None = None,
        map_location: Any = None,
    ) -> None:
        if not objects or "trainer" in objects:
            raise ValueError(f"objects must name at least the network, and not the trainer; got {sorted(objects)}.")
        self.ckpt_dir = Path(ckpt_dir)
        self.objects = dict(objects) if best_saver is None else {**objects, "best": _BestMetric(best_saver)}
        self.map_location = map_location
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        self.ckpt_dir.mkdir(parents=True, exist_ok=True)
        engine.add_event_handler(Events.STARTED, self._resume)
        save = Checkpoint(
            {**self.objects, "trainer": engine},
            _ReplacingSaver(str(self.ckpt_dir), atomic=True, require_empty=False),
            filename_pattern="last.pt",
        )
        engine.add_event_handler(Events.EPOCH_COMPLETED, save)

    def _resume(self, engine: Engine) -> None:
        last, best = self.ckpt_dir / "last.pt", self.ckpt_dir / "model.pt"
        if not last.exists():
            if best.exists():
                raise FileExistsError(
                    f"{best} exists, but no {last.name} to go on from: move the model away or give another ckpt_dir."
                )
            return
        max_epochs = engine.state.max_epochs
        state = torch.load(last, map_location=self.map_location, weights_only=True)
        Checkpoint.load_objects({**self.objects, "trainer": engine}, state)
        engine.state.max_epochs = max_epochs  # what is asked for now, not what was asked for then
        if max_epochs is not None and engine.state.epoch >= max_epochs:
            self.logger.warning(
                "%s has %d epochs already: nothing is trained. Raise max_epochs to go on, or give another ckpt_dir.",
                self.ckpt_dir,
                engine.state.epoch,
            )
        else:
            self.logger.info("resuming after epoch %d from %s", engine.state.epoch, last)


class _ReplacingSaver(DiskSaver):
    """Ignite removes the old checkpoint before it writes the new one; an interruption in between would lose both."""

    def remove(self, filename: str) -> None:
        """Leave the file: the atomic write that follows replaces it."""


class _BestMetric:
    """The best metric that a ``CheckpointSaver`` has seen, which it can load but not give."""

    def __init__(self, saver: CheckpointSaver) -> None:
        self.saver = saver

    def state_dict(self) -> Any:
        checkpoint = self.saver._key_metric_checkpoint
        if checkpoint is None:
            raise ValueError("best_saver must be a CheckpointSaver made with save_key_metric=True.")
        return checkpoint.state_dict()

    def load_state_dict(self, state: Any) -> None:
        self.saver.load_state_dict(state)
