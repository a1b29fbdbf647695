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
from monai.utils import set_determinism

from benchmarks.evidence import ecg_records
from benchmarks.evidence.cohorts import COHORTS
from benchmarks.evidence.testbeds import biased_mnist, chest_xray, colour_corner, ecg_device, echo_demo
from benchmarks.evidence.training import Images, Judge
from benchmarks.methods import METHODS
from benchmarks.parts import Parts
from monai_debias.data import load_datalist

KEPT = COHORTS / "audited"
DIGITS = biased_mnist.Budget(images=6_000, epochs=2, evaluated=1_000, explained=50)
CORNERS = colour_corner.Budget(epochs=15)
CLIPS = replace(echo_demo.Budget(), patients=(60, 15, 48), epochs=10)
FILMS = replace(chest_xray.Budget(), epochs=10)
RECORDS = replace(ecg_device.Budget(), patients=(300, 60, 200, 200), epochs=8)


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


def corner(method: str, strength: float, seed: int) -> Case:
    """Digits beside a corner whose colour names their class, in colour; the audited ones are no others than tested."""
    bias = 0.1 if method == "unbiased" else strength
    network = colour_corner.NETWORKS["resnet"]

    def train() -> Judge:
        set_determinism(seed)
        samples = colours("training", bias).items()
        parts = Parts(network.make(), network.stages, colour_corner.N_CLASSES, samples, seed)
        parts = parts.changed(METHODS[method].steps)
        parts.fit(CORNERS.batch, CORNERS.epochs, CORNERS.learning_rate)
        return Judge(parts.network.eval())

    judge = kept("colour_corner_resnet", (method, bias, seed, CORNERS), train, Judge(network.make()))
    data = colours("test", strength)
    right = (data.image[:, :, 0, 0][:, None] == colour_corner.COLOURS).all(2).int().argmax(1)
    items = [
        {**item, "mark": str(mark), "patient_id": str(i)}
        for i, (item, mark) in enumerate(zip(data.items(), right.tolist(), strict=True))
    ]
    return Case(judge, items, judge.accuracy(data) - judge.accuracy(colour_corner.load("test", "reversed")), 300)


def colours(section: str, strength: float) -> colour_corner.Digits:
    """Digits of which a share, drawn once, has the colour of its class, and the rest that of another one."""
    own, other = colour_corner.load(section), colour_corner.load(section, "reversed")
    takes = torch.rand(len(own.label), generator=torch.Generator().manual_seed(1)) < strength
    return own._replace(image=torch.where(takes[:, None, None, None], own.image, other.image))


def ecg(method: str, strength: float, seed: int) -> Case:
    """ECGs whose device leaves a calibration pulse; one label of eleven is audited."""
    bias = ecg_device.CHANCE if method == "unbiased" else strength

    def train() -> Judge:
        set_determinism(seed)
        samples = ecg_records.load(ecg_records.cohort(bias, RECORDS.patients), "training").items()
        parts = ecg_records.make_parts(samples, seed).changed(METHODS[method].steps)
        parts.fit(RECORDS.batch, RECORDS.epochs, RECORDS.learning_rate)
        return Judge(ecg_device.one_label(parts.network).eval())

    judge = kept(
        "ecg_device",
        (method, bias, seed, RECORDS),
        train,
        Judge(ecg_device.one_label(ecg_records.make_network())),
    )
    folder = ecg_records.cohort(strength, RECORDS.patients)
    data, other = (told(ecg_records.load(folder, f"test_{name}")) for name in ("same", "reversed"))
    return Case(judge, with_datalist(data, str(folder), "shortcuts"), judge.accuracy(data) - judge.accuracy(other), 150)


def told(records: ecg_records.Records) -> ecg_device.Told:
    """Records with the label that goes with the device."""
    return ecg_device.Told(records.image, records.label[:, ecg_device.TOLD].long(), records.mask)


def echo(method: str, strength: float, seed: int) -> Case:
    """Echo clips of four views of each patient, whose scanner names the view on its screen."""
    budget, bias = CLIPS, echo_demo.CHANCE if method == "unbiased" else strength
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
    return Case(judge, with_datalist(data, folder, "overlay"), judge.accuracy(data) - judge.accuracy(other), 36)


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


CASES: dict[str, Callable[[str, float, int], Case]] = {
    "biased_mnist": mnist,
    "colour_corner_resnet": corner,
    "ecg_device": ecg,
    "echo_demo": echo,
    "chest_xray": chest,
}
STRENGTHS = {
    "biased_mnist": (0.3, 0.8, 0.95, 0.98, 1.0),
    "colour_corner_resnet": (0.3, 0.5, 0.8, 0.95),
    "ecg_device": (0.6, 0.8, 0.95),
    "echo_demo": (0.6, 0.8, 0.95),
    "chest_xray": (0.6, 0.8, 0.95),
}


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
