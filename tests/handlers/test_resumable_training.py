# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Trainings of a few small images that are killed, run into errors, and are typed again."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.engines import SupervisedEvaluator
from monai.transforms import RandFlipd
from torch.optim.lr_scheduler import ExponentialLR, LRScheduler, ReduceLROnPlateau

from monai_debias.handlers import BestModel, ResumableTraining
from monai_debias.handlers.checkpoint_files import read_record
from tests.handlers.resumable import BATCHES, Training, assert_same, flip, in_a_child, interrupt, spoil_the_weights

_NETWORK = {"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 2}
EXAMPLES = {ResumableTraining: [{"ckpt_dir": "$folder", "objects": {"network": _NETWORK}}]}


@pytest.fixture(scope="module", name="whole")
def fixture_whole(tmp_path_factory) -> Training:
    """A training of three epochs that was never interrupted; the second one was the best."""
    training = Training(tmp_path_factory.mktemp("whole"))
    training.run()
    return training


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_resumed_training_equals_the_uninterrupted_one_bit_for_bit(num_workers, tmp_path, caplog):
    """Also where a process draws its first number after it has been resumed, as the mixing does."""
    whole, cut = (Training(tmp_path / name, 4, num_workers=num_workers) for name in ("whole", "cut"))
    whole.run()
    for seed, iteration in enumerate((BATCHES + 2, 2 * BATCHES + 1)):
        with pytest.raises(KeyboardInterrupt):
            Training(cut.folder, 4, num_workers=num_workers, at={iteration: interrupt}).run(seed)
    with caplog.at_level(logging.INFO):
        cut.run(seed=2)
    assert "resuming after epoch 2" in caplog.text
    assert f"the best model, epoch 4 with {cut.last()['best']['metric']} 0.9: {cut.folder / 'model.pt'}" in caplog.text
    states = [training.last() for training in (cut, whole)]
    for state in states if num_workers else []:
        del state["random"]["processes"][0]["transforms"]  # of the copies here, which have nothing to do
    assert_same(*states)
    assert_same(cut.model(), whole.model())
    assert whole.last()["best"]["epoch"] == 4  # 0.9 again: the later one of equals


def test_a_training_without_a_batch_is_an_error(tmp_path):
    """MONAI's trainer would run nothing, and the command would end with exit code 0 and without a model."""
    with pytest.raises(ValueError, match="12 samples and a batch_size of 32, which gives no batch"):
        Training(tmp_path, batch_size=32, drop_last=True).run()


def kill_at(event: int) -> None:
    """Kill this process at the n-th time that a file is about to be opened for writing, renamed or removed."""
    seen = []

    def hook(name: str, arguments: tuple) -> None:
        writes = name == "open" and "w" in str(arguments[1]) and str(arguments[0]).endswith(".incomplete")
        if writes or (name in ("os.rename", "os.remove") and ".incomplete" in str(arguments[0])):
            seen.append(name)
            if len(seen) == event:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def test_a_kill_at_any_step_of_any_write_loses_nothing(tmp_path, whole):
    """Each run is killed one step later than the one before it; then the same command is typed again."""
    killed = 0
    while True:
        training = Training(tmp_path / str(killed))
        status = in_a_child(lambda: (kill_at(killed + 1), training.run()))  # noqa: B023
        if status == 0:
            break
        assert status == -signal.SIGKILL
        killed += 1
        training.run(seed=1 if (training.folder / "last.pt").exists() else 0)
        assert_same(training.last(), whole.last())
        assert_same(training.model(), whole.model())
        assert sorted(os.listdir(training.folder)) == [".lock", "last.pt", "model.pt"]
    assert killed == 2 * (3 + 2)  # opened and renamed: three times last.pt, two times model.pt


@pytest.mark.parametrize("action", [signal.SIG_DFL, signal.SIG_IGN], ids=["killed", "error"])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_file_that_does_not_fit_on_the_disk_leaves_the_old_state(action, share, tmp_path, whole):
    """A limit of the size of files ends the process in the middle of a write, or, like a full disk, the write."""
    training = Training(tmp_path / "cut", at={BATCHES + 1: lambda engine: limit(training.folder)})

    def limit(folder: Path) -> None:
        signal.signal(signal.SIGXFSZ, action)
        size = int(share * (folder / "last.pt").stat().st_size)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    assert in_a_child(training.run) == (-signal.SIGXFSZ if action is signal.SIG_DFL else 1)
    assert training.last()["trainer"]["iteration"] == BATCHES
    assert_same(training.model(), training.last()["best"]["weights"])
    Training(training.folder).run(seed=1)
    assert_same(training.last(), whole.last())
    assert_same(training.model(), whole.model())


def in_the_weights(path: Path) -> int:
    """Where a file has the weights of the network: the first member of its archive that is as large."""
    with zipfile.ZipFile(path) as archive:
        entry = next(entry for entry in archive.infolist() if entry.file_size == 2 * 16 * 4)
    return entry.header_offset + 200


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda content, place: b"", "is not a checkpoint, or is damaged"),
        (lambda content, place: b"not what it should be", "is not a checkpoint, or is damaged"),
        (lambda content, place: content[:-100], "is not a checkpoint, or is damaged"),
        (lambda content, place: content[: len(content) // 2], "is not a checkpoint, or is damaged"),
        (flip, "is not a checkpoint, or is damaged: the checksum"),
    ],
    ids=["empty", "text", "cut", "half", "flipped"],
)
def test_a_damaged_state_is_named_and_a_damaged_model_is_mended(spoil, message, tmp_path, whole, caplog):
    training = Training(shutil.copytree(whole.folder, tmp_path / "copy"))
    for name in ("model.pt", "last.pt"):
        path = training.folder / name
        path.write_bytes(spoil(path.read_bytes(), in_the_weights(path)))
        if name == "model.pt":
            training.run()
            assert f"{path} {message}" in caplog.text
            assert_same(training.model(), whole.model())
    with pytest.raises(ValueError, match=message) as caught:
        training.run()
    assert str(path) in str(caught.value)
    assert_same(training.model(), whole.model())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda state: state["network"]["2.weight"].fill_(torch.nan),
            r"has NaN in 1 of its tensors, such as network.2",
        ),
        (lambda state: state["trainer"].update(iteration=-5), "it is at iteration -5 of epochs of 3 iterations"),
        (lambda state: state["trainer"].update(iteration=4), "it is at iteration 4 of epochs of 3 iterations"),
        (lambda state: state["trainer"].update(epoch_length=0), "it is at iteration 9 of epochs of 0 iterations"),
        (lambda state: state["trainer"].clear(), "does not belong to this training: 'iteration'"),
        (lambda state: state.pop("optimizer"), "it has the entries"),
        (
            lambda state: state["optimizer"]["param_groups"].clear(),
            "does not belong to this training: loaded state dict has",
        ),
    ],
)
def test_a_state_that_makes_no_sense_is_named(change, message, tmp_path, whole):
    state = whole.last()
    change(state)
    torch.save(state, tmp_path / "last.pt")
    with pytest.raises(ValueError, match=message) as caught:
        Training(tmp_path, 4).run()
    assert str(tmp_path / "last.pt") in str(caught.value)


