# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Clip gradients in a stock MONAI trainer, and stop if they are NaN or infinite."""

from __future__ import annotations

import warnings
from collections import deque
from functools import partial
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents

from monai_debias.constraints import MODULE, Number
from monai_debias.engines.accumulation import steps_now
from monai_debias.losses.nested import present_terms
from monai_debias.parameters import expects
from monai_debias.without_waiting import follow, look, training_step

__all__ = ["GradientClipping"]

# times max_norm; how many of the last steps. At the start of a training a few are normal, and not every step has the
# term that is too large: a heatmap comes with interval or few masks in one step of several
_FAR, _MANY, _LAST = 1000, 20, 200
_ABOVE_CUTS = 1.0  # a foreground term that is larger has a total relevance above C2; of one below C1 it is at most 1


class GradientClipping:
    """Scale the gradients so that their total norm is at most ``max_norm``, before every step of the optimiser.

    Attach it to a ``SupervisedTrainer``. With gradient accumulation it clips the accumulated gradients, once; with
    automatic mixed precision it removes the gradient scaler's factor first. The mean over the epoch of the norms before
    clipping is ``engine.state.metrics["gradient_norm"]``, which ``StatsHandler`` and ``TensorBoardStatsHandler`` show:
    if it lies far above ``max_norm``, clipping determines the size of nearly every step. When the norm was
    above 1000 times ``max_norm`` in 20 of the last 200 steps, a warning names the terms of the loss and what to do;
    once in a training.

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
        self._far: deque[bool] = deque(maxlen=_LAST)
        self._warned = False

    def attach(self, engine: Engine) -> None:
        """Attach to a MONAI trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self._clip)
        follow(engine)

    def _start(self, engine: Engine) -> None:
        self._norms = []

    def _clip(self, engine: Any) -> None:
        if not steps_now(engine):
            return
        scaler = engine.scaler if engine.amp else None
        if scaler is not None:
            scaler.unscale_(engine.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.max_norm)
        with training_step(self):
            loss = torch.as_tensor(engine.state.output["loss"]).detach()
            look(partial(self._note, engine, engine.state.iteration), norm, loss)

    def _note(self, engine: Any, iteration: int, norm_before: torch.Tensor, loss: torch.Tensor) -> None:
        norm, scaler = norm_before.item(), engine.scaler if engine.amp else None
        if norm - norm == 0.0:  # finite
            self._norms.append(norm)
            engine.state.metrics["gradient_norm"] = sum(self._norms) / len(self._norms)
            self._far.append(norm > _FAR * self.max_norm)
            if self._far[-1] and sum(self._far) >= _MANY and not self._warned:
                self._warned = True
                warnings.warn(self._warning(norm, engine, iteration), stacklevel=2)
        elif scaler is None or not scaler.is_enabled():
            raise FloatingPointError(
                f"the norm of the gradients is {norm} in iteration {iteration}: the loss was {loss.item():g}. "
                "Lower the learning rate or the weights of the loss's terms."
            )

    def _warning(self, norm: float, engine: Any, iteration: int) -> str:
        terms = {k: float(v) for k, v in present_terms(getattr(engine, "loss_function", None)).items()}
        shown = f"; the loss's terms are {', '.join(f'{k} {v:.3g}' for k, v in terms.items())}" if terms else ""
        advice = "lower the learning rate or the weight of the largest term, or scale the images."
        if terms.get("foreground", 0.0) > _ABOVE_CUTS:
            advice = (
                "the relevance inside the masks lies above the cuts of ISNetLRPLoss. Scale the images to [0, 1]; if "
                "they are, tune the cuts with RelevanceCutTuning (docs/isnet.md: To tune the cuts), or set "
                "cuts=(C1, C2)."
            )
        return (
            f"the norm of the gradients was above {_FAR} times max_norm ({self.max_norm:g}) in {_MANY} of the last "
            f"{_LAST} steps, {norm:.3g} in iteration {iteration}{shown}. What is left after clipping is "
            f"the direction of the largest term, and the network hardly learns to classify: {advice}"
        )
