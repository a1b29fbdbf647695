# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""From finding to mending without any mask: a plain training, its audit, and a training with the masks found.

python -m benchmarks.audit.mending --seeds 3

Beside it the same method with true masks, the plain network, and one trained without the mark; each is audited without
masks on images that it was not trained with. Nothing is chosen by tests: the last epoch counts. A line that is in the
CSV already is not measured again, so that an interrupted call goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import fire
import torch
from monai.utils import set_determinism
from torch import nn

from benchmarks.csv_file import RESULTS, append, made_by, read
from benchmarks.evidence.testbeds import biased_mnist, chest_xray, colour_corner, echo_demo
from benchmarks.evidence.training import Images, Judge
from benchmarks.methods import METHODS
from benchmarks.parts import Parts, Step
from monai_debias.audit import allowed_region, audit
from monai_debias.audit.checks import PatchUsed, StampUsed
from monai_debias.data import load_datalist

KEY = ("testbed", "method", "masks", "seed")
MENDING = ("backmix", "background_blend", "background_consistency")
KINDS = ("true", "found")


class Trial(NamedTuple):
    """A testbed in which a shortcut is found and mended."""

    train: Callable[[str, torch.Tensor | None, int], Judge]
    """The network of a method, a region in place of all masks, if there is one, and a seed, after the last epoch."""
    load: Callable[[str, str], Images]
    """The images of a section whose marks are those of the class ("same"), of any ("random"), or of another one."""
    patients: Callable[[], Sequence[Any]] | None = None
    """The patients of the validation images; None where each is of another one."""


def digits(section: str, marks: str, n: dict[str, int]) -> Images:
    """Biased MNIST, fewer images of it."""
    options = {"bias": 0.1} if marks == "random" else {"cue": "deceiving" if marks == "reversed" else "same"}
    return biased_mnist.load(section, n[section], **options)


def toy(
    make: Callable[[], nn.Module],
    stages: tuple[str, ...],
    load: Callable[[str, str], Images],
    batch: int,
    epochs: int,
    learning_rate: float,
) -> Trial:
    """A testbed whose trainings take seconds."""

    def train(method: str, region: torch.Tensor | None, seed: int) -> Judge:
        set_determinism(seed)
        images: Any = load("training", "random" if method == "unbiased" else "same")
        parts = Parts(make(), stages, int(images.label.max()) + 1, images.items(), seed)
        parts = parts.changed(steps_of(method, region))
        parts.fit(batch, epochs, learning_rate)
        return Judge(parts.network.eval())

    return Trial(train, load)


def echo(budget: echo_demo.Budget) -> Trial:
    """Echo clips of four views, by the bundle's training, whose scanner names the view on its screen."""

    def train(method: str, region: torch.Tensor | None, seed: int) -> Judge:
        bias = echo_demo.CHANCE if method == "unbiased" else 1.0
        return echo_demo.train(echo_demo.METHODS[method], seed, bias, 1.0, budget, region=region).judge

    def load(section: str, marks: str) -> Images:
        folder = echo_demo.cohort(1.0, budget)
        return echo_demo.load(folder, _section(section, marks), budget.image_size, sectors=False)

    return Trial(train, load, lambda: _patients(echo_demo.cohort(1.0, budget)))


def chest(budget: chest_xray.Budget) -> Trial:
    """Chest radiographs with the markers of the hospital of their class."""

    def train(method: str, region: torch.Tensor | None, seed: int) -> Judge:
        bias = chest_xray.CHANCE if method == "unbiased" else 1.0
        return chest_xray.train(tuple(steps_of(method, region)), seed, bias, 1.0, budget).judge

    def load(section: str, marks: str) -> Images:
        return chest_xray.load(chest_xray.cohort(1.0, budget), _section(section, marks))

    return Trial(train, load, lambda: _patients(str(chest_xray.cohort(1.0, budget))))


MNIST = {"training": 6_000, "validation": 600, "test": 2_000}
TRIALS = {
    "biased_mnist": toy(biased_mnist.make_network, biased_mnist.STAGES, partial(digits, n=MNIST), 64, 2, 3e-3),
    **{
        f"colour_corner_{name}": toy(network.make, network.stages, colour_corner.load, 32, 15, 1e-3)
        for name, network in colour_corner.NETWORKS.items()
    },
    "echo_demo": echo(echo_demo.Budget()),
    "chest_xray": chest(chest_xray.Budget()),
}


def main(
    testbeds: str | Sequence[str] = "biased_mnist,colour_corner_resnet",
    methods: str | Sequence[str] = MENDING,
    seeds: int = 3,
    out: str = str(RESULTS / "audit_mending.csv"),
) -> None:
    """Train, audit, train with what was found, and print how much of the gain of true masks that is.

    Args:
        testbeds: names of testbeds, separated by commas.
        methods: that mend, separated by commas.
        seeds: of the trainings and of the audits, from 0.
        out: the CSV, a line for each network.
    """
    torch.set_num_threads(1)
    file, asked = Path(out).resolve(), _names(methods)
    file.parent.mkdir(parents=True, exist_ok=True)
    for testbed in _names(testbeds):
        for seed in range(seeds):
            one_seed(file, testbed, asked, seed)
    print(table(read(file)))