def test_any_changed_byte_is_noticed_or_does_not_matter(tmp_path):
    from monai_debias.handlers.checkpoint_files import read_checkpoint, write_checkpoint

    state, path = {"weight": torch.arange(3.0), "epoch": 2}, tmp_path / "last.pt"
    write_checkpoint(state, path)
    content, noticed = path.read_bytes(), 0
    for place in range(0, len(content), 5):
        path.write_bytes(flip(content, place))
        with contextlib.suppress(ValueError):
            assert_same(read_checkpoint(path), state)
            continue
        noticed += 1
    assert noticed > len(content) / 20  # the rest is padding, dates and the like


def test_a_missing_or_older_model_is_written_again(tmp_path, whole, caplog):
    training = Training(shutil.copytree(whole.folder, tmp_path / "copy"))
    (training.folder / "model.pt").unlink()
    training.run()
    assert_same(training.model(), whole.model())
    torch.save({name: tensor + 1 for name, tensor in whole.model().items()}, training.folder / "model.pt")
    training.run()
    assert_same(training.model(), whole.model())
    assert "model.pt is not the best model of the training. The file is written again" in caplog.text


def test_a_model_of_unknown_origin_is_not_overwritten(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"precious")
    with pytest.raises(FileExistsError, match="move the model away"):
        Training(tmp_path, 1).run()
    assert (tmp_path / "model.pt").read_bytes() == b"precious"


