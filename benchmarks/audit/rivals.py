# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What other tools say of networks whose shortcut is known, beside the audit without masks.

python -m benchmarks.audit.rivals --seeds 3

It takes an environment of its own with ``bnnr``, ``cleanlab[image]`` and ``datasets`` beside this package. The
networks, images and audits are those of :mod:`benchmarks.audit.mending`. An alarm is, by each tool's own words,

- of bnnr's ``analyze_model``, with its settings but 50 instead of 500 heatmaps: a finding "background focus suspected";
- of cleanlab's ``Datalab``: a property of the images whose score is below its threshold of 0.3. It does not look at
  the network, so that it says the same of all networks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import fire
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.audit.mending import TRIALS, Trial, audited
from benchmarks.csv_file import RESULTS, append, made_by, read
from benchmarks.evidence.training import Judge

KEY = ("testbed", "network", "seed")
NETWORKS = ("plain", "unbiased", "backmix")
THRESHOLD = 0.3  # of cleanlab


def main(testbed: str = "biased_mnist", seeds: int = 3, out: str = str(RESULTS / "audit_rivals.csv")) -> None:
    """Train, ask all tools, and print how often each gave an alarm.

    Args:
        testbed: of the benchmark of mending.
        seeds: trainings of each network, from 0.
        out: the CSV, a line for each network.
    """
    torch.set_num_threads(1)
    file, trial = Path(out).resolve(), TRIALS[testbed]
    file.parent.mkdir(parents=True, exist_ok=True)
    images: Any = trial.load("validation", "same")
    origin = {"tools": ", ".join(f"{name} {version(name)}" for name in ("bnnr", "cleanlab")), **made_by()}
    done = {tuple(row[column] for column in KEY) for row in read(file)}
    for seed in range(seeds):
        for method in NETWORKS:
            if (testbed, method, str(seed)) in done:
                continue
            judge = trial.train(method, None, seed)
            row: dict[str, Any] = dict(zip(KEY, (testbed, method, seed), strict=True))
            row["reversed"] = f"{judge.accuracy(trial.load('test', 'reversed')):.4f}"
            row |= timed("audit", partial(audit_alarm, trial, judge, seed))
            row |= timed("bnnr", partial(bnnr_alarm, judge.network, images))
            row |= timed("cleanlab", partial(cleanlab_alarm, images))
            append(file, {**row, **origin}, KEY)
            print(row, flush=True)
    print(table(read(file)))


def timed(name: str, ask: Callable[[], int]) -> dict[str, Any]:
    """Whether a tool gave an alarm, and what that cost of the processor."""
    start = time.process_time()
    return {name: ask(), f"{name}_seconds": f"{time.process_time() - start:.1f}"}


def audit_alarm(trial: Trial, judge: Judge, seed: int) -> int:
    """Whether the audit without masks finds stamps or patches that the network uses."""
    return int(audited(trial, judge, seed)[0]["alarm"])


def bnnr_alarm(network: nn.Module, images: Any) -> int:
    """Whether bnnr suspects for any class that the network looks at the background."""
    from bnnr.adapter import SimpleTorchAdapter
    from bnnr.analyze import analyze_model

    optimizer = torch.optim.SGD(network.parameters(), 0.0)
    adapter = SimpleTorchAdapter(network, nn.CrossEntropyLoss(), optimizer, device="cpu")
    loader = DataLoader(TensorDataset(images.image, images.label, torch.arange(len(images.label))), 32)
    report = analyze_model(adapter, loader, device="cpu", run_data_quality=False, xai_samples=50)
    return int(any(one["finding_type"] == "background_focus_suspected" for one in report.findings))


def cleanlab_alarm(images: Any) -> int:
    """Whether cleanlab finds a property of the images that goes with their label."""
    from cleanlab import Datalab
    from datasets import Dataset, Features, Value
    from datasets import Image as ImageFeature
    from PIL import Image

    pictures = [Image.fromarray((image.movedim(0, 2) * 255).byte().squeeze(2).numpy()) for image in images.image]
    features = Features({"image": ImageFeature(), "label": Value("int64")})
    data = Dataset.from_dict({"image": pictures, "label": images.label.tolist()}, features=features)
    lab = Datalab(data=data, label_name="label", image_key="image", verbosity=0)
    lab.find_issues()
    found = lab.get_info("spurious_correlations")["correlations_df"]
    return int((found["score"] < THRESHOLD).any())


def table(rows: Sequence[dict[str, str]]) -> str:
    """How many networks of each kind each tool gave an alarm of, in Markdown."""
    lines = ["| testbed | network | networks | reversed marks | audit | bnnr | cleanlab |", "|---|---|" + "---:|" * 5]
    for testbed, method in dict.fromkeys((row["testbed"], row["network"]) for row in rows):
        some = [row for row in rows if (row["testbed"], row["network"]) == (testbed, method)]
        accuracy = sum(float(row["reversed"]) for row in some) / len(some)
        alarms = [str(sum(row[tool] == "1" for row in some)) for tool in ("audit", "bnnr", "cleanlab")]
        cells = [testbed, method, str(len(some)), f"{100 * accuracy:.1f}", *alarms]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    fire.Fire(main)
