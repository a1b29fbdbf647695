# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""An audit at the end of a training."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events

from monai_debias.audit.answers import Normalize
from monai_debias.audit.checks.check import Check
from monai_debias.audit.results import write_results
from monai_debias.audit.run import audit
from monai_debias.audit.sentences import headline, sentence
from monai_debias.constraints import MODULE, PATH
from monai_debias.distributed import alone, is_first
from monai_debias.parameters import constraints_of, expects

__all__ = ["AuditHandler"]


class AuditHandler:
    """Audit the network when a training has ended, and write the page, the numbers and the table of the audit.

    Attach it to the trainer, or to the evaluator of a test. The verdicts are in the log, and ``state.audit`` of the
    engine is the :class:`~monai_debias.audit.run.Audit`, of which
    :func:`~monai_debias.audit.audit_figure` makes a figure for TensorBoard or MLflow. With several
    processes the first one audits alone.

    Args:
        network: the network that is trained; it may be wrapped for several processes.
        dataset: as in :func:`~monai_debias.audit.audit`, the validation images, or others not trained with.
        output_dir: folder of ``audit.html``, ``audit.json`` and ``images.csv``.
        task: "softmax", "binary" or "multi_label".
        class_names: names of the classes.
        attributes: keys of attributes in the items.
        normalize: what is done to a batch of images before the network.
        checks: the checks to do; by default all.
        significance: α, the chance that a network without a shortcut is accused of one.
        seed: seed of all that is drawn.

    Raises:
        ValueError: at the end of the run, as :func:`~monai_debias.audit.audit`.

    Example:
        >>> import tempfile, torch
        >>> items = [{"image": torch.rand(1, 8, 8), "label": i % 2, "scanner": "ab"[i % 3 // 2]} for i in range(60)]
        >>> network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
        >>> trainer = Engine(lambda engine, batch: None)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     AuditHandler(network, items, folder, attributes=["scanner"]).attach(trainer)
        ...     _ = trainer.run([0])
        ...     sorted(os.listdir(folder))
        ['audit.html', 'audit.json', 'images.csv']
    """

    @expects(
        network=MODULE,
        output_dir=PATH,
        **{
            name: constraint
            for name, constraint in constraints_of(audit).items()
            if name in ("dataset", "task", "class_names", "attributes", "normalize", "checks", "significance", "seed")
        },
    )
    def __init__(
        self,
        network: torch.nn.Module,
        dataset: Sequence[Any],
        output_dir: str | os.PathLike,
        task: str = "softmax",
        class_names: Sequence[str] | None = None,
        attributes: Sequence[str] = (),
        normalize: Normalize | None = None,
        checks: Sequence[Check] | None = None,
        significance: float = 0.01,
        seed: int = 0,
    ) -> None:
        self.network = network
        self.dataset = dataset
        self.output_dir = Path(output_dir)
        self.options = {
            "task": task,
            "class_names": class_names,
            "attributes": attributes,
            "normalize": normalize,
            "checks": checks,
            "significance": significance,
            "seed": seed,
        }

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer or an evaluator."""
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Audit, log and write."""
        if not is_first():
            return
        with alone():
            found = audit(self.network, self.dataset, **self.options)  # type: ignore[arg-type]
        for one in found.findings:
            if one.level != "described":
                engine.logger.info("%s: %s", headline(one), sentence(one))
        engine.state.audit = found  # type: ignore[attr-defined] # ignite's state takes any attribute
        write_results(found, self.output_dir, "the network at the end of the training")