def test_a_second_training_in_the_folder_is_refused_until_the_first_has_ended(tmp_path):
    """Even if the first one was killed: a lock of a dead process holds nothing."""
    reader, writer = os.pipe()

    def train_and_wait() -> None:
        def wait(engine: Engine) -> None:
            os.write(writer, b".")
            signal.pause()

        Training(tmp_path, num_workers=2, at={BATCHES + 1: wait}).run()

    first = multiprocessing.get_context("fork").Process(target=train_and_wait)
    first.start()
    os.read(reader, 1)
    with pytest.raises(RuntimeError, match=r"another process is training in .*or give another ckpt_dir"):
        Training(tmp_path).run()
    first.kill()
    first.join()
    assert Training(tmp_path).run(seed=1).state.epoch == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"record": {"method": "isnet"}}, "method is 'mixup' there and 'isnet' here"),
        (
            {"record": {"method": "mixup", "class_names": ["A", "B"]}},
            r"class_names is None there and \['A', 'B'\] here",
        ),
        ({"loss": torch.nn.MultiMarginLoss()}, "loss_function is 'MixupLoss' there and 'MultiMarginLoss' here"),
        (
            {"transforms": [RandFlipd("image", 0.5)]},
            "random parts there and not here: RandGaussianNoise, RandGaussianNoised, here",
        ),
        ({"classes": 3}, r"size mismatch for 2.weight.*\[2, 16\]\) from checkpoint.*\[3, 16\]"),
        ({"record": {"method": "isnet"}, "more": ["loss"]}, "method is 'mixup' there and 'isnet' here"),
        ({"more": ["loss"]}, "loss is None there and 'MixupLoss' here"),
        ({"optimizer": torch.optim.SGD}, "optimizer is 'Adam' there and 'SGD' here"),
        (
            {"schedule": lambda optimizer, epochs: ExponentialLR(optimizer, 0.9)},
            "lr_scheduler is 'CosineAnnealingLR' there and 'ExponentialLR' here",
        ),
        ({"metric": "auc"}, "its best model was chosen by score, but the key metric is auc now"),
    ],
)
def test_another_training_does_not_go_on(changes, message, tmp_path, whole):
    shutil.copytree(whole.folder, tmp_path / "copy")
    with pytest.raises(ValueError, match=message) as caught:
        Training(tmp_path / "copy", 4, **changes).run()
    assert f"{tmp_path / 'copy' / 'last.pt'} does not belong to this training" in str(caught.value)
    assert_same(Training(tmp_path / "copy").last(), whole.last())


def rates(training: Training, seed: int = 1) -> list[float]:
    """The learning rate of each epoch that is trained."""
    seen: list[float] = []
    training.at |= {i: lambda e: seen.append(e.optimizer.param_groups[0]["lr"]) for i in range(1, 99, BATCHES)}
    training.run(seed)
    return seen


def cosine(lr: float, epochs: int) -> list[float]:
    return [lr * (1 + np.cos(np.pi * i / epochs)) / 2 for i in range(epochs)]


def test_more_epochs_or_another_rate_go_on_with_the_schedule_of_now(tmp_path, whole, caplog):
    shutil.copytree(whole.folder, tmp_path / "copy")
    assert rates(Training(tmp_path / "copy", 5)) == pytest.approx(cosine(0.01, 5)[3:])
    assert "lr_scheduler.T_max 3 → 5" in caplog.text
    assert "the learning rate goes on with 0.00345492, it was 0." in caplog.text
    shutil.rmtree(tmp_path / "copy")
    shutil.copytree(whole.folder, tmp_path / "copy")
    assert rates(Training(tmp_path / "copy", 5, lr=0.2)) == pytest.approx(cosine(0.2, 5)[3:])
    assert "optimizer[0].lr 0.01 → 0.2" in caplog.text
    caplog.clear()
    assert rates(Training(tmp_path / "copy", 5, lr=0.2)) == []
    assert "has 5 epochs already: nothing is trained" in caplog.text
    assert "settings have changed" not in caplog.text


