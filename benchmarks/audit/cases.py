# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Trained networks of which is known how much they lose without their shortcut, and images to audit them on.

A network is trained once and kept in ``benchmarks/cohorts/audited``; many audits of it take other images.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from benchmarks.evidence.cohorts import COHORTS
from benchmarks.evidence.testbeds import biased_mnist, chest_xray, echo_demo
from benchmarks.evidence.training import Images, Judge
from benchmarks.methods import METHODS
from monai_debias.data import load_datalist

KEPT = COHORTS / "audited"
DIGITS = biased_mnist.Budget(images=12_000, epochs=2)
FILMS = replace(chest_xray.Budget(), epochs=10)


class Case(NamedTuple):
    """A network to audit."""

    judge: Judge
    items: list[dict[str, Any]]
    """Images with the bias of the training, with masks, labels, patients, and an attribute ``mark``."""
    fall: float
    """Accuracy on images with that bias minus that on images whose marks are of other classes."""
    audited: int
    """Patients of an audit."""


def mnist(method: str, strength: float, seed: int) -> Case:
    """Digits beside a mark, each of its own writer."""
    bias = 0.1 if method == "unbiased" else strength
    judge = kept(
        "biased_mnist",
        (method, bias, seed, DIGITS),
        lambda: biased_mnist.train(METHODS[method].steps, seed, bias, bias, DIGITS).judge,
        Judge(biased_mnist.make_network()),
    )
    data = biased_mnist.load("test", 10_000, bias=strength)
    items = [
        {**item, "mark": str(mark), "patient_id": str(i)}
        for i, (item, mark) in enumerate(zip(data.items(), data.cue.tolist(), strict=True))
    ]
    reversed_ = biased_mnist.load("test", 10_000, cue="deceiving")
    return Case(judge, items, judge.accuracy(data) - judge.accuracy(reversed_), 400)


def echo(method: str, strength: float, seed: int) -> Case:
    """Echo clips of four views of each patient, whose scanner names the view on its screen."""
    budget, bias = echo_demo.Budget(), echo_demo.CHANCE if method == "unbiased" else strength
    folder = echo_demo.cohort(strength, budget)
    parser = echo_demo.bundle((), folder, budget.image_size)
    network = parser.get_parsed_content("network")
    judge = kept(
        "echo_demo",
        (method, bias, seed, budget),
        lambda: echo_demo.train(echo_demo.METHODS[method], seed, bias, bias, budget).judge,
        Judge(network, echo_demo.normalizer(parser)),
    )
    data, other = (echo_demo.load(folder, f"test_{name}", budget.image_size) for name in ("same", "reversed"))
    return Case(judge, with_datalist(data, folder, "overlay"), judge.accuracy(data) - judge.accuracy(other), 48)


def chest(method: str, strength: float, seed: int) -> Case:
    """Chest radiographs with the markers of a hospital."""
    bias = chest_xray.CHANCE if method == "unbiased" else strength
    make = chest_xray.NETWORKS["chest_xray"].make
    judge = kept(
        "chest_xray",
        (method, bias, seed, FILMS),
        lambda: chest_xray.train(chest_xray.METHODS[method].steps, seed, bias, bias, FILMS).judge,
        Judge(make(round(1 / chest_xray.CHANCE))),
    )
    folder = chest_xray.cohort(strength, FILMS)
    data, other = (chest_xray.load(folder, f"test_{name}") for name in ("same", "reversed"))
    return Case(judge, with_datalist(data, str(folder), "hospital"), judge.accuracy(data) - judge.accuracy(other), 80)


CASES: dict[str, Callable[[str, float, int], Case]] = {"biased_mnist": mnist, "echo_demo": echo, "chest_xray": chest}
STRENGTHS = {"biased_mnist": (0.3, 0.5, 0.8, 0.95), "echo_demo": (0.6, 0.8, 0.95), "chest_xray": (0.6, 0.8, 0.95)}


def kept(testbed: str, options: Sequence[Any], train: Callable[[], Judge], judge: Judge) -> Judge:
    """A judge of a network with weights from the disk, which is trained if they are not there."""
    digest = hashlib.sha256(json.dumps([str(option) for option in options]).encode()).hexdigest()[:12]
    file = KEPT / f"{testbed}_{digest}.pt"
    if not file.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        torch.save(train().network.state_dict(), file)
    judge.network.load_state_dict(torch.load(file, weights_only=True))
    judge.network.eval()
    return judge


def with_datalist(data: Images, folder: str, mark: str) -> list[dict[str, Any]]:
    """Items of a section with what its datalist says about them."""
    known = load_datalist(folder, "test_same")
    return [
        {"image": image, "label": int(label), "mask": mask, "patient_id": item["patient_id"], "mark": str(item[mark])}
        for image, label, mask, item in zip(data.image, data.label, data.mask, known, strict=True)
    ]
