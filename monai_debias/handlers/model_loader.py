# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Load the weights for evaluation or inference, if the file is what was written and is used as it was trained."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint

from monai_debias.constraints import ANY, MODULE, NONE, PATH, STRING, MappingOf
from monai_debias.handlers.checkpoint_files import misfit, read_checkpoint, read_record
from monai_debias.parameters import expects
from monai_debias.recipe import differences, package_versions, plain_values

__all__ = ["ModelLoader"]

_NESTED = ("model", "state_dict")  # where other programs put the weights, beside the state of an optimizer, say
_AT_MOST = 3  # differences of one entry that are told


class ModelLoader:
    """Load the weights of a network from a file such as ``model.pt`` when an engine starts, after verifying the file.

    It takes the place of MONAI's ``CheckpointLoader``, which does not notice a changed byte, so that a damaged model
    would still predict, and whose errors do not name the file. Nor does it notice that images have another size than in
    the training, or that the classes have other names: here this is an error, if :class:`ResumableTraining` wrote the
    file. Weights of another program have no record, and get a warning; a ``note`` in the record is one as well.

    Args:
        path: the file, a state dict of the network, or a dictionary that has one under "model" or "state_dict".
        network: the network; if it is wrapped for several processes, the network inside is loaded.
        record: how the network is used, in plain values, to be compared with those that the file has under the same
            names, see :mod:`monai_debias.recipe`; None compares nothing.
        made_by: the command that makes the file, which the error names if the file is missing.

    Raises:
        TypeError: when ``record`` has values that JSON does not have.
        FileNotFoundError: when the engine starts and there is no such file.
        ValueError: when the engine starts and the file is damaged, has NaN, belongs to another network, or was trained
            with another record; it names the file, and what was trained and what is asked for.

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

    @expects(path=PATH, network=MODULE, record=NONE | MappingOf(ANY, key=STRING), made_by=NONE | STRING)
    def __init__(
        self,
        path: str | os.PathLike,
        network: torch.nn.Module,
        record: Mapping[str, Any] | None = None,
        made_by: str | None = None,
    ) -> None:
        self.path = Path(path)
        self.network = network
        self.record = plain_values(record or {})
        self.made_by = made_by

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator or a trainer."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Load the weights."""
        if not self.path.exists():
            how = f" by\n    {self.made_by}\n" if self.made_by else ", "
            raise FileNotFoundError(f"{self.path} does not exist: train the model{how}or give the path of another one.")
        weights = read_checkpoint(self.path)
        if {"trainer", "network"} <= weights.keys():
            raise ValueError(
                f"{self.path} is the state of a training, to resume from, and not a model: give "
                f"{self.path.with_name('model.pt')}, which has the weights of its best epoch."
            )
        weights = next((weights[name] for name in _NESTED if isinstance(weights.get(name), Mapping)), weights)
        trained = read_record(self.path)
        self._compare(engine, trained)
        try:
            Checkpoint.load_objects({"network": self.network}, {"network": weights})
        except (RuntimeError, TypeError, ValueError) as error:
            raise ValueError(
                f"{self.path} is not a model of this network: {misfit(error)}\nUse the network and the classes that it "
                "was trained with, in a bundle network_def and class_names."
            ) from error
        engine.logger.info("loaded the model from %s%s", self.path, _origin(trained or {}))
        if note := (trained or {}).get("note"):
            engine.logger.warning("%s: %s", self.path, note)

    def _compare(self, engine: Engine, trained: Mapping[str, Any] | None) -> None:
        """Refuse a use that the model was not trained for."""
        unknown = [name for name in self.record if name not in (trained or {})]
        if unknown:
            engine.logger.warning(
                "%s does not say what it was trained with, so that %s cannot be checked: make sure that they are those "
                "of the training.",
                self.path,
                ", ".join(unknown),
            )
        known = {name: value for name, value in self.record.items() if name not in unknown}
        found = list(differences({name: (trained or {})[name] for name in known}, known))
        if (trained or {}).get("versions") != package_versions():  # of which one may have settings that the other lacks
            found = [(n, a, b) for n, a, b in found if None not in (a, b) or isinstance(a or b, dict)]
        if found:
            raise ValueError(
                f"{self.path} was trained otherwise than it is used here:\n{_told(found)}\nUse what it was trained "
                f"with{_options(found)}, or train a model for the present use."
            )


def _told(found: list[tuple[str, Any, Any]]) -> str:
    """A line for each difference, not more than a few of one entry."""
    lines = []
    for _, group in groupby(found, key=lambda difference: difference[0].split(".")[0]):
        several = list(group)
        lines += [f"- {n}: {_shown(then)} in the training, {_shown(now)} here" for n, then, now in several[:_AT_MOST]]
        lines += [f"- and {len(several) - _AT_MOST} further differences of it"] if len(several) > _AT_MOST else []
    return "\n".join(lines)


def _shown(value: Any) -> str:
    return "absent" if value is None else "present" if isinstance(value, dict) else repr(value)


def _options(found: list[tuple[str, Any, Any]]) -> str:
    """What to type in a bundle, for the entries that are options of its command line."""
    options = [f'--{name} "{then}"' for name, then, _ in found if "." not in name and then is not None]
    return f", in a bundle {' '.join(options)}" if options else ""


def _origin(trained: Mapping[str, Any]) -> str:
    """Which training the weights are of, as far as the file says so."""
    best, method = trained.get("best") or {}, trained.get("method")
    epoch = f"epoch {best['epoch']}, {best['metric']} {best['score']:.4g}" if best else ""
    told = ", ".join(filter(None, [method, epoch]))
    return f" ({told})" if told else ""