def by_metric(optimizer: torch.optim.Optimizer, max_epochs: int) -> LRScheduler:
    return ReduceLROnPlateau(optimizer, patience=0)


def test_a_schedule_that_follows_a_metric_goes_on_but_not_with_other_settings(tmp_path):
    assert rates(Training(tmp_path, 2, schedule=by_metric), seed=0) == [0.01, 0.01]
    assert rates(Training(tmp_path, 3, schedule=by_metric)) == [pytest.approx(0.001)]
    with pytest.raises(ValueError, match=r"optimizer\[0\].lr 0.01 → 0.02.*depends on the metrics of all epochs so far"):
        Training(tmp_path, 4, lr=0.02, schedule=by_metric).run()


def test_epochs_count_whatever_their_length(tmp_path, whole, caplog):
    training = Training(shutil.copytree(whole.folder, tmp_path / "copy"), 4, batch_size=6)
    trainer = training.run()
    assert (trainer.state.epoch, trainer.state.iteration) == (4, 8)
    assert training.last()["trainer"]["epoch_length"] == 2
    assert "epochs have 2 iterations and had 3: the data or the batch size have changed" in caplog.text


def test_a_finished_training_is_not_trained_again(tmp_path, whole, caplog):
    training = Training(shutil.copytree(whole.folder, tmp_path / "copy"))
    training.run()
    assert "has 3 epochs already: nothing is trained" in caplog.text
    assert_same(training.last(), whole.last())


def test_weights_that_are_nan_are_neither_saved_nor_the_best(tmp_path, whole):
    """In the last iteration of an epoch no loss shows them any more."""
    with pytest.raises(FloatingPointError, match=r"tensors have NaN at the end of the epoch, such as network.2.weight"):
        Training(tmp_path, at={2 * BATCHES: spoil_the_weights}).run()
    assert torch.load(tmp_path / "last.pt", weights_only=True)["best"]["epoch"] == 1
    training = Training(tmp_path)
    training.run(seed=1)
    assert_same(training.last(), whole.last())


def test_logits_that_are_nan_stop_the_training_and_keep_the_last_epoch(tmp_path, whole):
    with pytest.raises(
        FloatingPointError, match=r"predictions is nan in iteration 5 \(epoch 2\): the images are finite"
    ):
        Training(tmp_path, at={4: spoil_the_weights}).run()
    training = Training(tmp_path)
    training.run(seed=1)
    assert_same(training.last(), whole.last())


def test_bad_arguments_get_a_clear_error(tmp_path):
    network = torch.nn.Linear(1, 1)
    with pytest.raises(ValueError, match=r"objects has the names best, trainer, which other parts"):
        ResumableTraining(tmp_path, {"network": network, "trainer": network, "best": network})
    with pytest.raises(ValueError, match="has no key_val_metric"):
        SupervisedEvaluator("cpu", [], network, val_handlers=[BestModel(network)])
    with pytest.raises(TypeError, match="not JSON serializable"):
        Training(tmp_path, 1, record={"folder": tmp_path}).run()


def test_the_model_has_the_record_of_its_training(tmp_path):
    """As it was when it was the best, and again after the file has been restored; other programs load the weights."""
    Training(tmp_path, 3, record={"method": "mixup", "image_size": (4, 4)}).run()
    record = read_record(tmp_path / "model.pt")
    assert record is not None
    assert (record["method"], record["image_size"]) == ("mixup", [4, 4])
    assert record["best"] == {"metric": "score", "score": 0.9, "epoch": 2}
    assert record["versions"]["torch"] == torch.__version__
    (tmp_path / "model.pt").unlink()
    Training(tmp_path, 4, record={"method": "mixup", "image_size": (4, 4)}).run()
    assert read_record(tmp_path / "model.pt") == {**record, "best": {"metric": "score", "score": 0.9, "epoch": 4}}
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(), torch.nn.Linear(16, 2))
    network.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True, mmap=True))
