# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Clip gradients in a stock MONAI trainer, and stop if they are NaN or infinite."""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents

from monai_debias.constraints import MODULE, Number
from monai_debias.parameters import expects

__all__ = ["GradientClipping"]


class GradientClipping:
    """Scale the gradients so that their total norm is at most ``max_norm``, before every step of the optimiser.

    Attach it to a ``SupervisedTrainer``. With gradient accumulation it clips the accumulated gradients, once; with
    automatic mixed precision it removes the gradient scaler's factor first. The mean over the epoch of the norms before
    clipping is ``engine.state.metrics["gradient_norm"]``, which ``StatsHandler`` and ``TensorBoardStatsHandler`` show:
    if it lies far above ``max_norm``, clipping determines the size of nearly every step.

    Args:
        network: the network whose gradients are clipped.
        max_norm: L2 norm over all parameters, above 0; infinity only measures.

    Raises:
        ValueError: when ``max_norm`` is not above 0.
        FloatingPointError: when a gradient is not finite. With a gradient scaler, which skips such a step itself and
            lowers its factor, there is no error; the step is left out of the mean.

    Example:
        >>> from monai.engines import SupervisedTrainer
        >>> network = torch.nn.Linear(2, 1)
        >>> trainer = SupervisedTrainer(
        ...     device="cpu", max_epochs=1, network=network, loss_function=torch.nn.MSELoss(),
        ...     train_data_loader=[{"image": torch.full((4, 2), 100.0), "label": torch.ones(4, 1)}],
        ...     optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        ...     train_handlers=[GradientClipping(network, max_norm=1.0)],
        ... )
        >>> before = torch.nn.utils.parameters_to_vector(network.parameters()).detach()
        >>> trainer.run()
        >>> after = torch.nn.utils.parameters_to_vector(network.parameters()).detach()
        >>> round((after - before).norm().item(), 3)
        0.1
    """

    @expects(network=MODULE, max_norm=Number("(0, inf]"))
    def __init__(self, network: torch.nn.Module, max_norm: float) -> None:
        self.network = network
        self.max_norm = max_norm
        self._norms: list[float] = []

    def attach(self, engine: Engine) -> None:
        """Attach to a MONAI trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self._clip)

    def _start(self, engine: Engine) -> None:
        self._norms = []

    def _clip(self, engine: Any) -> None:
        if not _optimizer_steps_now(engine):
            return
        scaler = engine.scaler if engine.amp else None
        if scaler is not None:
            scaler.unscale_(engine.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.max_norm).item()
        if norm - norm == 0.0:  # finite
            self._norms.append(norm)
            engine.state.metrics["gradient_norm"] = sum(self._norms) / len(self._norms)
        elif scaler is None or not scaler.is_enabled():
            raise FloatingPointError(
                f"the norm of the gradients is {norm} in iteration {engine.state.iteration}: the loss was "
                f"{engine.state.output['loss'].item():g}. Lower the learning rate or the weights of the loss's terms."
            )


def _optimizer_steps_now(engine: Any) -> bool:
    """Whether the trainer will step the optimiser in this iteration: in each one, or when it has accumulated enough."""
    length = engine.state.epoch_length
    done = engine.state.iteration if length is None else (engine.state.iteration - 1) % length + 1
    return done % engine.accumulation_steps == 0 or done == length
