# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A bundle as a user runs it: commands that are typed in its folder, at a reduced size."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

from tests import processes

BUNDLES = Path(__file__).resolve().parents[2] / "bundles"


def configs(*names: str | Path) -> str:
    """Files of a bundle, as its command line takes them."""
    return str([str(Path("configs", f"{name}.json")) for name in names])


@dataclass(frozen=True)
class SmallBundle:
    """A bundle with a small cohort of its own and small images.

    Attributes:
        name: its folder.
        build: writes a small cohort to a directory.
        demo: the folder in the bundle's ``data`` where its demo cohort is.
        image_size: that of the images in its tests.
        splits: what its evaluation reports.
        tiny: options that make its network tiny, for tests of the workflow.
    """

    name: str
    build: Callable[[Path], Path]
    demo: str
    image_size: Sequence[int]
    splits: Sequence[str]
    tiny: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        return BUNDLES / self.name

    @property
    def size(self) -> list[str]:
        return ["--image_size", str(list(self.image_size))]

    @property
    def small(self) -> list[str]:
        """Options of a short training."""
        return ["--max_epochs", "1", "--batch_size", "8", *self.size]

    def run(self, *arguments: object, fails: bool = False) -> str:
        """Run ``python -m monai.bundle`` in the bundle's folder; returns what it printed."""
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder, "output.txt")
            code = processes.run(["monai.bundle", *arguments], self.folder, log)
            output = log.read_text(encoding="utf-8", errors="replace")
        assert (code != 0) == fails, output[-6000:]
        return output

    def run_two(self, *arguments: object, folder: Path) -> None:
        """The same in two processes that find each other, as under ``torchrun``."""
        log = folder / "log.txt"
        codes = processes.run_two(["monai.bundle", *arguments], self.folder, log)
        assert codes == [0, 0], log.read_text(encoding="utf-8", errors="replace")[-6000:]

    def use(self, root: Path) -> None:
        """Train, evaluate and infer without further words; what was printed is left in ``printed.txt``."""
        commands = {
            ("train",): self.small,
            ("train", "evaluate"): [*self.size, "--n_resamples", "50"],
            ("inference",): self.size,
        }
        printed = [
            self.run("run", "--config_file", configs(*names), "--bundle_root", root, *options)
            for names, options in commands.items()
        ]
        (root / "printed.txt").write_text("".join(printed), encoding="utf-8")

    def train(self, folder: Path, cohort: Path, *overlays: str, options: Sequence[object] = ()) -> str:
        """Train a little; everything is left in the folder."""
        files = configs("train", *overlays)
        return self.run("run", "--config_file", files, *places(cohort, folder), *self.small, *options)

    def infer(self, trained: Path, source: Path, out: Path, *options: object, fails: bool = False) -> str:
        """Classify what is in a file or folder."""
        files = ["--dataset_dir", source, "--checkpoint", trained / "model.pt", "--output_dir", out]
        return self.run("run", "--config_file", configs("inference"), *files, *self.size, *options, fails=fails)

    def workflow(self, folder: Path, cohort: Path, *overlays: str, **options: object) -> ConfigWorkflow:
        """The same training as the command line's, in this process, ready to run."""
        files = [str(self.folder / "configs" / f"{name}.json") for name in ("train", *overlays)]
        own = {"dataset_dir": str(cohort), "ckpt_dir": str(folder), "output_dir": str(folder)}
        small = {"batch_size": 8, "image_size": [*self.image_size], "show_progress": False}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="parsing config_file")
            workflow = ConfigWorkflow(files, workflow_type="train", logging_file=None, **own, **{**small, **options})
        workflow.initialize()
        return workflow


def places(cohort: Path, folder: Path) -> list[object]:
    """Options: where data are, and where results go."""
    return ["--dataset_dir", cohort, "--ckpt_dir", folder, "--output_dir", folder]
