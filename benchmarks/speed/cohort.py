# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What a cohort costs before its first batch, in each epoch, and in memory, and what 100,000 clips would.

The bundle's own transforms, with its sectors and BackMix, on demo cohorts of several sizes; each size and way to keep
clips is measured in a process of its own. What grows with the number of clips is told by a line through the sizes; what
does not (the first batch where clips are read when they are needed) by the largest. Seconds are those of the processor:
disks and networks, on which many files may be slower than few, are not in them.
"""

from __future__ import annotations

import itertools
import multiprocessing
import re
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.utils import set_determinism

from benchmarks.speed.timing import record
from benchmarks.tables import markdown
from monai_debias.data import load_datalist, save_datalist
from monai_debias.demo import build_echo_cohort

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "echo_view"
WAYS = {
    "nowhere": (False, False),
    "on the disk, first run": (True, False),
    "on the disk, later": (True, False),
    "in memory": (False, True),
    "in memory, from the disk": (True, True),
    "in memory, from the disk; moves written down": (True, True),
}
"""How prepared clips are kept: whether on the disk, and whether in memory."""
_READ = tuple(way for way in WAYS if way == "on the disk, later" or "from the disk" in way)  # fast: for more clips
_TRACKED = "moves written down"  # as MONAI does with random transforms, and the bundle does not
_MORE = 25
COSTS = ("start_seconds", "epoch_seconds", "memory_mb", "disk_mb")
MANY = 100_000


def cohort_cost(sizes: Sequence[int] = (8, 16, 32), csv: str = "") -> None:
    """Measure the start, an epoch and the memory of a training with BackMix for each way to keep prepared clips.

    Args:
        sizes: numbers of training clips; where clips that are prepared already are read, each comes 25 times.
        csv: file of a line for each size and way; none if empty.
    """
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        data, cache = Path(folder, "data"), Path(folder, "cache")
        build_echo_cohort(data, patients=(max(sizes) // 4, 1, 1), progress=False)
        whole = load_datalist(data, "training")
        for size, way in itertools.product(sizes, WAYS):
            if way == "on the disk, first run":
                shutil.rmtree(cache, ignore_errors=True)
            items = whole[:size] * (_MORE if way in _READ else 1)
            found = _in_a_process_of_its_own(_measure, data, items, cache, *WAYS[way], _TRACKED in way)
            rows.append({"table": "cohort", "clips": len(items), "kept": way, **found})
            print(rows[-1], flush=True)
        seconds, megabytes = _in_a_process_of_its_own(_datalist, Path(folder, "many"))
    more = {"epoch_seconds": "", "memory_mb": megabytes, "disk_mb": ""}
    rows.append({"table": "datalist", "clips": MANY, "kept": "", "start_seconds": seconds, **more})
    record(rows, csv)
    print("\n".join(quoted(rows)))


def quoted(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The table that docs/clusters.md quotes: the costs for 100,000 clips, by the line through the sizes measured."""
    lines = []
    for way, (_, in_memory) in WAYS.items():
        own = [row for row in rows if row["kept"] == way]
        start, epoch, memory, disk = ([float(row[column]) for row in own] for column in COSTS)
        clips = [float(row["clips"]) for row in own]
        many = _line(clips, start) if in_memory else start[-1]
        held = _line(clips, memory) if in_memory else memory[-1]
        gigabytes = f"{held / 1e3:.1f}" if way in _READ else ""  # a few clips are less than what the allocator takes
        lines.append(
            [way, _duration(many), _duration(_line(clips, epoch)), gigabytes, f"{_line(clips, disk) / 1e3:.0f}"]
        )
    (listed,) = (row for row in rows if row["table"] == "datalist")
    seconds, memory = (float(listed[column]) for column in ("start_seconds", "memory_mb"))
    lines.append(["the datalist alone, measured", _duration(seconds), "", f"{memory / 1e3:.1f}", ""])
    return [markdown(["prepared clips are kept", "until the first batch", "an epoch", "memory, GB", "disk, GB"], lines)]


def _measure(
    data: Path, items: list[dict[str, Any]], cache: Path, on_disk: bool, in_memory: bool, tracked: bool
) -> dict[str, float]:
    """Processor seconds and megabytes of a training's data."""
    parser = ConfigParser()
    parser.read_config([str(BUNDLE / "configs" / f"{name}.json") for name in ("train", "backmix")])
    kept = {"cache_dir": str(cache) if on_disk else None, "in_memory": in_memory}
    fixed = {"dataset_dir": str(data), "show_progress": False, "num_workers": 0, "batch_size": 4}
    for name, value in {**kept, **fixed, "train_items": items}.items():
        parser[name] = value
    if tracked:
        parser["augmentation"] = "@random_transforms"
    set_determinism(0)
    before, start = _own_memory(), time.process_time()
    loader = iter(parser.get_parsed_content("train#dataloader"))
    next(loader)
    started = time.process_time()
    n_batches = sum(1 for _ in loader)
    ended = time.process_time()
    return {
        "start_seconds": started - start,
        "epoch_seconds": (ended - started) * (n_batches + 1) / n_batches,
        "memory_mb": (_own_memory() - before) / 1e6,
        "disk_mb": len(items) * _mean_size(cache) / 1e6 if on_disk else 0.0,
    }


def _mean_size(cache: Path) -> float:
    return float(np.mean([file.stat().st_size for file in cache.rglob("*.pt")]))


def _datalist(folder: Path) -> tuple[float, float]:
    """Seconds and megabytes of reading a datalist of many files, which are there."""
    folder.mkdir()
    items = []
    for n in range(MANY):
        part = folder / str(n // 1000)
        part.mkdir(exist_ok=True)
        (part / f"{n}.dcm").touch()
        items.append({"image": f"{n // 1000}/{n}.dcm", "label": n % 2, "patient_id": f"p{n // 4}"})
    save_datalist(folder, {"training": items}, ("a", "b"), "many files")
    del items
    before, start = _own_memory(), time.process_time()
    items = load_datalist(folder, "training")
    seconds, memory = time.process_time() - start, _own_memory() - before
    assert len(items) == MANY  # they were there while memory was read
    return seconds, memory / 1e6


def _in_a_process_of_its_own(work: Any, *arguments: Any) -> Any:
    torch.set_num_threads(1)
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=lambda: send.send(work(*arguments)))
    process.start()
    send.close()
    result = receive.recv()
    process.join()
    return result


def _own_memory() -> int:
    """Bytes that this process has written itself."""
    text = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8")
    found = re.search(r"Private_Dirty:\s+(\d+) kB", text)
    assert found is not None
    return int(found[1]) * 1024


def _line(clips: Sequence[float], cost: Sequence[float]) -> float:
    """The cost of many clips."""
    return float(np.polyval(np.polyfit(clips, cost, 1), MANY))


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
