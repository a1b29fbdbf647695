# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A few seconds of the evidence: every kind of method trains and is evaluated, and the page is made of the results."""

from __future__ import annotations

import copy
import os
import runpy
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from benchmarks import csv_file
from benchmarks.csv_file import ROOT, append, made_by, read
from benchmarks.evidence import tuning
from benchmarks.evidence.command import main
from benchmarks.evidence.processes import record
from benchmarks.evidence.report import report
from benchmarks.evidence.testbeds import TESTBEDS, biased_mnist, colored_mnist
from benchmarks.evidence.testbeds.biased_mnist import load
from benchmarks.evidence.training import Judge, Training, Validation
from benchmarks.evidence.verdict import ranking
from monai_debias.demo.biased_mnist import BiasedMNIST

BUDGET = biased_mnist.Budget(images=64, epochs=1, evaluated=20, explained=16, judged=15, batch=32)
SHARES = (*biased_mnist.SPLITS, "worst_group", *biased_mnist.AXES, "validation_accuracy", "attention_rule_deceiving")


@pytest.mark.parametrize("method", list(TESTBEDS["biased_mnist"].methods))
def test_every_method_trains_and_is_judged(method):
    row = biased_mnist.run(method, 0, budget=BUDGET)
    assert all(0 <= row[column] <= 1 for column in SHARES)
    assert row["seconds"] > 0
    assert row["epoch"] == 1


def test_results_are_kept_and_reported(tmp_path):
    file = tmp_path / "biased_mnist.csv"
    measured = biased_mnist.run("plain", 0, budget=BUDGET)
    assert read(file) == []
    for method in ("plain", "isnet"):
        for seed in range(3):
            better = {"same": 1.0, "deceiving": 0.05 if method == "plain" else 0.9 + seed / 100, "pointing_game": 0.1}
            row = {
                **made_by(),
                "method": method,
                "seed": seed,
                "strength": 1.0,
                **measured,
                **better,
                "run_seconds": 1800,
            }
            append(file, row)
    rows = read(file)
    assert [row["method"] + row["seed"] for row in rows] == ["plain0", "plain1", "plain2", "isnet0", "isnet1", "isnet2"]
    text = report(biased_mnist.TESTBED, rows, file.with_suffix(""))
    assert "| 91.0 ± 1.0 (90.0) |" in text
    assert "+86.0 [85.0, 87.0]" in text
    assert "shortcut learner in 3 of 3 runs" in text
    assert "| the main methods at strength 1 | 6 | 3.0 |" in text
    assert f"Commit: {made_by()['commit']}. Processor: {made_by()['processor']}. Versions: Python " in text
    assert {path.suffix for path in tmp_path.iterdir()} == {".csv", ".md", ".png"}
    assert "masked images" in report(biased_mnist.TESTBED, [{**rows[0], "method": "masked"}], tmp_path / "variant")


@pytest.mark.parametrize("method", list(colored_mnist.RECIPES))
def test_colored_mnist(method, tmp_path):
    row = colored_mnist.run(method, 0, budget=colored_mnist.QUICK)
    assert all(0 < row[split] < 1 for split in colored_mnist.SPLITS)
    file = tmp_path / "colored_mnist.csv"
    for name in ("plain", method):
        append(file, {**made_by(), "method": name, "seed": 0, "strength": 1.0, **row, "run_seconds": 9})
    assert "Published" in report(colored_mnist.TESTBED, read(file), file.with_suffix(""))
    assert file.with_suffix(".png").stat().st_size > 5_000


def test_full_batches_are_full_in_parts(monkeypatch):
    torch.manual_seed(0)
    digits = torch.randint(10, (130,))
    for name in ("spectral_decoupling", "gray"):
        method = colored_mnist.RECIPES[name]
        x, y = colored_mnist.environment(torch.rand(130, 1, 28, 28), digits, 0.2, method.gray)
        network = colored_mnist.make_network(method)
        expected = torch.autograd.grad(torch.nn.BCEWithLogitsLoss()(network(x), y), list(network.parameters()))
        trained = []
        for chunk in (1000, 40):
            monkeypatch.setattr(colored_mnist, "CHUNK", chunk)
            parts = colored_mnist.in_parts(x, y)
            expected_pixels = 392 if chunk == 1000 and name != "gray" else 196  # of one colour, if all are of it
            assert min(len(part.lit) for part in parts) == expected_pixels
            losses = [
                torch.nn.BCEWithLogitsLoss(reduction="sum")(colored_mnist.forward(network, part), part.labels) / 130
                for part in parts
            ]
            torch.testing.assert_close(torch.autograd.grad(sum(losses), list(network.parameters())), expected)
            own = copy.deepcopy(network)
            colored_mnist.train(own, x, y, method, 0.01)
            trained.append(own(x).detach())
        torch.testing.assert_close(*trained)


