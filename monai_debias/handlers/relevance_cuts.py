# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Find the cuts C1 and C2 of an ISNet's foreground loss from the relevance of a plain classifier."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents
from monai.utils import CommonKeys

from monai_debias.attached import attach, take_apart
from monai_debias.constraints import ANY, Instance, Integer
from monai_debias.distributed import gathered
from monai_debias.engines.step_kind import inferers_of
from monai_debias.inferers.isnet import ISNetInferer
from monai_debias.losses.cuts import cuts_of_plain_classifier
from monai_debias.losses.nested import part_with
from monai_debias.parameters import expects
from monai_debias.without_waiting import follow, look, training_step

__all__ = ["RelevanceCutTuning"]


class RelevanceCutTuning:
    """Train the plain classifier for a few epochs, then set the cuts of the loss from its relevance.

    In the first ``epochs`` epochs the relevance weight P is 0. Only the last of them computes heatmaps, and collects
    each explained sample's total absolute relevance (the whole map, all channels). The cuts of every map and every
    supervised layer follow from its mean and standard deviation over all processes of a distributed training
    (:func:`monai_debias.losses.cuts.cuts_of_plain_classifier`). Then P and the heatmaps are set back to what they were.

    Attach it before ``ResumableTraining``, and list both this handler and the loss, which holds the cuts, among the
    ``objects`` of that. A ``RelevanceWeightSchedule`` must begin after it: ``delay=epochs``.

    Args:
        inferer: the trainer's ``ISNetInferer``.
        loss: the trainer's ``ISNetLRPLoss``, or one that has it inside.
        epochs: number of plain epochs, 1 or more.

    Raises:
        ValueError: when ``epochs`` is below 1; in the training, when the inferer is not the trainer's, when there are
            fewer than two explained samples, or their relevance is 0 or the same for all.
        TypeError: when no loss has a ``relevance_weight`` and ``set_cuts``.
        FloatingPointError: when a sample's relevance is not finite.
        RuntimeError: when P is not 0 in a plain epoch because something else sets it, or when a training is resumed
            after the plain epochs without the state of this handler.

    Reference:
        Bassi et al., Nature Communications 2024 (ISNet), which tunes the cuts by these formulas.

    Example:
        >>> from monai.engines import SupervisedTrainer
        >>> from monai_debias.engines import PrepareBatchAttached
        >>> from monai_debias.losses import ISNetLRPLoss
        >>> network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 8), torch.nn.Flatten())
        >>> inferer, loss = ISNetInferer(), ISNetLRPLoss()
        >>> batch = {"image": torch.rand(8, 1, 8, 8), "label": torch.arange(8) % 2, "mask": torch.ones(8, 1, 8, 8)}
        >>> tuning = RelevanceCutTuning(inferer, loss, epochs=1)
        >>> trainer = SupervisedTrainer(
        ...     device="cpu", max_epochs=1, train_data_loader=[batch], network=network, loss_function=loss,
        ...     optimizer=torch.optim.SGD(network.parameters(), lr=0.1), prepare_batch=PrepareBatchAttached(),
        ...     inferer=inferer, train_handlers=[tuning],
        ... )
        >>> trainer.run()
        >>> tuning.state_dict()
        {'tuned': True}
    """

    @expects(inferer=Instance(ISNetInferer), loss=ANY, epochs=Integer("[1, inf)"))
    def __init__(self, inferer: ISNetInferer, loss: Any, epochs: int = 5) -> None:
        self.inferer = inferer
        self.loss = part_with(loss, "relevance_weight", "set_cuts")
        self.epochs = epochs
        self.tuned = False
        self._normal = (self.loss.relevance_weight, inferer.active)
        self._totals: dict[str, _Moments] = {}
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: Engine) -> None:
        """Attach to a MONAI trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._start_epoch)
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._end_epoch)
        follow(engine)

    def state_dict(self) -> dict[str, Any]:
        """Whether the cuts are tuned; the cuts themselves are in the state of the loss."""
        return {"tuned": self.tuned}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave."""
        self.tuned = bool(state["tuned"])

    def _start_epoch(self, engine: Engine) -> None:
        if self.tuned:
            return
        if self.inferer not in inferers_of(engine):
            raise ValueError(
                "the inferer of RelevanceCutTuning is not that of the trainer it is attached to: give both the same "
                "ISNetInferer."
            )
        if engine.state.epoch > self.epochs:
            raise RuntimeError(
                f"epoch {engine.state.epoch} begins, but the cuts were not tuned in epoch {self.epochs}: list this "
                "handler and the loss among the objects of ResumableTraining, and attach that after this handler."
            )
        self.loss.relevance_weight = 0.0
        self.inferer.active = engine.state.epoch == self.epochs
        self._totals = {}  # of an epoch that was interrupted

    def _collect(self, engine: Engine) -> None:
        if self.tuned:
            return
        if self.loss.relevance_weight != 0.0:
            raise RuntimeError(
                f"relevance_weight (P) is {self.loss.relevance_weight:g} in the plain epoch {engine.state.epoch}: "
                f"something else sets it; a RelevanceWeightSchedule needs delay={self.epochs} here."
            )
        output: Any = engine.state.output  # ignite leaves the types open
        logits, parts = take_apart(output[CommonKeys.PRED])
        heatmap = parts.pop("heatmap", None)  # saves the loss from computing terms whose weight is 0
        output[CommonKeys.PRED] = attach(logits, **parts)
        if heatmap is None:
            return
        with training_step(self):
            for layer, relevance in (heatmap if isinstance(heatmap, Mapping) else {_INPUT: heatmap}).items():
                look(partial(self._add, layer, engine.state.iteration), relevance.detach().abs().flatten(2).sum(2))

    def _add(self, layer: str, iteration: int, sums: torch.Tensor) -> None:
        """Take in the total absolute relevance of each row and map, (R, maps)."""
        totals = sums.double()
        if not bool(totals.isfinite().all()):
            raise FloatingPointError(
                f"the relevance at {layer!r} is not finite in iteration {iteration} of the plain classifier: training "
                "has diverged, or ε is too small for this network."
            )
        moments = _Moments(len(totals), totals.mean(0), totals.var(0, correction=0) * len(totals))
        self._totals[layer] = self._totals[layer].merge(moments) if layer in self._totals else moments

    def _end_epoch(self, engine: Engine) -> None:
        if self.tuned or engine.state.epoch < self.epochs:
            return
        merged: dict[str, _Moments] = {}
        for totals in gathered([self._totals]):  # a process may have seen no sample with a mask
            for layer, moments in totals.items():
                merged[layer] = merged[layer].merge(moments) if layer in merged else moments
        if not merged:
            raise ValueError(
                f"epoch {self.epochs} had no sample with a heatmap to tune the cuts from; are there masks in the "
                "training set, and do the flags of its batches say so?"
            )
        cuts = {layer: moments.cuts(layer) for layer, moments in merged.items()}
        self.loss.set_cuts(cuts[_INPUT] if cuts.keys() == {_INPUT} else cuts)
        self.loss.relevance_weight, self.inferer.active = self._normal
        self.tuned = True
        for layer, pairs in cuts.items():
            text = ", ".join(f"C1 = {low:.4g} and C2 = {high:.4g}" for low, high in pairs.tolist())
            self.logger.info("cuts at %s from %d samples: %s", layer, merged[layer].count, text)


_INPUT = "input"


@dataclass
class _Moments:
    """Count, mean and sum of squared deviations of each map, float64 of shape (maps,); merging does not cancel."""

    count: int
    mean: torch.Tensor
    squares: torch.Tensor

    def merge(self, other: _Moments) -> _Moments:
        count, step = self.count + other.count, other.mean - self.mean
        squares = self.squares + other.squares + step.square() * (self.count * other.count / count)
        return _Moments(count, self.mean + step * (other.count / count), squares)

    def cuts(self, layer: str) -> torch.Tensor:
        """Pairs (C1, C2), shape (maps, 2)."""
        if self.count < 2:
            raise ValueError(
                f"the cuts at {layer!r} need a mean and a standard deviation, but only {self.count} sample had a "
                "heatmap; give more samples with masks."
            )
        try:
            return cuts_of_plain_classifier(self.mean, (self.squares / (self.count - 1)).sqrt())
        except ValueError as error:
            raise ValueError(f"at {layer!r}, over {self.count} samples, {error}") from None