def one_seed(file: Path, testbed: str, methods: Sequence[str], seed: int) -> None:
    """Measure the networks of a seed that are not in the CSV."""
    done = {tuple(row[column] for column in KEY) for row in read(file)}
    wanted = [("plain", "none"), ("unbiased", "none"), *((method, kind) for method in methods for kind in KINDS)]
    left = [name for name in wanted if (testbed, *name, str(seed)) not in done]
    if not left:
        return
    trial, origin = TRIALS[testbed], made_by()
    plain = trial.train("plain", None, seed)
    region = audited(trial, plain, seed)[1]
    for method, masks in left:
        start = time.process_time()
        in_place = region if masks == "found" else None
        judge = plain if method == "plain" or (masks == "found" and region is None) else None
        judge = judge or trial.train(method, in_place, seed)
        seconds = time.process_time() - start
        columns = {**judged(trial, judge, seed), "training_seconds": f"{seconds:.1f}"}
        append(file, {**dict(zip(KEY, (testbed, method, masks, seed), strict=True)), **columns, **origin}, KEY)
        print(testbed, method, masks, seed, columns, flush=True)


def steps_of(method: str, region: torch.Tensor | None) -> list[Step]:
    """What a method changes in a training, with a region for all images in place of their masks, if given."""
    return [*([] if region is None else [with_region(region)]), *METHODS[method].steps]


def with_region(region: torch.Tensor) -> Step:
    """One mask for all images."""
    return lambda parts: replace(parts, samples=[{**sample, "mask": region} for sample in parts.samples])


def audited(trial: Trial, judge: Judge, seed: int) -> tuple[dict[str, Any], torch.Tensor | None]:
    """What an audit without masks says, as columns, and what it allows to look at."""
    images = trial.load("validation", "same")
    patients = range(len(images.label)) if trial.patients is None else trial.patients()
    items = [
        {"image": image, "label": label, "patient_id": patient}
        for image, label, patient in zip(images.image, images.label, patients, strict=True)
    ]
    found = audit(judge.network, items, checks=[StampUsed(), PatchUsed()], normalize=judge.normalize, seed=seed)
    region, effects = allowed_region(found), {one.check: f"{one.effect:.4f}" for one in found.findings}
    columns = {f"{check}_effect": effects.get(check, "") for check in ("stamp", "patch")}
    allowed = 1.0 if region is None else region.float().mean().item()
    return {"alarm": int(found.exit_code == 3), **columns, "allowed": f"{allowed:.4f}"}, region


def judged(trial: Trial, judge: Judge, seed: int) -> dict[str, Any]:
    """Accuracies on tests, and what an audit says of the network."""
    accuracy = {marks: f"{judge.accuracy(trial.load('test', marks)):.4f}" for marks in ("same", "reversed")}
    return {**accuracy, **audited(trial, judge, seed)[0]}


def table(rows: Sequence[dict[str, str]]) -> str:
    """Accuracy on reversed marks, and the share of the gain of true masks that found masks have, in Markdown."""
    titles = "testbed, method, seeds, plain, true masks, found masks, worst seed, share of the gain, image left, "
    titles += "alarms: plain · without the mark · mended"
    lines = [f"| {titles.replace(', ', ' | ')} |", "|---|---|" + "---:|" * 8]
    for testbed in dict.fromkeys(row["testbed"] for row in rows):
        here = [row for row in rows if row["testbed"] == testbed]
        plain, unbiased = ([row for row in here if row["method"] == name] for name in ("plain", "unbiased"))
        for method in dict.fromkeys(row["method"] for row in here if row["masks"] == "found"):
            of_it = [row for row in here if row["method"] == method]
            true, found = ([row for row in of_it if row["masks"] == kind] for kind in KINDS)
            before, best, mended = (mean(map(_reversed, some)) for some in (plain, true, found))
            alarms = " · ".join(f"{sum(row['alarm'] == '1' for row in s)}/{len(s)}" for s in (plain, unbiased, found))
            cells = [testbed, method, len(found), *(f"{100 * value:.1f}" for value in (before, best, mended))]
            cells += [f"{100 * min(map(_reversed, found)):.1f}", f"{(mended - before) / (best - before):.0%}"]
            cells += [f"{mean(float(row['allowed']) for row in plain):.0%}", alarms]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _reversed(row: dict[str, str]) -> float:
    return float(row["reversed"])


def _section(section: str, marks: str) -> str:
    """Of a cohort on the disk, whose training and validation have one kind of marks."""
    return f"test_{marks}" if section == "test" else section


def _patients(folder: str) -> list[str]:
    return [item["patient_id"] for item in load_datalist(folder, "validation")]


def _names(given: str | Sequence[str]) -> list[str]:
    return given.split(",") if isinstance(given, str) else list(given)


if __name__ == "__main__":
    fire.Fire(main)
