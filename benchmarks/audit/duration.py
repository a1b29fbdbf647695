# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How long an audit takes: 1,000 PNG files of 224 × 224 with masks, patients and a scanner, and MONAI's ResNet18.

python -m benchmarks.audit.duration

The command is run as a user types it. Beside the wall clock stands the time of the processor, which other work on the
machine lengthens less: with two cores to itself, an audit takes half of it. Where others work, take one thread, since
two that wait for each other count twice. The images show a spot where there is a finding, and a mark in a corner that
names the class in most of them; the network has been trained a little, and follows either.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import fire
import numpy as np
import torch
from monai.networks.nets import resnet18
from numpy.typing import NDArray
from PIL import Image

from benchmarks.csv_file import RESULTS, ROOT, append, made_by
from monai_debias.data import save_datalist

KEY = ("images", "size", "threads", "model", "steps", "check")
CLASSES = ["no finding", "finding"]
NETWORK = {"spatial_dims": 2, "n_input_channels": 1, "num_classes": 2}
TRANSFORMS = [
    {"_target_": "LoadImaged", "keys": ["image", "mask"], "ensure_channel_first": True, "allow_missing_keys": True},
    {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": 0, "a_max": 255, "b_min": 0, "b_max": 1},
]
ALL = "all, with the start of Python and the reading of images"


def main(
    images: int = 1000,
    size: int = 224,
    threads: int = 2,
    model: str = "bundle",
    steps: int = 60,
    out: str = str(RESULTS / "audit_duration.csv"),
) -> None:
    """Write the data and the network, audit once, print and write the seconds of each check and of all.

    Args:
        images: how many, two of each patient.
        size: pixels of a side.
        threads: of torch.
        model: "bundle", or "torchscript", whose layers cannot be seen.
        steps: of the training.
        out: the CSV.
    """
    torch.manual_seed(0)
    torch.set_num_threads(1)
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder / "data", images, size)
        network = trained(steps, size)
        written = {"bundle": write_bundle, "torchscript": write_torchscript}[model](folder, network, size)
        command = ["audit", *written, str(folder / "data"), "--out", str(folder / "out")]
        wall, used, log = timed(command, threads)
    checks = {name: float(s) for name, s in re.findall(r"^([a-z ]+): (\d+) s$", log, re.MULTILINE)}
    origin, load = made_by(), f"{os.getloadavg()[0]:.1f}"
    for check, seconds in {**checks, ALL: wall}.items():
        row = dict(zip(KEY, (images, size, threads, model, steps, check), strict=True))
        row |= {"seconds": f"{seconds:.0f}", "processor_seconds": f"{used:.0f}" if check == ALL else "", "load": load}
        append(Path(out).resolve(), {**row, **origin}, KEY)
        print(f"{check}: {seconds:.0f} s")
    print(f"of the processor: {used:.0f} s")


def timed(command: list[str], threads: int) -> tuple[float, float, str]:
    """Seconds by the clock and of the processor that a command of the package takes, and what it prints."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT)}
    whole = [sys.executable, "-m", "monai_debias", *command]
    run = subprocess.run(whole, capture_output=True, text=True, env=environment, check=False)
    if run.returncode not in (0, 3):
        raise RuntimeError(f"the audit failed:\n{run.stdout}\n{run.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, used, run.stdout


def picture(number: int, size: int) -> tuple[NDArray[np.uint8], int]:
    """An image (rows, columns) of two classes, and its class: noise, a spot that is brighter with a finding, a mark."""
    rng, label = np.random.default_rng(number), number // 2 % 2
    pixels = 60 + 25 * rng.normal(size=(size, size))
    rows, columns = np.mgrid[:size, :size]
    pixels += (30 + 30 * label + 15 * rng.normal()) * np.exp(
        -((rows - size / 2) ** 2 + (columns - size / 2) ** 2) / (size / 8) ** 2
    )
    named = label if rng.random() < 0.8 else 1 - label
    pixels[: size // 12, : size // 12] = (0, 255)[named]
    return pixels.clip(0, 255).astype(np.uint8), label


def write_data(folder: Path, n: int, size: int) -> None:
    """A data-set directory with one section."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    mask = np.zeros((size, size), np.uint8)
    mask[size // 4 : -size // 4, size // 4 : -size // 4] = 255
    items = []
    for number in range(n):
        pixels, label = picture(number, size)
        item: dict[str, Any] = {kind[:-1]: f"{kind}/{number}.png" for kind in ("images", "masks")}
        for kind, content in (("images", pixels), ("masks", mask)):
            Image.fromarray(content).save(folder / kind / f"{number}.png")
        items.append({**item, "label": label, "patient_id": str(number // 2), "scanner": "ABC"[number // 2 % 3]})
    save_datalist(folder, {"test": items}, CLASSES, "semi-synthetic")


def trained(steps: int, size: int) -> torch.nn.Module:
    """MONAI's ResNet18 after a few steps on other images, a quarter as large; its norms have seen whole ones."""
    network = resnet18(**NETWORK)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for step in range(steps):
        batch, label = made(10_000 + 32 * step, 32, size // 4)
        loss = torch.nn.functional.cross_entropy(network(batch), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for norm in (layer for layer in network.modules() if isinstance(layer, torch.nn.BatchNorm2d)):
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all batches
    with torch.no_grad():
        for start in (0, 16, 32):
            network(made(5_000 + start, 16, size)[0])
    return network.eval()


def made(first: int, n: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch of images (n, 1, rows, columns) from a number on, in [0, 1], with their classes."""
    pixels, labels = zip(*(picture(number, size) for number in range(first, first + n)), strict=True)
    return torch.from_numpy(np.stack(pixels))[:, None] / 255, torch.tensor(labels)


def write_bundle(folder: Path, network: torch.nn.Module, _: int) -> list[str]:
    """A bundle with its weights, as arguments of the command."""
    transform = {"_target_": "Compose", "transforms": TRANSFORMS}
    loader = {"_target_": "DataLoader", "dataset": {"_target_": "Dataset", "data": [], "transform": transform}}
    trainer = {
        "_target_": "SupervisedTrainer",
        "network": "@network",
        "loss_function": {"_target_": "torch.nn.CrossEntropyLoss"},
        "train_data_loader": loader,
    }
    config = {
        "network": {"_target_": "resnet18", **NETWORK},
        "class_names": CLASSES,
        "train": {"trainer": trainer},
        "validate": {"evaluator": {"_target_": "SupervisedEvaluator", "val_data_loader": loader}},
    }
    for name in ("configs", "models"):
        (folder / "bundle" / name).mkdir(parents=True)
    (folder / "bundle" / "configs" / "train.json").write_text(json.dumps(config))
    torch.save(network.state_dict(), folder / "bundle" / "models" / "model.pt")
    return [str(folder / "bundle")]


def write_torchscript(folder: Path, network: torch.nn.Module, size: int) -> list[str]:
    """TorchScript and its preprocessing, as arguments of the command."""
    torch.jit.save(torch.jit.trace(network, torch.rand(2, 1, size, size)), folder / "network.ts")
    (folder / "preprocessing.json").write_text(json.dumps({"transforms": TRANSFORMS, "class_names": CLASSES}))
    return [str(folder / "network.ts"), "--preprocessing", str(folder / "preprocessing.json")]


if __name__ == "__main__":
    fire.Fire(main)
