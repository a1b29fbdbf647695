# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The command ``python -m benchmarks.audit``: audits of networks whose shortcut is known, and how right they were."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from benchmarks.audit.cases import CASES, STRENGTHS, Case
from benchmarks.csv_file import RESULTS, append, made_by, read
from monai_debias.audit import audit
from monai_debias.audit.checks import AttributeUsed, BackgroundUsed, PatchUsed, StampUsed
from monai_debias.audit.checks.check import Check

KEY = ("testbed", "method", "strength", "seed", "audit")
USED = ("attribute", "background", "stamp", "patch")
METHODS = ("plain", "unbiased", "backmix")  # with the shortcut; without; present in the data, and not used
LOSING = "all that lose 1 point or more"
FIRST = 3000  # seed of the audits: those of another number were used while thresholds were chosen


def main(
    testbed: str,
    methods: str | Sequence[str] = METHODS,
    strengths: float | Sequence[float] | None = None,
    seeds: int = 2,
    audits: int = 10,
    first: int = FIRST,
    masks: bool = True,
    out: str | None = None,
) -> None:
    """Train what is missing, audit each network many times on random patients, and print how right the audits were.

    Args:
        testbed: biased_mnist, colour_corner_resnet, ecg_device, echo_demo or chest_xray.
        methods: names of methods, separated by commas.
        strengths: of the bias; the unbiased networks are audited on images with each of them.
        seeds: trainings of each; 0 is the first.
        audits: of each network.
        first: seed of the first audit.
        masks: whether the images have masks and an attribute; without them only stamps and patches can be looked for.
        out: the CSV, a line for each audit; by default audit.csv, or audit_without_masks.csv, among the results.
    """
    torch.set_num_threads(1)
    file = Path(out or RESULTS / ("audit.csv" if masks else "audit_without_masks.csv")).resolve()
    file.parent.mkdir(parents=True, exist_ok=True)
    origin, done = made_by(), {tuple(str(row[column]) for column in KEY) for row in read(file)}
    asked = STRENGTHS[testbed] if strengths is None else strengths
    for method in methods.split(",") if isinstance(methods, str) else methods:
        for strength in asked if isinstance(asked, Sequence) else [asked]:
            for seed in range(seeds):
                names = [(testbed, method, strength, seed, first + k) for k in range(audits)]
                left = [name for name in names if tuple(map(str, name)) not in done]
                case = CASES[testbed](method, float(strength), seed) if left else None
                for name in left:
                    append(
                        file, {**dict(zip(KEY, name, strict=True)), **one_audit(case, name[-1], masks), **origin}, KEY
                    )
                print(f"{method}, strength {strength}, seed {seed}: {len(left)} audits", flush=True)
    print(table(read(file)))


def one_audit(case: Case, seed: int, masks: bool = True) -> dict[str, Any]:
    """What an audit on some of the patients says, as columns."""
    rng, start = np.random.default_rng(seed), time.process_time()
    names = sorted({item["patient_id"] for item in case.items})
    chosen = set(rng.choice(names, min(case.audited, len(names)), replace=False).tolist())
    rooms = dict(zip(names, rng.integers(0, 3, len(names)).astype(str).tolist(), strict=True))
    items = [{**item, "room": rooms[item["patient_id"]]} for item in case.items if item["patient_id"] in chosen]
    checks: list[Check] = [AttributeUsed(), BackgroundUsed(), StampUsed(), PatchUsed()]
    if not masks:
        items = [{key: value for key, value in item.items() if key != "mask"} for item in items]
        checks = [StampUsed(), PatchUsed()]
    options: dict[str, Any] = {"attributes": ["mark", "room"], "normalize": case.judge.normalize, "seed": seed}
    found = audit(case.judge.network, items, checks=checks, **options)
    row: dict[str, Any] = {"fall": f"{case.fall:.4f}", "images": len(items), "alarm": int(found.exit_code == 3)}
    room = [one for one in found.findings if one.tested == "room"]
    for check in checks:
        of_check = [one for one in found.findings if one.check == check.name and one not in room]
        finding = dataclasses.asdict(of_check[0]) if of_check else {}
        row |= {f"{check.name}_{key}": finding.get(key) for key in ("effect", "low", "high", "p", "verdict")}
    row["room_verdict"] = room[0].verdict if room else None
    return {**row, "audit_seconds": f"{time.process_time() - start:.1f}"}


