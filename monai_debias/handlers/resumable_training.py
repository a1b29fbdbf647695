# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Save the state of a training after every epoch, and resume from it after an interruption."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint

from monai_debias.constraints import ANY, NONE, PATH, STRING, Having, Instance, MappingOf
from monai_debias.distributed import is_first
from monai_debias.files import remove_leftovers
from monai_debias.handlers.best_model import BestModel
from monai_debias.handlers.checkpoint_files import misfit, names_of_nan, read_checkpoint, write_checkpoint
from monai_debias.handlers.random_states import RandomStates
from monai_debias.handlers.schedule_settings import ScheduleSettings
from monai_debias.handlers.training_record import TrainingRecord
from monai_debias.networks import unwrapped
from monai_debias.parameters import expects
from monai_debias.recipe import package_versions, plain_values
from monai_debias.without_waiting import follow

__all__ = ["ResumableTraining"]


class ResumableTraining:
    """Save ``last.pt`` after every epoch, and start from it if the directory has one.

    ``last.pt`` is the whole state: the objects, the epoch, the random states, and the best model with its metric. It
    replaces the old one in one step, so that a kill at any moment, or a full disk, leaves a state to resume from.
    ``model.pt``, the weights of the best model alone, is written after it, and written again from it if it is missing
    or damaged. It has ``record`` in it, with the epoch and the score of the model and the versions of the packages, by
    which :class:`ModelLoader` refuses to use the weights otherwise than they were trained.

    A resumed training gives the weights of an uninterrupted one, bit for bit on the CPU, with any ``num_workers``. The
    exceptions are ``persistent_workers``, and data sets that change from epoch to epoch, such as ``SmartCacheDataset``.
    Changed options take effect from the next epoch on, see
    :class:`~monai_debias.handlers.schedule_settings.ScheduleSettings`; the epochs are counted whatever their length.

    Attach it after the handlers that validate and that step the learning rate. The folder is locked until the training
    is complete or its process has ended. In distributed training the first process writes.

    Args:
        ckpt_dir: directory of the two files; created if it is missing.
        objects: what to save and restore besides the trainer: ``{name: object with state_dict and load_state_dict}``.
        best_model: the :class:`BestModel` of the validation, for ``model.pt``.
        record: what must be the same when the training resumes and when the model is used, in plain values, such as
            ``{"class_names": ["A2C", "A4C"], "seed": 0}``, see also :mod:`monai_debias.recipe`; the types of
            ``objects``, the loss, the random transforms and the like must be the same for resuming anyway.

    Raises:
        ValueError: when ``objects`` has a name that is taken; when the trainer's data loader has no batch; on resuming,
            when ``last.pt`` is damaged, or belongs to another training, network or method; it says to which.
        TypeError: when ``record`` has values that JSON does not have.
        FileExistsError: when ``ckpt_dir`` has a ``model.pt`` but no ``last.pt``, so that the training would overwrite a
            model of unknown origin; raised before the first epoch.
        RuntimeError: when another process trains in ``ckpt_dir``.
        FloatingPointError: when the state has a NaN after an epoch; the files stay as they were.

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

    @expects(
        ckpt_dir=PATH,
        objects=MappingOf(Having("state_dict", "load_state_dict"), key=STRING, least=1),
        best_model=NONE | Instance(BestModel),
        record=NONE | MappingOf(ANY, key=STRING),
    )
    def __init__(
        self,
        ckpt_dir: str | Path,
        objects: Mapping[str, Any],
        best_model: BestModel | None = None,
        record: Mapping[str, Any] | None = None,
    ) -> None:
        taken = sorted({"record", "best", "settings", "random", "scaler", "trainer"} & objects.keys())
        if taken:
            raise ValueError(
                f"objects has the names {', '.join(taken)}, which other parts of the saved state have; rename them."
            )
        self.ckpt_dir = Path(ckpt_dir)
        self.objects = dict(objects)
        self.best_model = best_model
        self.record = dict(record or {})
        self.lock: FileLock | None = None
        self.logger = logging.getLogger(type(self).__name__)
        self._settings = ScheduleSettings(objects)  # before anything is trained
        self._written: Mapping[str, Any] = {}  # the weights in model.pt

    @property
    def last(self) -> Path:
        """Path of the state to resume from."""
        return self.ckpt_dir / "last.pt"

    @property
    def model(self) -> Path:
        """Path of the best model's weights."""
        return self.ckpt_dir / "model.pt"

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        if engine.state.epoch_length == 0:  # a MONAI trainer would run nothing, and end as if it were complete
            loader = engine.data_loader  # type: ignore[attr-defined]
            raise ValueError(
                f"the data loader of the training has {len(loader.sampler)} samples and a batch_size of "
                f"{loader.batch_size}, which gives no batch, since drop_last leaves out an incomplete one. "
                "Lower the batch_size."
            )
        follow(engine)
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._save)
        engine.add_event_handler(Events.COMPLETED, self._end)

    def _state(self, engine: Engine) -> dict[str, Any]:
        """What ``last.pt`` is made of, in the order in which it is restored."""
        parts = {n: unwrapped(v) if isinstance(v, torch.nn.Module) else v for n, v in self.objects.items()}
        return {
            "record": TrainingRecord(engine, self.record, parts),
            **self.objects,
            **({} if self.best_model is None else {"best": self.best_model}),
            "settings": self._settings,
            "random": RandomStates(engine),
            "scaler": _Scaler(engine),
            "trainer": engine,
        }

    def _save(self, engine: Engine) -> None:
        Checkpoint(self._state(engine), self._write, filename_pattern=self.last.name)(engine)

    def _write(self, checkpoint: Mapping[str, Any], *_: Any) -> None:
        if not is_first():
            return
        names = names_of_nan(checkpoint)
        if names:
            raise FloatingPointError(
                f"{len(names)} tensors have NaN at the end of the epoch, such as {', '.join(names[:3])}: "
                f"{self.last} stays as it was before. Lower the learning rate or the weights of the loss's terms."
            )
        write_checkpoint(checkpoint, self.last)
        if self.best_model is not None and self.best_model.weights is not self._written:
            self._write_model(self.best_model.weights)

    def _write_model(self, weights: Mapping[str, Any]) -> None:
        if weights and self.best_model is not None:  # nothing has been validated yet otherwise
            best = {name: value for name, value in self.best_model.state_dict().items() if name != "weights"}
            write_checkpoint(
                weights, self.model, {**plain_values(self.record), "best": best, "versions": package_versions()}
            )
        self._written = weights

    def _start(self, engine: Engine) -> None:
        if is_first():
            self.ckpt_dir.mkdir(parents=True, exist_ok=True)
            self._lock()
            for path in remove_leftovers(self.ckpt_dir):
                self.logger.info("removed %s, which an interrupted training left", path)
        if self.last.exists():
            self._resume(engine)
        elif self.best_model is not None and self.model.exists():
            raise FileExistsError(
                f"{self.model} exists, but there is no {self.last.name} to resume from: move the model away or give "
                "another ckpt_dir."
            )

    def _lock(self) -> None:
        self.lock = FileLock(self.ckpt_dir / ".lock", timeout=0, is_singleton=True)
        try:
            self.lock.acquire()
        except Timeout as error:
            raise RuntimeError(
                f"another process is training in {self.ckpt_dir}: wait until it ends, or give another ckpt_dir."
            ) from error

    def _end(self) -> None:
        best = self.best_model
        if is_first() and best is not None and best.score is not None:
            self.logger.info(
                "the best model, epoch %d with %s %.4g: %s", best.epoch, best.metric, best.score, self.model
            )
        if self.lock is not None:
            self.lock.release(force=True)

    def _resume(self, engine: Engine) -> None:
        state = read_checkpoint(self.last)
        try:
            self._load(engine, state)
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(
                f"{self.last} does not belong to this training: {misfit(error)}\n"
                "Give another ckpt_dir to begin a new one."
            ) from error
        self._restore_model()
        max_epochs, epoch = engine.state.max_epochs, engine.state.epoch
        if max_epochs is not None and epoch >= max_epochs:
            self.logger.warning(
                "%s has %d epochs already: nothing is trained. Raise max_epochs to go on, or give another ckpt_dir.",
                self.ckpt_dir,
                epoch,
            )
        else:
            self.logger.info("resuming after epoch %d from %s", epoch, self.last)

    def _load(self, engine: Engine, state: dict[str, Any]) -> None:
        wanted = self._state(engine)
        wanted["record"].load_state_dict(state.get("record", {}))  # whose error says most about another training
        if state.keys() != wanted.keys():
            raise ValueError(f"it has the entries {sorted(state)}, expected {sorted(wanted)}.")
        epoch, length = _position(state["trainer"])
        for name, value in wanted.items():
            if name not in ("record", "trainer"):
                Checkpoint.load_objects({name: value}, {name: state[name]})
        # the present length, not the saved one
        engine.state.epoch_length = engine.state.epoch_length or length
        if engine.state.epoch_length != length:
            self.logger.warning(
                "epochs have %d iterations and had %d: the data or the batch size have changed.",
                engine.state.epoch_length,
                length,
            )
        engine.state.epoch, engine.state.iteration = epoch, epoch * engine.state.epoch_length

    def _restore_model(self) -> None:
        """Make ``model.pt`` the best model of ``last.pt``, in case the training was interrupted between the two."""
        if self.best_model is None or not is_first():
            return
        weights = self.best_model.weights
        if not weights and self.model.exists():
            raise FileExistsError(f"{self.model} exists, but {self.last} has no best model yet: move the former away.")
        problem = _problem(self.model, weights) if weights else ""
        if problem:
            self.logger.warning("%s The file is written again from %s.", problem, self.last)
            self._write_model(weights)
        self._written = weights


class _Scaler:
    """The gradient scaler of a trainer with automatic mixed precision, which another device may not have."""

    def __init__(self, engine: Engine) -> None:
        self.scaler = getattr(engine, "scaler", None)

    def state_dict(self) -> dict[str, Any]:
        return {} if self.scaler is None else self.scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self.scaler is not None and state:
            self.scaler.load_state_dict(state)


def _position(trainer: Mapping[str, Any]) -> tuple[int, int]:
    """Epochs done, and the iterations of each."""
    iteration, length = trainer["iteration"], trainer["epoch_length"]
    if length < 1 or iteration < 0 or iteration % length:
        raise ValueError(
            f"it is at iteration {iteration} of epochs of {length} iterations, expected the end of an epoch."
        )
    return iteration // length, length


def _problem(path: Path, weights: Mapping[str, Any]) -> str:
    """What is wrong with the file of the best model, if anything."""
    try:
        found = read_checkpoint(path)
    except (OSError, ValueError) as error:
        return str(error)
    same = found.keys() == weights.keys() and all(_equal(found[name], weights[name]) for name in weights)
    return "" if same else f"{path} is not the best model of the training."


def _equal(a: Any, b: Any) -> bool:
    return torch.equal(a, b) if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) else a == b
