# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Load the weights for evaluation or inference, after verifying that the file is what was written."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint

from monai_debias.constraints import MODULE, PATH
from monai_debias.handlers.checkpoint_files import read_checkpoint
from monai_debias.parameters import expects

__all__ = ["ModelLoader"]


class ModelLoader:
    """Load the weights of a network from a file such as ``model.pt`` when an engine starts, after verifying the file.

    It takes the place of MONAI's ``CheckpointLoader``, which does not notice a changed byte, so that a damaged model
    would still predict, and whose errors do not name the file.

    Args:
        path: the file, a state dict of the network.
        network: the network; if it is wrapped for several processes, the network inside is loaded.

    Raises:
        FileNotFoundError: when the engine starts and there is no such file.
        ValueError: when the engine starts and the file is damaged, has NaN, or belongs to another network; it names
            the file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     torch.save({"weight": torch.ones(1, 2), "bias": torch.ones(1)}, f"{folder}/model.pt")
        ...     network = torch.nn.Linear(2, 1)
        ...     engine = Engine(lambda engine, batch: network(batch).item())
        ...     ModelLoader(f"{folder}/model.pt", network).attach(engine)
        ...     engine.run([torch.ones(2)]).output
        3.0
    """

    @expects(path=PATH, network=MODULE)
    def __init__(self, path: str | os.PathLike, network: torch.nn.Module) -> None:
        self.path = Path(path)
        self.network = network

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator or a trainer."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Load the weights."""
        weights = read_checkpoint(self.path)
        try:
            Checkpoint.load_objects({"network": self.network}, {"network": weights})
        except (RuntimeError, TypeError, ValueError) as error:
            reason = "\n".join(str(error).split("\n")[:4])  # torch has a line for each tensor
            raise ValueError(
                f"{self.path} is not a model of this network: {reason}\nUse the network and the classes that it was "
                "trained with, in a bundle network_def and class_names."
            ) from error
        engine.logger.info("loaded the model from %s", self.path)
