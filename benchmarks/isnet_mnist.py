# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Does an ISNet learn the digits of biased MNIST although a mark beside each names its class? Trains and reports.

    python benchmarks/isnet_mnist.py                                          # the plain network and Selective ISNet
    python benchmarks/isnet_mnist.py --seeds 0,1,2 --variants plain,selective,quarter,interval4 --out results/isnet

Every run is a stock MONAI trainer and takes a few minutes on one core. A run that has its results already is not run
again: delete its json file to start anew.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fire
import numpy as np
import torch
from ignite.engine import Engine, Events
from matplotlib.figure import Figure
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.networks.nets import ResNet
from monai.transforms import Compose
from monai.utils import set_determinism

from monai_debias.data import keep_mask_fraction
from monai_debias.demo.biased_mnist import BiasedMNIST, biased_mnist
from monai_debias.engines import PrepareBatchISNet
from monai_debias.handlers import GradientClipping, LossTerms, RelevanceCutTuning, RelevanceWeightSchedule
from monai_debias.inferers import ISNetInferer
from monai_debias.losses import ISNetLRPLoss
from monai_debias.metrics import background_relevance
from monai_debias.relevance import LRP
from monai_debias.transforms import FillMaskd, KeepMaskd

BATCH = 64
CUES = ("same", "none", "deceiving")
CURVES = {
    "classification": "classification loss",
    "background": "background loss",
    "foreground": "foreground loss",
    "foreground_relevance": "relevance inside the mask, F",
    "gradient_norm": "gradient norm before clipping",
    "relevance_weight": "relevance weight P",
}


@dataclass(frozen=True)
class Variant:
    """What a run differs in. The defaults are those that the project recommends."""

    title: str
    target: Any = "selective"
    masks: float = 1.0  # share of the training images that have a mask
    interval: int = 1
    layers: tuple[str, ...] = ()
    bias: float = 1.0
    tuning_epochs: int = 0
    relevance_weight: float = 0.5
    ramp_epochs: float = 1.0
    rank_decay: float = 0.9
    background_scale: float = 1.0
    cuts: tuple[float, float] = (1.0, 100.0)
    epsilon: float = 1e-2
    input_rule: str | None = None
    learning_rate: float = 3e-3
    max_norm: float = 100.0
    sgd: bool = False


STAGES = ("layer1", "layer2", "layer3", "layer4")
VARIANTS = {
    "plain": Variant("plain", relevance_weight=0.0),
    "unbiased": Variant("plain, marks of random classes", relevance_weight=0.0, bias=0.1),
    "selective": Variant("Selective ISNet"),
    "quarter": Variant("… masks on a quarter of the images", masks=0.25),
    "few": Variant("… masks on 5 % of the images", masks=0.05),
    "interval4": Variant("… a heatmap every 4th iteration", interval=4),
    "lds": Variant("… deep supervision", layers=STAGES),
    "tuned": Variant("… cuts tuned in one plain epoch", tuning_epochs=1),
    "original": Variant("Original ISNet", target="all"),
    "stochastic": Variant("Stochastic ISNet", target="stochastic"),
    "dual": Variant("Dual ISNet", target="dual"),
    "d1": Variant("Selective, d = 1", rank_decay=1.0),
    "d0.99": Variant("Selective, d = 0.99", rank_decay=0.99),
    "d0.5": Variant("Selective, d = 0.5", rank_decay=0.5),
    "clip1": Variant("Selective, clipping at 1", max_norm=1.0),
    "sgd": Variant(
        "Selective, the authors' optimiser and P",
        sgd=True,
        learning_rate=1e-2,
        max_norm=1.0,
        relevance_weight=0.7,
        ramp_epochs=0.0,
    ),
    "constant": Variant("Selective, P = 0.5 from the start", ramp_epochs=0.0),
    "low_cuts": Variant("Selective, cuts 0.1 and 2.5", cuts=(0.1, 2.5)),
    "e0.1": Variant("Selective, E = 0.1", background_scale=0.1),
    "p0.7": Variant("Selective, P = 0.7", relevance_weight=0.7),
    "zb": Variant("Selective, zᴮ rule", input_rule="zb"),
}


