# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What only a GPU can show, in a few minutes.

    python -m benchmarks.speed.gpu_check --out FOLDER

- relevance and its gradients on the GPU are those of the CPU, for six networks;
- captured steps are eager ones, over 50 steps, bit for bit where the algorithms are deterministic;
- nothing in a step waits for the device (torch's synchronisation debug mode raises an error);
- the echo bundle trains two epochs with ``amp`` and ``--capture True``: ISNet, Flow-Mixup and combined overlays;
- the table of eager and captured steps, as `steps.csv`.

It prints one line for each check, and its exit status is 1 if one failed. ``--quick True`` runs what does not need a
GPU on a CPU, at small sizes: its times mean nothing.
"""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import fire
import torch
from monai.engines import SupervisedTrainer
from torch import nn

from benchmarks.csv_file import ROOT
from benchmarks.speed.captured import BATCHES, N_CLASSES, batch_of, make_trainer, step_rows
from benchmarks.speed.networks import NETWORKS
from benchmarks.speed.timing import record, shown
from monai_debias.demo import build_echo_cohort
from monai_debias.relevance import LRP

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
OVERLAYS = (["isnet"], ["flow_mixup"], ["backmix", "isnet", "spectral_decoupling"])
STEPS, TINY = 50, 1e-5


def same_on_the_cpu(device: str, smaller: int) -> Iterator[tuple[str, bool, str]]:
    """Maps and gradients of every network, in full float32, against those of the CPU."""
    for name, (_, shape) in BATCHES.items():
        shape = tuple(max(32, side // 4 // smaller) for side in shape)
        torch.manual_seed(0)
        network, batch = NETWORKS[name](shape[0], N_CLASSES).eval(), batch_of(2, shape)
        found = []
        for where in ("cpu", device):
            twin, images = copy.deepcopy(network).to(where), batch["image"].to(where)
            logits, relevance = LRP(twin)(images, "all", create_graph=True)
            (logits.logsumexp(1).sum() + relevance.abs().sum()).backward()
            gradient = torch.cat([p.grad.flatten() for p in twin.parameters() if p.grad is not None])
            found.append((relevance.detach().double().cpu(), gradient.double().cpu()))
        errors = [((one - other).norm() / other.norm()).item() for one, other in zip(*found[::-1], strict=True)]
        yield f"{name} as on the CPU", max(errors) < 1e-3, f"maps {errors[0]:.1e}, gradients {errors[1]:.1e}"


def captured_as_eager(device: str, steps: int) -> Iterator[tuple[str, bool, str]]:
    """The losses and weights of captured trainings against those of eager ones."""
    for target in (None, "selective", "all", "stochastic"):
        for amp in (False, True) if device == "cuda" else (False,):
            ends = []
            for capture in (False, True):
                torch.manual_seed(0)
                batches = [batch_of(8, (32, 32), device, seed) for seed in range(steps - 1)]
                batches.append(batch_of(5, (32, 32), device, steps))
                trainer = make_trainer(NETWORKS["ResNet18"](32, N_CLASSES), batches, target, capture, amp)
                torch.manual_seed(1)
                trainer.run()
                ends.append(nn.utils.parameters_to_vector(trainer.network.parameters()).detach().double())
            error = ((ends[1] - ends[0]).norm() / ends[0].norm()).item()
            name = f"{steps} steps, {target or 'plain'}{', bfloat16' if amp else ''}: captured as eager"
            recorded = sum(step.replay is not None for step in trainer._process_function._steps.values())
            said = "; ".join(trainer._process_function._said) or f"{recorded} recordings"
            yield name, error <= TINY and recorded > 0, f"weights differ by {error:.1e}; {said}"


def nothing_waits(device: str) -> Iterator[tuple[str, bool, str]]:
    """Steps in which torch raises an error at whatever makes the CPU wait."""
    for target in ("selective", "all", "stochastic", "dual"):
        batch = batch_of(8, (32, 32), device)
        trainer = make_trainer(NETWORKS["ResNet18"](32, N_CLASSES), [batch] * 2, target, False, False)
        trainer.run()
        yield (
            f"{target}: nothing waits",
            *_outcome(lambda trainer=trainer, batch=batch: _without_waiting(trainer, batch)),
        )


def _without_waiting(trainer: SupervisedTrainer, batch: dict[str, torch.Tensor]) -> None:
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            trainer._process_function(trainer, batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def bundles_train(folder: Path) -> Iterator[tuple[str, bool, str]]:
    """The echo bundle for two epochs, by its command."""
    build_echo_cohort(folder / "cohort", patients=(6, 2, 3), frames=4, progress=False)
    for overlays in OVERLAYS:
        files = [f"configs/{name}.json" for name in ("train", *overlays)]
        options = {"dataset_dir": folder / "cohort", "output_dir": folder / "-".join(overlays), "max_epochs": 2}
        options |= {"batch_size": 8, "amp": True, "capture": True, "num_workers": 2}
        command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "--config_file", str(files)]
        command += [word for key, value in options.items() for word in (f"--{key}", str(value))]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command, cwd=ROOT / "bundles" / "echo_view", env=environment, capture_output=True, text=True, check=False
        )
        last = (done.stdout + done.stderr).strip().splitlines()[-1:] or [""]
        yield f"echo bundle with {', '.join(overlays)}", done.returncode == 0, "" if done.returncode == 0 else last[0]


def _outcome(check: Callable[[], None]) -> tuple[bool, str]:
    try:
        check()
    except RuntimeError as error:
        return False, str(error)
    return True, ""


@contextmanager
def _exactly() -> Iterator[None]:
    """In full float32, by deterministic algorithms where there are any."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
        torch.use_deterministic_algorithms(False)


def gpu_check(out: str, quick: bool = False, bundles: bool = True, rounds: int = 9) -> None:
    """Run all checks, and the table.

    Args:
        out: folder for `steps.csv`, and for what the bundle writes.
        quick: on a CPU, at small sizes, without what needs a GPU and without the bundle.
        bundles: whether the bundle trains.
        rounds: how often the steps of the table run in turn.
    """
    if not quick and not torch.cuda.is_available():
        raise SystemExit("there is no CUDA device; --quick True runs what a CPU can check.")
    device, start, folder = "cpu" if quick else "cuda", time.monotonic(), Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{torch.cuda.get_device_name() if device == 'cuda' else 'CPU'}, torch {torch.__version__}", flush=True)
    checks = [same_on_the_cpu(device, 1), captured_as_eager(device, STEPS), nothing_waits(device)]
    if quick:
        checks = [captured_as_eager(device, 6)]
    failed = 0
    with _exactly():
        for name, right, what in (result for check in checks for result in check):
            failed += not right
            print(f"{'passed' if right else 'FAILED'}  {name}  {what}  [{time.monotonic() - start:.0f} s]", flush=True)
    for name, right, what in bundles_train(folder) if bundles and not quick else ():
        failed += not right
        print(f"{'passed' if right else 'FAILED'}  {name}  {what}  [{time.monotonic() - start:.0f} s]", flush=True)
    rows = []
    for name in ("ResNet18",) if quick else BATCHES:
        targets = (None, "selective", "dual") if name == "ResNet18" and not quick else (None, "selective")
        rows += (found := step_rows(name, device, 1 if quick else rounds, targets, smaller=4 if quick else 1))
        record(rows, str(folder / "steps.csv"), device=device)  # what there is, should the time end
        for of in dict.fromkeys(row["of"] for row in found):
            print("\n" + shown([row for row in found if row["of"] == of]), flush=True)
    print(f"\n{failed} checks failed, {time.monotonic() - start:.0f} s")
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    fire.Fire(gpu_check)
