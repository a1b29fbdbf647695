# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Do Mixup, Manifold Mixup and Flow-Mixup change the clusters of hidden states as Flow-Mixup's paper says, on MNIST?

    python -m benchmarks.evidence.mixup_clusters                         # four methods, one seed
    python -m benchmarks.evidence.mixup_clusters --seeds 0,1,2 --record benchmarks/results/mixup_clusters.csv

Every run is a stock MONAI trainer; runs of one seed begin with the same network and see the same batches. Measured is
R² = SSB / SST of k-means with k = 10 on the flattened output of each of the three stages of a small network:

- plain: of 500 validation digits in evaluation mode, 20 times in the training. Does mixing make a network whose
  clusters are sharper?
- as trained: of the input of the next stage in the training pass, thus with the mixing, in every iteration. Here a
  distribution shift should be visible. Flow-Mixup gives the next stage two or three times as many rows; R² and its
  noise depend on the number of samples, therefore as many rows as the batch has samples are measured, at positions that
  are drawn once in a run. Some are the un-mixed and the mixed row of one sample, which resemble each other: its R² is
  not quite comparable with that of other methods, but its steps are.

The step is the mean absolute change of R² as trained from one iteration to the next, over the whole training; that of
the training without mixing comes from different batches alone. Means of R² are over the second half of the training.
The figure shows the last 50 iterations of the first seed, and the mean steps in these.

Manifold Mixup draws among the images and the first two stages, as its authors have it; Flow-Mixup mixes at the first
two stages. A further method, ``--methods manifold_hidden``, draws one of these two. α is 1; with ``--alpha 10000``
λ is 1/2 in every batch, so that only the choice of the state causes steps.