class Curves:
    """Keeps what a training is like in every iteration. Attach it in front of what clips the gradients."""

    def __init__(self, network: torch.nn.Module, loss: ISNetLRPLoss) -> None:
        self.network, self.loss = network, loss
        self.values: dict[str, list[float | None]] = {name: [] for name in CURVES}
        self.seconds: list[float] = []

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.ITERATION_STARTED, self._start)
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self._record)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._stop)

    def _start(self) -> None:
        self._started = time.process_time()  # others on the same machine do not count

    def _record(self, engine: Any) -> None:
        now: dict[str, Any] = {**self.loss.terms, "relevance_weight": self.loss.relevance_weight}
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        now["gradient_norm"] = torch.nn.utils.get_total_norm(gradients)
        heatmap = engine.state.output["pred"].get("heatmap")
        if heatmap is not None:
            target = engine.state.output["label"]
            masks = target["mask"][target["has_mask"]] if "has_mask" in target else target["mask"]
            values = heatmap["input"] if isinstance(heatmap, dict) else heatmap
            now["foreground_relevance"] = (values.detach().abs() * masks.unsqueeze(1)).flatten(2).sum(2).mean()
        for name, values in self.values.items():
            values.append(float(now[name]) if name in now else None)

    def _stop(self) -> None:
        self.seconds.append(time.process_time() - self._started)


def make_network() -> ResNet:
    """A small residual network for 32 × 32 images, with stride 1 at the stem."""
    return ResNet(
        "basic",
        layers=[1, 1, 1, 1],
        block_inplanes=[16, 16, 32, 32],
        spatial_dims=2,
        n_input_channels=1,
        conv1_t_size=3,
        conv1_t_stride=1,
        no_max_pool=True,
        num_classes=10,
    )


def training_items(variant: Variant, images: int) -> list[dict[str, Any]]:
    """The first training images, with flags where some have no mask; which ones have is the same in every run."""
    data = biased_mnist("training", bias=variant.bias)
    items = BiasedMNIST(*(part[:images] for part in data)).items()
    if variant.masks == 1.0:
        return items
    for n, item in enumerate(items):
        item["patient_id"] = n
    hide = Compose([KeepMaskd("mask"), FillMaskd()])
    return [
        {key: item[key] for key in ("image", "label", "mask", "has_mask")}
        for item in map(hide, keep_mask_fraction(items, variant.masks))
    ]


@torch.no_grad()
def accuracy(network: torch.nn.Module, data: BiasedMNIST, images: int) -> float:
    network.eval()
    pairs = zip(data.image[:images].split(500), data.label[:images].split(500), strict=True)
    return sum(int((network(x).argmax(1) == y).sum()) for x, y in pairs) / len(data.label[:images])


def background_share(network: torch.nn.Module, data: BiasedMNIST, target: str, images: int) -> float:
    """Mean share of a map's relevance that is outside the mask; maps without any relevance do not count."""
    network.eval()
    shares = []
    for x, mask in zip(data.image[:images].split(250), data.mask[:images].split(250), strict=True):
        explained: Any = network(x).argmax(1) if target == "predicted" else target
        _, relevance = LRP(network)(x, target=explained)
        there = relevance.flatten(1).abs().amax(1) > 0
        shares.append(background_relevance(relevance[there], mask[there]))
    return torch.cat(shares).mean().item()


