# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How long an audit takes: 1,000 images of 224 × 224 with a ResNet18, masks, patients and an attribute, on two cores.

python -m benchmarks.audit.duration

Beside the wall clock stands the time of the processor, which other work on the machine lengthens less; with two
cores to itself, the audit takes about half of it. The images are noise, and the network is not trained: what is
computed does not depend on that.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fire
import torch
from monai.networks.nets import resnet18

from benchmarks.csv_file import RESULTS, append, made_by
from monai_debias.audit import audit
from monai_debias.audit.checks import default_checks
from monai_debias.audit.checks.check import Check
from monai_debias.audit.subject import Subject

KEY = ("images", "size", "threads", "check")


class Noise(Sequence[dict[str, Any]]):
    """Images that are made when they are asked for, two of each patient; half of the classes have a bright square.

    Args:
        n: how many.
        size: pixels of a side.
    """

    def __init__(self, n: int, size: int) -> None:
        self.n, self.size = n, size
        self.mask = torch.zeros(1, size, size, dtype=torch.uint8)
        self.mask[:, size // 4 : -size // 4, size // 4 : -size // 4] = 1

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, number: int) -> dict[str, Any]:
        image = torch.rand(1, self.size, self.size, generator=torch.Generator().manual_seed(number))
        label = number // 2 % 2
        image[:, : self.size // 8, : self.size // 8] += label
        patient, scanner = number // 2, "ABC"[number // 2 % 3]
        return {"image": image, "mask": self.mask, "label": label, "patient_id": patient, "scanner": scanner}


class Timed:
    """A check that knows how long it took.

    Args:
        check: the check.
    """

    def __init__(self, check: Check) -> None:
        self.check, self.name, self.took = check, check.name, (0.0, 0.0)

    def lacks(self, subject: Subject) -> str:
        """As the check."""
        return self.check.lacks(subject)

    def cost(self, subject: Subject) -> int:
        """As the check."""
        return self.check.cost(subject)

    def __call__(self, subject: Subject) -> list[Any]:
        """As the check."""
        clock, processor = time.perf_counter(), time.process_time()
        found = self.check(subject)
        self.took = time.perf_counter() - clock, time.process_time() - processor
        return found


def main(images: int = 1000, size: int = 224, threads: int = 2, out: str = str(RESULTS / "audit_duration.csv")) -> None:
    """Audit once, print and write the seconds of each check and of all.

    Args:
        images: how many.
        size: pixels of a side.
        threads: of torch.
        out: the CSV.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = resnet18(spatial_dims=2, n_input_channels=1, num_classes=2).eval()
    checks = [Timed(check) for check in default_checks()]
    clock, processor = time.perf_counter(), time.process_time()
    audit(network, Noise(images, size), attributes=["scanner"], checks=checks)
    took = {check.name: check.took for check in checks} | {
        "all, with the images read": (time.perf_counter() - clock, time.process_time() - processor)
    }
    file, origin = Path(out).resolve(), made_by()
    file.parent.mkdir(parents=True, exist_ok=True)
    load = f"{os.getloadavg()[0]:.1f}"
    for name, (wall, used) in took.items():
        row = dict(zip(KEY, (images, size, threads, name), strict=True))
        row |= {"seconds": f"{wall:.1f}", "processor_seconds": f"{used:.1f}", "load": load}
        append(file, {**row, **origin}, KEY)
        print(f"{name}: {wall:.0f} s, {used:.0f} s of the processor")


if __name__ == "__main__":
    fire.Fire(main)