def test_colors_lie_as_often_as_they_should():
    generator = torch.Generator().manual_seed(0)
    digits = torch.randint(10, (4000,), generator=generator)
    torch.manual_seed(0)
    pixels, labels = colored_mnist.environment(torch.ones(4000, 1, 28, 28), digits, 0.1, gray=False)
    assert pixels.shape == (4000, 2 * 14 * 14)
    color = pixels[:, 0]  # of the first channel; the other is empty
    assert bool((pixels.sum(1) == 14 * 14).all())
    assert (color == labels[:, 0]).float().mean().item() == pytest.approx(0.9, abs=0.02)
    assert ((digits < 5).float() == labels[:, 0]).float().mean().item() == pytest.approx(0.75, abs=0.03)
    gray, _ = colored_mnist.environment(torch.ones(4000, 1, 28, 28), digits, 0.1, gray=True)
    assert gray.shape == (4000, 14 * 14)
    assert bool((gray == 1).all())


def test_the_same_seed_gives_the_same_run():
    first, second = (biased_mnist.run("flow_mixup", 1, budget=BUDGET) for _ in range(2))
    assert {**first, "seconds": 0} == {**second, "seconds": 0}


def test_the_worst_group_is_a_class_in_a_split():
    class Brightness(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.stack([0.5 - x[:, 0, 0, 0], x[:, 0, 0, 0] - 0.5], 1)

    label, mask = torch.tensor([0, 0, 1, 1]), torch.ones(4, 1, 1, 1)
    images = {"same": [0.0, 0.0, 1.0, 1.0], "none": [0.0, 1.0, 0.0, 0.0], "deceiving": [1.0, 0.0, 1.0, 1.0]}
    tests = {split: BiasedMNIST(torch.tensor(x).reshape(4, 1, 1, 1), label, mask, label) for split, x in images.items()}
    found = Judge(Brightness(), batch=3).robustness(tests)
    assert found == {"same": 1.0, "none": 0.25, "deceiving": 0.75, "worst_group": 0.0, "gap": 0.25}


def test_the_later_one_of_equal_epochs_is_taken():
    judge = Judge(torch.nn.Linear(1, 1, bias=False))
    validation = Validation(judge, None)
    accuracies, consistencies = (0.5, 0.9, 0.9, 0.8), (0.1, 0.5, 0.2, 1.0)
    validation.history = [
        {"accuracy": a, "swap_consistency": c} for a, c in zip(accuracies, consistencies, strict=True)
    ]
    validation.states = [{"weight": torch.full((1, 1), float(n))} for n in range(4)]
    trained = Training(judge, validation, 0.0)
    assert trained.take("accuracy") == judge.network.weight.item() == 2
    assert trained.take("consistency") == judge.network.weight.item() == 3


def test_validation_data_rank_the_runs():
    rows = []
    for seed, (accuracy, consistency) in enumerate([(1.0, 0.1), (0.99, 0.9), (0.98, 0.99)]):
        measured = {"accuracy": accuracy, "swap_consistency": consistency, "background_relevance": 0.0}
        row = {f"validation_{key}": value for key, value in {**measured, "pointing_game": 1.0}.items()}
        row |= {"method": "plain", "seed": seed, "strength": 1.0, "deceiving": consistency}
        rows.append({key: str(value) for key, value in row.items()})
    assert "| 1 | 3 | -1.00 | 1.00 | -1.00 |" in ranking(biased_mnist.TESTBED, rows)
    assert "| 1 |" not in ranking(biased_mnist.TESTBED, rows[:2])


def test_settings_are_chosen_without_a_test_split(monkeypatch):
    sections = []
    monkeypatch.setattr(biased_mnist, "load", lambda s, *a, **k: sections.append(s) or load(s, *a, **k))
    row = tuning.one_run("biased_mnist", "isnet", {"background_scale": 1.0}, quick=True)
    assert set(sections) == {"training", "validation"}
    assert row["score"] == row["accuracy"] * row["swap_consistency"]
    assert row["settings"] == "background_scale 1.0"


def test_the_command_goes_on_where_it_was(tmp_path, monkeypatch, capsys):
    """Asked again for three runs of which one is there, and one is there from another commit, it trains two."""
    file = tmp_path / "biased_mnist_quick.csv"
    measured = biased_mnist.run("plain", 0, budget=BUDGET)
    for method, changed in (("plain", {}), ("mixup", {"commit": "0123abc"})):
        row = {**made_by(), **changed, "method": method, "seed": 0, "strength": 1.0, **measured}
        append(file, {**row, "run_seconds": 1e4})
    before = read(file)
    asked = ["biased_mnist", "--methods=plain,mixup,backmix_isnet", "--seeds=1", "--workers=1", f"--out={tmp_path}"]
    monkeypatch.setattr(sys, "argv", ["benchmarks.evidence", *asked, "--quick", "--again"])
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")  # as the command sets it for its workers, until the end of the test
    runpy.run_module("benchmarks.evidence", run_name="__main__")
    assert "[2/2, " in capsys.readouterr().out
    rows = read(file)
    assert [row["method"] for row in rows] == ["plain", "mixup", "backmix_isnet"]
    assert rows[0] == before[0]
    assert {row["commit"] for row in rows} == {made_by()["commit"]}
    assert all(0 < float(row["seconds"]) < float(row["run_seconds"]) < 1e4 for row in rows[1:])
    assert "| BackMix and ISNet | 1 |" in file.with_suffix(".md").read_text(encoding="utf-8")


def test_a_copy_without_a_repository_is_told_its_commit(monkeypatch, tmp_path):
    monkeypatch.setattr(csv_file, "ROOT", tmp_path)
    monkeypatch.setenv("COMMIT", "0123abc")
    assert made_by()["commit"] == "0123abc"
    monkeypatch.delenv("COMMIT")
    assert made_by()["commit"] == "unknown"


def test_a_run_that_fails_loses_no_other(tmp_path):
    lines = [{"method": "plain", "seed": seed, "strength": 1.0} for seed in (0, 1)]
    with pytest.raises(TypeError, match="'int' object is not iterable"):
        record(dict, [(lines[0],), (3,), (lines[1],)], tmp_path / "runs.csv", workers=1)
    assert [row["seed"] for row in read(tmp_path / "runs.csv")] == ["0", "1"]


def test_lines_of_another_version_stay_alone(tmp_path):
    file = tmp_path / "results.csv"
    append(file, {"method": "plain", "seed": 0, "same": 1.0})
    append(file, {"seed": 1, "same": 0.9, "method": "plain"})
    before = file.read_text()
    with pytest.raises(ValueError, match=r"columns \['none', 'same'\] differ. Move it away"):
        append(file, {"method": "plain", "seed": 2, "none": 1.0})
    assert file.read_text() == before
    assert [row["same"] for row in read(file)] == ["1.0", "0.9"]


def test_unknown_names_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"unknown methods \['magic'\]; there are plain, "):
        main("biased_mnist", "magic", out=str(tmp_path))
    with pytest.raises(ValueError, match="unknown testbed 'nowhere'; there are biased_mnist, colored_mnist"):
        main("nowhere", "plain", out=str(tmp_path))