def train(variant: Variant, seed: int, images: int, epochs: int, evaluated: int, weights: Path) -> dict[str, Any]:
    """One run: what a user of a MONAI trainer would write, and what came of it; the network is saved as ``weights``."""
    set_determinism(seed)
    network = make_network()
    inferer = ISNetInferer(
        variant.target, variant.epsilon, variant.input_rule, layers=variant.layers, interval=variant.interval
    )
    loss = ISNetLRPLoss(
        relevance_weight=variant.relevance_weight,
        rank_decay=variant.rank_decay,
        background_scale=variant.background_scale,
        cuts=variant.cuts,
    )
    inferer.active = variant.relevance_weight > 0
    optimizer: torch.optim.Optimizer = (
        torch.optim.SGD(network.parameters(), variant.learning_rate, momentum=0.9)
        if variant.sgd
        else torch.optim.Adam(network.parameters(), variant.learning_rate)
    )
    curves, tuning = Curves(network, loss), RelevanceCutTuning(inferer, loss, max(variant.tuning_epochs, 1))
    handlers: list[Any] = [curves, LossTerms(loss), GradientClipping(network, variant.max_norm)]
    if variant.tuning_epochs:
        handlers.append(tuning)
    if variant.ramp_epochs:
        ramp: dict[str | float, float] = {0: 0.0, variant.ramp_epochs: variant.relevance_weight}
        handlers.append(RelevanceWeightSchedule(loss, ramp, delay=variant.tuning_epochs))
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=epochs,
        train_data_loader=DataLoader(
            Dataset(training_items(variant, images)), batch_size=BATCH, shuffle=True, drop_last=True
        ),
        network=network,
        optimizer=optimizer,
        loss_function=loss,
        inferer=inferer,
        prepare_batch=PrepareBatchISNet(),
        decollate=False,
        train_handlers=handlers,
    )
    validation, history = biased_mnist("validation"), []

    @trainer.on(Events.EPOCH_COMPLETED)
    def validate(engine: Engine) -> None:
        shares = {target: background_share(network, validation, target, 500) for target in ("selective", "predicted")}
        history.append({"accuracy": accuracy(network, validation, min(evaluated, 2000)), "background": shares})
        terms = ", ".join(f"{key} {value:.3f}" for key, value in engine.state.metrics.items())
        print(
            f"  epoch {engine.state.epoch}: {terms}; validation accuracy {history[-1]['accuracy']:.3f}, "
            f"background relevance {shares['predicted']:.3f}",
            flush=True,
        )

    trainer.run()
    torch.save(network.state_dict(), weights)
    tests = {cue: biased_mnist("test", cue=cue) for cue in CUES}
    return {
        "test": {cue: accuracy(network, data, evaluated) for cue, data in tests.items()},
        "background": {
            target: background_share(network, tests["same"], target, min(evaluated, 1000))
            for target in ("selective", "predicted")
        },
        "validation": history,
        "cuts": loss.cuts if isinstance(loss.cuts, dict) else loss.cuts.tolist(),
        "seconds": sum(curves.seconds),
        "curves": curves.values,
    }


def run(name: str, seed: int, images: int, epochs: int, evaluated: int, folder: Path) -> dict[str, Any]:
    """The results of a run, from its file or from a training."""
    file = folder / f"{name}_seed{seed}.json"
    settings = {"variant": repr(VARIANTS[name]), "images": images, "epochs": epochs, "evaluated": evaluated}
    if file.exists():
        result = json.loads(file.read_text(encoding="utf-8"))
        if result["settings"] != settings:
            raise ValueError(
                f"{file} is of a run with other settings, {result['settings']}: delete it or change --out."
            )
        return result
    print(f"\n=== {VARIANTS[name].title}, seed {seed} ===", flush=True)
    try:
        result = {
            "settings": settings,
            **train(VARIANTS[name], seed, images, epochs, evaluated, file.with_suffix(".pt")),
        }
    except FloatingPointError as error:  # a result, too
        result = {"settings": settings, "diverged": str(error)}
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(result), encoding="utf-8")
    partial.replace(file)
    return result


