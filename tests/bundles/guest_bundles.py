# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Bundles in the Model Zoo's style that know nothing of this package, and small data for them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from ignite.engine import Events
from monai.bundle import ConfigWorkflow
from monai.engines.utils import IterationEvents
from PIL import Image

from monai_debias.overlays import overlays

SMALL: dict[str, dict[str, Any]] = {
    "endoscopy": {
        "network_def#layers": [1, 1, 1, 1],
        "train#deterministic_transforms#3#spatial_size": [32, 40],
        "train#dataloader#batch_size": 4,
        "train#dataloader#num_workers": 0,
        "validate#dataloader#num_workers": 0,
        "train#trainer#max_epochs": 1,
    },
    "volumes": {
        "net_def#block_config": [1, 1, 1],
        "net_def#init_features": 8,
        "net_def#growth_rate": 4,
        "train#dataloader#batch_size": 4,
        "epochs": 1,
    },
}


def make_guest(name: str, folder: Path) -> Path:
    """A copy of the bundle, with its data in ``folder/data``."""
    bundle = folder / name
    shutil.copytree(Path(__file__).parent / "guests" / name, bundle)
    (bundle / "data").mkdir()
    {"endoscopy": _endoscopy, "volumes": _volumes}[name](bundle / "data")
    return bundle


def _endoscopy(folder: Path) -> None:
    """PNG in colour, wider than high, of three classes; masks of 0 and 255."""
    random = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 4)):
        items = []
        for i in range(count):
            image, mask = folder / f"{split}{i}.png", folder / f"{split}{i}_mask.png"
            pixels = random.integers(1, 200, (48, 64, 3), dtype=np.uint8)
            region = np.zeros((48, 64), np.uint8)
            region[8:32, 20 + i : 50 + i] = 255
            Image.fromarray(pixels + np.uint8(50) * (region > 0)[..., None]).save(image)
            Image.fromarray(region).save(mask)
            items.append({"image": str(image), "label": i % 3, "mask": str(mask)})
        (folder / f"{split}_samples.json").write_text(json.dumps(items))


def _volumes(folder: Path) -> None:
    """NIfTI of two findings that may occur together, the left side first; the masks go by another key."""
    random = np.random.default_rng(0)
    affine = np.diag([-1.0, 1.0, 2.0, 1.0])
    items = []
    for i in range(12):
        image, mask = folder / f"{i}.nii.gz", folder / f"{i}_mask.nii.gz"
        region = np.zeros((20, 24, 16), np.uint8)
        region[2:9, 5:15, 4:12] = 1
        nibabel.save(nibabel.Nifti1Image(random.integers(-1000, 400, region.shape).astype(np.int16), affine), image)
        nibabel.save(nibabel.Nifti1Image(region, affine), mask)
        items.append({"image": str(image), "label": [i % 2, i // 2 % 2], "body": str(mask), "fold": i // 8})
    (folder / "dataset.json").write_text(json.dumps(items))


class Training:
    """A guest's training by ``train.json``, ``sockets.json`` and overlays, and what its trainer showed.

    Attributes:
        parser: the parsed config.
        trainer: the trainer after its run.
        losses: the loss of each iteration.
        shown: ``pred`` and ``label`` of each iteration, after the loss.
        processed: the decollated output of each iteration, after the post-processing.
    """

    def __init__(self, bundle: Path, names: Sequence[str], **options: Any) -> None:
        overlays(bundle)
        files = [str(bundle / "configs" / f"{name}.json") for name in ("train", "sockets", *names)]
        places = {"bundle_root": str(bundle), "dataset_dir": str(bundle / "data")}
        settings = {**places, **SMALL[bundle.name], **options}
        workflow = ConfigWorkflow(files, workflow_type="train", logging_file=None, **settings)
        workflow.initialize()
        self.parser = workflow.parser
        self.trainer = self.parser.get_parsed_content("train#trainer")
        self.losses: list[float] = []
        self.shown: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.processed: list[Any] = []
        self.trainer.add_event_handler(IterationEvents.LOSS_COMPLETED, self._look)
        self.trainer.add_event_handler(Events.ITERATION_COMPLETED, self._look_again)
        workflow.run()

    def __getitem__(self, place: str) -> Any:
        """What the config has at an id."""
        return self.parser.get_parsed_content(place)

    def _look(self) -> None:
        output: Any = self.trainer.state.output
        self.losses.append(float(output["loss"]))
        self.shown.append((output["pred"], output["label"]))

    def _look_again(self) -> None:
        self.processed.append(self.trainer.state.output)