def table(rows: Sequence[dict[str, str]]) -> str:
    """Alarms by what the shortcut costs, and the rank correlation of effect and cost, in Markdown."""
    checks = [check for check in USED if f"{check}_verdict" in rows[0]]
    testbeds = list(dict.fromkeys(row["testbed"] for row in rows))
    lines = [
        f"| testbed | networks | audits | alarms | {' | '.join(checks)} |",
        "|---|---|" + "---:|" * (2 + len(checks)),
    ]
    for testbed in testbeds:
        for title, belongs in GROUPS.items():
            some = [row for row in rows if row["testbed"] == testbed and belongs(row)]
            if some:
                found = [sum(row[f"{check}_verdict"] == "found" for row in some) for check in checks]
                cells = [len(some), sum(row["alarm"] == "1" for row in some), *found]
                lines.append(f"| {testbed} | {title} | {' | '.join(map(str, cells))} |")
    parts = {testbed: [row for row in rows if row["testbed"] == testbed] for testbed in testbeds}
    if len(testbeds) > 1:
        parts |= {"all": list(rows), LOSING: [row for row in rows if float(row["fall"]) >= 0.01]}
    for title, some in parts.items():
        found = [rank_correlation(some, check) for check in checks]
        cells = " | ".join("" if np.isnan(value) else f"{value:.2f}" for value in found)
        lines.append(f"| {title} | rank correlation of effect and fall, {len(networks(some))} networks | | | {cells} |")
    if "attribute" in checks:
        marks, rooms = (sum(row[f"{name}_verdict"] == "found" for row in rows) for name in ("attribute", "room"))
        lines += [
            "",
            f"Of the attributes, the mark was found in {marks} audits, and the room, which is random, in {rooms}.",
        ]
    return "\n".join(lines)


def networks(rows: Sequence[dict[str, str]]) -> list[list[dict[str, str]]]:
    """The audits of each network on images of one strength."""
    by_network: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in rows:
        by_network.setdefault(tuple(row[column] for column in KEY[:-1]), []).append(row)
    return list(by_network.values())


def rank_correlation(rows: Sequence[dict[str, str]], check: str) -> float:
    """Spearman's correlation, over networks, of the mean effect that a check reports and the fall of the accuracy.

    Audits in which it could not be done are left out, such as of an attribute that goes with the class everywhere.
    """
    done = [row for row in rows if row[f"{check}_effect"]]
    pairs = [
        (float(audits[0]["fall"]), np.mean([float(row[f"{check}_effect"]) for row in audits]))
        for audits in networks(done)
    ]
    return float(spearmanr(*zip(*pairs, strict=True))[0]) if len({effect for _, effect in pairs}) > 1 else np.nan


def _plain(low: float, high: float) -> Callable[[dict[str, str]], bool]:
    return lambda row: row["method"] == "plain" and low <= float(row["fall"]) < high


GROUPS: dict[str, Callable[[dict[str, str]], bool]] = {
    "trained without the mark": lambda row: row["method"] == "unbiased",
    "BackMix on biased data": lambda row: row["method"] == "backmix",
    "plain, loses less than 1 point": _plain(-1.0, 0.01),
    "plain, loses 1 to 5 points": _plain(0.01, 0.05),
    "plain, loses 5 to 10 points": _plain(0.05, 0.1),
    "plain, loses 10 points or more": _plain(0.1, 2.0),
}