def test_workers_end_with_a_killed_command(tmp_path):
    started = tmp_path / "pid"
    script = tmp_path / "command.py"
    script.write_text(  # its work outlasts the test, unless it ends with the command
        "import os, sys, time\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from benchmarks.evidence.processes import processes\n"
        "def work():\n"
        f"    open({str(started)!r}, 'w').write(str(os.getpid()))\n"
        "    time.sleep(300)\n"
        "if __name__ == '__main__':\n"
        "    with processes(1) as pool:\n"
        "        pool.submit(work).result()\n",
        encoding="utf-8",
    )
    command = subprocess.Popen([sys.executable, "-W", "ignore", str(script)])
    try:
        worker = _until(lambda: started.exists() and started.read_text())
        command.kill()
        command.wait()
        assert _until(lambda: not _runs(int(worker)))
    finally:
        command.kill()


def _until(found, seconds=60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.1)
    raise AssertionError("waited in vain")


def _runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # a zombie that init has not collected yet has ended, too
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] == "Z")


@pytest.mark.parametrize(
    ("testbed", "read"),
    [
        ("biased_mnist", lambda quick: (quick.evaluated, quick.explained)),
        ("echo_demo", lambda quick: tuple(4 * patients for patients in quick.patients[1:])),
        ("chest_xray", lambda quick: tuple(3 * patients for patients in quick.patients[1:])),
        ("corrupted_labels", lambda quick: (quick.validated, quick.evaluated)),
    ],
)
def test_a_quick_run_judges_in_more_than_one_batch(testbed, read):
    """What breaks at the second batch shall break in the smoke test, and not after an hour."""
    quick = TESTBEDS[testbed].quick
    assert all(images > quick.judged for images in read(quick))
    assert any(images % quick.judged for images in read(quick)), "the last batch is a full one"
