# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Warn of an ISNet whose heatmaps are clean and whose decisions follow the background."""

from __future__ import annotations

import logging
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from monai.engines.utils import IterationEvents
from monai.utils import CommonKeys

from monai_debias.attached import attached
from monai_debias.constraints import STRING, Instance, Number
from monai_debias.distributed import is_first
from monai_debias.masks import pool_mask, rows_with_mask
from monai_debias.parameters import expects

__all__ = ["GuardSwapConsistency"]

_WORSE = 0.05  # how much consistency falls until it is said again


class GuardSwapConsistency:
    """Warn when the heatmaps of an ISNet are clean while another background changes its decisions.

    A heatmap shows what speaks for a class. It does not show a mark that switches units off: a network can take all
    relevance out of the background and still decide by it. The swap consistency shows that. After each validation this
    handler compares it with the share of relevance outside the masks, in the training's heatmaps since the last
    validation. It logs a warning with both numbers and what to do, once, and again whenever the consistency has fallen
    by another 5 points. A training without heatmaps gets no warning. In distributed training only the main process
    warns, about its own heatmaps. A resumed training may repeat a warning.

    Attach it to the trainer, whose losses take heatmaps of an ``ISNetInferer``.

    Args:
        evaluator: the validation, one of whose metrics is a ``BackgroundSwapConsistency``.
        metric: the name of that metric.
        clean: heatmaps are clean up to this share of relevance outside the masks.
        consistent: decisions are consistent from this share that survives another background.

    Raises:
        KeyError: after a validation that has no such metric.

    Reference:
        The share is that of the energy-based pointing game, Wang et al., Score-CAM, CVPR workshops 2020.

    Example:
        >>> from monai.engines import SupervisedEvaluator
        >>> from monai_debias.handlers import BackgroundSwapConsistency
        >>> network = torch.nn.Flatten()
        >>> batch = {"image": torch.eye(2)[:, None], "label": torch.tensor([0, 1]), "mask": torch.ones(2, 1, 2).int()}
        >>> evaluator = SupervisedEvaluator(
        ...     torch.device("cpu"), [batch], network,
        ...     key_val_metric={"swap_consistency": BackgroundSwapConsistency(network, [batch])},
        ... )
        >>> guard = GuardSwapConsistency(evaluator, "swap_consistency")  # for the trainer's train_handlers
    """

    @expects(evaluator=Instance(Evaluator), metric=STRING, clean=Number("[0, 1]"), consistent=Number("[0, 1]"))
    def __init__(
        self,
        evaluator: Evaluator,
        metric: str = "val_swap_consistency",
        clean: float = 0.05,
        consistent: float = 0.95,
    ) -> None:
        self.evaluator = evaluator
        self.metric = metric
        self.clean = clean
        self.consistent = consistent
        self.logger = logging.getLogger(type(self).__name__)
        self._relevance: torch.Tensor | None = None  # outside the masks, and all of it
        self._said = consistent + _WORSE

    def attach(self, engine: Engine) -> None:
        """Attach to a MONAI trainer."""
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self._look_at_heatmaps)
        self.evaluator.add_event_handler(Events.COMPLETED, self._compare, engine)

    def _look_at_heatmaps(self, engine: Engine) -> None:
        output: Any = engine.state.output  # ignite leaves the types open
        heatmap = attached(output[CommonKeys.PRED], "heatmap")
        heatmap = heatmap.get("input") if isinstance(heatmap, dict) else heatmap
        mask, has_mask = (attached(output[CommonKeys.LABEL], name) for name in ("mask", "has_mask"))
        if heatmap is None or mask is None:
            return
        region = pool_mask(mask.as_subclass(torch.Tensor) != 0, heatmap.shape[3:])
        if has_mask is not None:
            region = region[rows_with_mask(has_mask.as_subclass(torch.Tensor).to(region.device), len(heatmap))]
        amount = heatmap.detach().double().abs().nan_to_num(0, 0, 0)
        both = torch.stack([(amount * ~region[:, None]).sum(), amount.sum()])
        self._relevance = both if self._relevance is None else self._relevance + both  # on the device: nothing waits

    def _compare(self, trainer: Engine) -> None:
        relevance, self._relevance = self._relevance, None
        if relevance is None or not is_first():
            return
        metrics = self.evaluator.state.metrics
        if self.metric not in metrics:
            raise KeyError(
                f"the validation has no metric {self.metric!r}, it has {', '.join(metrics) or 'none'}: give it a "
                "BackgroundSwapConsistency under that name."
            )
        outside, total = relevance.tolist()
        share, consistency = outside / total if total else 0.0, float(metrics[self.metric])
        if share > self.clean or consistency >= self.consistent or consistency > self._said - _WORSE:
            return
        self._said = consistency
        self.logger.warning(
            "epoch %d: only %.1f %% of the relevance lies outside the masks, but another background changes %.1f %% of "
            "the decisions (swap consistency %.3f). The network decides by the background in a way that no heatmap "
            "shows: heatmaps alone cannot be trusted here. Choose the epoch by accuracy times swap consistency "
            "(select_by_swap), and add BackMix or background consistency to the training.",
            trainer.state.epoch,
            100 * share,
            100 * (1 - consistency),
            consistency,
        )