A run that has its results already is not run again: delete its json file to start again.
"""

from __future__ import annotations

import json
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import fire
import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer
from monai.utils import set_determinism
from torch import nn

from benchmarks.csv_file import made_by, write
from benchmarks.evidence.mixup_tables import LAYERS, TITLES, draw_end, line, table_of_draws, tables
from benchmarks.methods import named
from benchmarks.parts import Parts, Step, with_flow_mixup, with_manifold_mixup, with_mixup
from monai_debias.data import load_mnist
from monai_debias.handlers import FiniteLoss
from monai_debias.metrics import cluster_r2, cluster_separation
from monai_debias.transforms import MixBatchd

BATCH, EVALUATED = 128, 250  # images at a time, in training and evaluation
CLASSES = 10
MEASUREMENTS = 20  # of the plain R² in a training
LEARNING_RATE = 1e-3
PAPER = ("none", "mixup", "manifold_mixup", "flow_mixup")
_NEXT = {"stage1": "stage2", "stage2": "stage3", "stage3": "head"}

MIXINGS: dict[str, Callable[[float], Step] | None] = {
    "none": None,
    "mixup": with_mixup,
    "manifold_mixup": with_manifold_mixup,
    "flow_mixup": with_flow_mixup,
    "manifold_hidden": partial(with_manifold_mixup, images=False),
}


class ClustersAsTrained:
    """Measures what each next stage is given in the training passes, and keeps what was mixed there."""

    def __init__(self, network: nn.Module, mixup: MixBatchd | None, seed: int) -> None:
        self.network, self.mixup, self.seed = network, mixup, seed
        self.r2: dict[str, list[float]] = {layer: [] for layer in LAYERS}
        self.drawn: list[list[tuple[str, float]]] = []  # state and λ of all that was mixed in an iteration
        self._positions: dict[int, torch.Tensor] = {}

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        for layer, following in _NEXT.items():
            self.network.get_submodule(following).register_forward_pre_hook(partial(self._measure, layer))
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._record)

    def _measure(self, layer: str, module: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        if module.training:
            rows = args[0].detach()
            self.r2[layer].append(cluster_r2(rows[self._sample(len(rows))], CLASSES, self.seed))

    def _sample(self, n_rows: int) -> torch.Tensor:
        if n_rows not in self._positions:
            order = np.random.RandomState(self.seed).permutation(n_rows)
            self._positions[n_rows] = torch.as_tensor(np.sort(order[:BATCH]))
        return self._positions[n_rows]

    def _record(self) -> None:
        mixtures = () if self.mixup is None else self.mixup.transform.mixtures
        self.drawn.append([(mixture.layer, mixture.weight) for mixture in mixtures])


def make_network() -> nn.Module:
    """Three stages for 28 × 28 images, whose outputs have 3136, 1568 and 1024 values, and a linear classifier."""

    def stage(n_in: int, n_out: int) -> nn.Module:
        convolution = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(n_out), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True))

    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, CLASSES))
    stages = {"stage1": stage(1, 16), "stage2": stage(16, 32), "stage3": stage(32, 64)}
    return nn.Sequential(OrderedDict(**stages, head=head))


def items(section: str, images: int) -> Dataset:
    """The first digits of a section."""
    pairs = zip(*(part[:images] for part in load_mnist(section)), strict=True)
    return Dataset([{"image": image, "label": label} for image, label in pairs])


@torch.no_grad()
def accuracy(network: nn.Module, images: int) -> float:
    """Share of the first test digits that are recognised."""
    network.eval()
    image, label = (part[:images] for part in load_mnist("test"))
    parts = zip(image.split(EVALUATED), label.split(EVALUATED), strict=True)
    return sum(int((network(x).argmax(1) == y).sum()) for x, y in parts) / len(label)


def train(method: str, seed: int, images: int, epochs: int, sample: int, alpha: float) -> dict[str, Any]:
    """Train once, as a user of a MONAI trainer would, and return the measurements."""
    set_determinism(seed)
    plain_parts, mixing = Parts(make_network(), LAYERS, CLASSES, items("training", images), seed), MIXINGS[method]
    parts = plain_parts if mixing is None else mixing(alpha)(plain_parts)
    if parts.mixup is not None:
        parts.mixup.set_random_state(seed)  # not from torch's generator: the batches are those of the other methods
    network, as_trained = parts.network, ClustersAsTrained(parts.network, parts.mixup, seed)
    trainer = SupervisedTrainer(
        max_epochs=epochs,
        train_data_loader=DataLoader(parts.samples, batch_size=BATCH, shuffle=True, drop_last=True),
        optimizer=torch.optim.Adam(network.parameters(), LEARNING_RATE),
        train_handlers=[FiniteLoss(), as_trained],
        **parts.trainer_arguments(),
    )
    iterations = epochs * (images // BATCH)
    validation = DataLoader(items("validation", sample), batch_size=EVALUATED)
    plain: dict[str, list[float]] = {layer: [] for layer in LAYERS}

    @trainer.on(Events.ITERATION_COMPLETED(every=max(1, iterations // MEASUREMENTS)))
    def measure(engine: Any) -> None:
        found = cluster_separation(network, validation, LAYERS, CLASSES, seed=seed)
        for layer, r2 in found.items():
            plain[layer].append(r2)
        now = ", ".join(f"{layer} {r2:.3f} ({as_trained.r2[layer][-1]:.3f})" for layer, r2 in found.items())
        loss = float(engine.state.output["loss"])
        print(f"  iteration {engine.state.iteration}: loss {loss:.3f}; R² plain (as trained): {now}", flush=True)

    trainer.run()
    return {
        "accuracy": accuracy(network, images),
        "plain": plain,
        "as_trained": as_trained.r2,
        "drawn": as_trained.drawn,
    }


def run(method: str, seed: int, folder: Path, **options: Any) -> dict[str, Any]:
    """The results of a run, from its file or from a training."""
    file = folder / f"{method}_seed{seed}.json"
    settings = {"batch": BATCH, "learning_rate": LEARNING_RATE, **options}
    if file.exists():
        result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if result["settings"] != settings:
            raise ValueError(
                f"{file} is of a run with other settings, {result['settings']}: delete it or change --out."
            )
        return result
    print(f"\n=== {TITLES[method]}, seed {seed} ===", flush=True)
    start = time.process_time()  # others on the same machine do not count
    result = {"settings": settings, **train(method, seed, **options), "seconds": 0.0}
    result["seconds"] = time.process_time() - start
    partial_file = file.with_suffix(".partial")
    partial_file.write_text(json.dumps(result), encoding="utf-8")
    partial_file.replace(file)
    return result


def main(
    out: str = "mixup_mnist_output",
    seeds: str | int | tuple = 0,
    methods: str | tuple = PAPER,
    images: int = 12_800,
    epochs: int = 2,
    sample: int = 500,
    alpha: float = 1.0,
    record: str = "",
) -> None:
    """Train with every method and seed, and write the tables and the figure.

    Args:
        out: folder for everything; finished runs in it are used again.
        seeds: one seed, or several separated by commas.
        methods: names separated by commas, of the table MIXINGS in this file.
        images: number of training images, at least two batches of 128; as many of the 10,000 test digits are used.
        epochs: number of epochs.
        sample: number of validation digits that are measured.
        alpha: α of the Beta distribution of λ.
        record: CSV file of a line for each run; none if empty.
    """
    torch.set_num_threads(1)
    names = named(methods, MIXINGS)
    if epochs * (images // BATCH) < 2:
        raise ValueError(f"{images} images are too few for two batches of {BATCH} in {epochs} epochs.")
    seed_list = [int(s) for s in (seeds if isinstance(seeds, tuple) else str(seeds).split(","))]
    folder, origin = Path(out).resolve(), made_by()
    folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, list[dict]] = {name: [] for name in names}
    rows = []
    for seed in seed_list:
        for name in names:
            results[name].append(run(name, seed, folder, images=images, epochs=epochs, sample=sample, alpha=alpha))
            rows.append({**origin, "alpha": alpha, **line(name, seed, results[name][-1])})
    if record:
        write(Path(record), rows)
    title = f"MNIST, R² as trained, alpha = {alpha:g}, seed {seed_list[0]}"
    draw_end(results, title).savefig(folder / "distribution_shift.png", dpi=130)
    parts = [tables(rows)]
    parts += [
        table_of_draws(results[name], TITLES[name]) for name in ("manifold_mixup", "manifold_hidden") if name in names
    ]
    seconds = sum(one["seconds"] for runs in results.values() for one in runs)
    parts.append(
        f"Mean ± standard deviation over {len(seed_list)} seeds (by state: over iterations); {images} training images, "
        f"{epochs} epochs of {images // BATCH} iterations, alpha {alpha:g}; {seconds / 60:.1f} minutes."
    )
    parts.append(f"`{' '.join(['python', *sys.argv])}`")
    text = "\n\n".join(parts) + "\n"
    (folder / "report.md").write_text(text, encoding="utf-8")
    print(f"\n{text}\nfigure: {folder / 'distribution_shift.png'}")


if __name__ == "__main__":
    fire.Fire(main)