def table(results: dict[str, list[dict]]) -> str:
    """Markdown: mean and standard deviation over the seeds, in percent, and the time of a step."""
    head = ["variant", "runs", *(f"test: {cue}" for cue in CUES), "background relevance", "time"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    plain = {n: run["seconds"] for n, run in enumerate(results.get("plain", [])) if "seconds" in run}
    for name, runs in results.items():
        good = [run for run in runs if "test" in run]
        count = str(len(good)) + (f" ({len(runs) - len(good)} diverged)" if len(good) < len(runs) else "")
        columns = [[run["test"][cue] for run in good] for cue in CUES]
        columns.append([run["background"]["predicted"] for run in good])
        times = [run["seconds"] / plain[n] for n, run in enumerate(runs) if "seconds" in run and n in plain]
        cells = [_spread(column) for column in columns] + [f"{np.mean(times):.2f}" if times else "-"]
        lines.append("| " + " | ".join([VARIANTS[name].title, count, *cells]) + " |")
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    if not values:
        return "-"
    spread = f" ± {100 * np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{100 * np.mean(values):.1f}{spread}"


def draw_curves(results: dict[str, list[dict]], smooth: int = 15) -> Figure:
    """What every variant's training was like, each line the mean over the seeds and over ``smooth`` iterations."""
    figure = Figure(figsize=(12, 8.5), layout="constrained")
    axes = figure.subplots(3, 3)
    for name, runs in results.items():
        good = [run for run in runs if "curves" in run]
        if not good:
            continue
        for panel, (key, title) in zip(axes.flat, CURVES.items(), strict=False):
            values = np.array([run["curves"][key] for run in good], dtype=float)
            width = 1 if key == "relevance_weight" else smooth
            blocks = values[:, : values.shape[1] // width * width].reshape(len(values), -1, width)
            known = ~np.isnan(blocks).all((0, 2))  # a block without any heatmap is left out
            (line,) = panel.plot(
                (np.flatnonzero(known) + 0.5) * width,
                np.nanmean(blocks[:, known], (0, 2)),
                lw=1.4,
                label=VARIANTS[name].title,
            )
            panel.set_title(title, fontsize=10)
        steps = values.shape[1] / len(good[0]["validation"])
        at = steps * np.arange(1, len(good[0]["validation"]) + 1)
        histories = {
            "validation accuracy, same marks": [[epoch["accuracy"] for epoch in run["validation"]] for run in good],
            "validation background relevance": [
                [epoch["background"]["predicted"] for epoch in run["validation"]] for run in good
            ],
        }
        for panel, (title, values_of) in zip(axes.flat[6:8], histories.items(), strict=True):
            panel.plot(at, np.mean(values_of, 0), "o-", ms=3, lw=1.4, color=line.get_color())
            panel.set_title(title, fontsize=10)
            panel.set_ylim(0, 1.02 if "accuracy" in title else None)
        test = [np.mean([run["test"][cue] for run in good]) for cue in CUES]
        axes.flat[8].plot(CUES, test, "o-", ms=4, lw=1.4, color=line.get_color())
    axes.flat[8].set_title("test accuracy by what the mark names", fontsize=10)
    axes.flat[8].set_ylim(0, 1.02)
    for key, panel in zip(CURVES, axes.flat, strict=False):
        if key in ("foreground", "foreground_relevance", "gradient_norm"):
            panel.set_yscale("log")
    for panel in axes.flat[:8]:
        panel.set_xlabel("iteration", fontsize=8)
    for panel in axes.flat:
        panel.tick_params(labelsize=8)
        panel.grid(alpha=0.3)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=9)
    return figure


def main(
    out: str = "isnet_mnist_output",
    seeds: str | int | tuple = 0,
    variants: str | tuple = ("plain", "selective"),
    images: int = 8_000,
    epochs: int = 3,
    quick: bool = False,
) -> None:
    """Train every variant with every seed, and write the table and the figure.

    Args:
        out: folder for everything; finished runs in it are used again.
        seeds: one seed, or several separated by commas.
        variants: names separated by commas, of the table VARIANTS in this file.
        images: number of training images.
        epochs: number of epochs.
        quick: one epoch on 256 images and a test on 250, only to see that everything runs.
    """
    torch.set_num_threads(1)
    names = list(variants if isinstance(variants, tuple) else variants.split(","))
    unknown = sorted(set(names) - VARIANTS.keys())
    if unknown:
        raise ValueError(f"unknown variants {unknown}; there are {', '.join(VARIANTS)}.")
    seed_list = [int(s) for s in (seeds if isinstance(seeds, tuple) else str(seeds).split(","))]
    images, epochs, evaluated = (
        (256, max(1, VARIANTS[names[-1]].tuning_epochs), 250) if quick else (images, epochs, 10_000)
    )
    folder = Path(out).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    results: dict[str, list[dict]] = {name: [] for name in names}
    for seed in seed_list:
        for name in names:
            results[name].append(run(name, seed, images, epochs, evaluated, folder))
    draw_curves(results).savefig(folder / "isnet_mnist.png", dpi=110)
    runs = f"mean ± standard deviation of {len(seed_list)} seeds" if len(seed_list) > 1 else "one seed"
    text = (
        f"{table(results)}\n\nPercent, {runs}; {images} training images, {epochs} epochs; MNIST with a planted mark. "
        "Background relevance: share of the predicted logit's relevance outside the mask, on test images with the mark "
        "of their own class. Time: of the training steps, times the plain network's.\n\n"
        f"`{' '.join(['python', *sys.argv])}`\n"
    )
    (folder / "report.md").write_text(text, encoding="utf-8")
    print(f"\n{text}\n{(time.monotonic() - start) / 60:.1f} minutes; figure: {folder / 'isnet_mnist.png'}")


if __name__ == "__main__":
    fire.Fire(main)
