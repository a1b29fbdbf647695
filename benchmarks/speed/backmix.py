# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The time of BackMix, compared with a bare masked copy of the same arrays and with the rest of the pipeline."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom.data
import torch
from monai.bundle import ConfigParser
from monai.data import CacheDataset, MetaTensor
from monai.transforms import Compose, EnsureTyped, LoadImaged, Resized

from benchmarks.speed.timing import alternate, compared, record, shown
from benchmarks.tables import markdown
from monai_debias.apps.ultrasound import LoadUltrasoundd, SelectFramed
from monai_debias.transforms import RandBackMixd, backmix

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "echo_view"


BARE, OURS, DECODING = "bare masked copy", "RandBackMixd on samples", "decoding and resizing a file"


def make_samples(shape: tuple[int, ...], n: int) -> list[dict[str, MetaTensor]]:
    """Images (1, spatial...) of float32 in [0, 1] with an oval region of interest, as a cache of samples holds them."""
    rng = np.random.default_rng(0)
    axes = np.meshgrid(*[np.linspace(-1, 1, size) for size in shape], indexing="ij")
    samples = []
    for _ in range(n):
        radii = rng.uniform(0.6, 0.9, len(shape))
        mask = sum((axis / radius) ** 2 for axis, radius in zip(axes, radii, strict=True)) < 1
        image = torch.from_numpy(rng.random((1, *shape), dtype=np.float32))
        samples.append({"image": MetaTensor(image), "mask": MetaTensor(torch.from_numpy(mask[None].astype(np.uint8)))})
    return samples


def decoder(shape: tuple[int, ...], folder: str) -> tuple[Compose, str]:
    """A function that decodes and resizes one sample: the middle frame of a real echo clip, or a volume."""
    if len(shape) == 2:
        steps = [LoadUltrasoundd("image"), SelectFramed("image"), Resized("image", spatial_size=shape, mode="area")]
        return Compose(steps), str(pydicom.data.get_testdata_file("examples_ybr_color.dcm"))
    file = f"{folder}/volume.nii"
    values = np.random.default_rng(0).integers(0, 1000, [2 * size for size in shape], dtype=np.int16)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), file)
    steps = [LoadImaged("image", ensure_channel_first=True), Resized("image", spatial_size=shape, mode="area")]
    return Compose(steps), file


def backmix_variants(
    shape: tuple[int, ...], n_samples: int, calls: int, folder: str
) -> dict[str, tuple[Callable[[], object], int]]:
    """BackMix at one size, the bare copy that it cannot beat, and the transforms around it in the bundle's training."""
    samples = make_samples(shape, n_samples)
    cached = CacheDataset(samples, Compose([EnsureTyped(["image", "mask"])]), copy_cache=False, progress=False)
    rng = np.random.default_rng(1)
    arrays = [(s["image"].numpy(), s["mask"].numpy().astype(bool)) for s in samples]
    tensors = [(s["image"].as_tensor(), s["mask"].as_tensor()) for s in samples]
    mix = RandBackMixd("image", mask_key="mask", donors=cached).set_random_state(0)
    parser = ConfigParser(ConfigParser.load_config_file(str(BUNDLE / "configs" / "train.json")))
    augment, normalize = (parser.get_parsed_content(name) for name in ("random_transforms", "normalize_transforms"))
    plain, mixed = (Compose([*augment, *middle, *normalize]).set_random_state(0) for middle in ((), (mix,)))
    decode, file = decoder(shape, folder)

    def in_pairs(run: Callable[..., object], items: list[tuple]) -> Callable[[], None]:
        """Images in turn, each with a random donor: nothing stays in the processor's cache from one to the next."""
        images = cycle(items)

        def run_all() -> None:
            for image, j in zip(islice(images, calls), rng.integers(n_samples, size=calls), strict=True):
                run(*image, *items[j])

        return run_all

    def bare_copy(image: np.ndarray, region: np.ndarray, donor: np.ndarray, _: np.ndarray) -> None:
        out = donor.copy()
        np.copyto(out, image, where=region)

    def each(transform: Callable, *keys: str) -> Callable[[], None]:
        inputs = cycle([{key: sample[key] for key in keys} for sample in samples])

        def run() -> None:
            for sample in islice(inputs, calls):
                transform(sample)

        return run

    return {
        BARE: (in_pairs(bare_copy, arrays), calls),
        "backmix() on tensors": (in_pairs(backmix, tensors), calls),
        OURS: (each(mix, "image", "mask"), calls),
        "random transforms, image alone": (each(plain, "image"), calls),
        "… image and mask": (each(plain, "image", "mask"), calls),
        "… with RandBackMixd": (each(mixed, "image", "mask"), calls),
        DECODING: (lambda: decode({"image": file}), 1),
    }


def backmix_speed(rounds: int = 30, calls: int = 20, samples: int = 64, csv: str = "") -> None:
    """Time BackMix against the bare masked copy of the same arrays, and within the random transforms of the bundle.

    Args:
        rounds: how often all variants run in turn.
        calls: samples in one run of a variant (decoding: one).
        samples: how many samples there are to draw images and donors from.
        csv: file of a line for each variant; none if empty.
    """
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for shape in ((112, 112), (224, 224), (64, 64, 64)):
            size = " x ".join(map(str, shape))
            seconds = alternate(backmix_variants(shape, samples, calls, folder), rounds)
            share = {name: 100 * np.median(values / seconds[DECODING]) for name, values in seconds.items()}
            rows += (found := compared("a sample", size, seconds, BARE, percent_of_decoding=share))
            print(shown(found) + "\n", flush=True)
    record(rows, csv)
    print("\n".join([*quoted(rows), "", *goals(rows)]))


def goals(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """At most 3 times the bare copy at 224 × 224, and below 5 % of decoding and resizing."""
    said = []
    for row in (row for row in rows if row["variant"] == OURS):
        times, share, size = float(row["times"]), float(row["percent_of_decoding"]), row["of"]
        if size == "224 x 224":
            said.append(f"- at most 3 times the bare copy at {size}: {_reached(times <= 3)} ({times:.2f})")
        said.append(f"- below 5 % of decoding and resizing at {size}: {_reached(share < 5)} ({share:.2f} %)")
    return said


def _reached(is_reached: bool) -> str:
    return "reached" if is_reached else "missed"


def quoted(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The table that docs/backmix.md quotes, in µs for each sample."""
    found = {(row["of"], row["variant"]): row for row in rows}
    lines = []
    for size in dict.fromkeys(row["of"] for row in rows):
        micro = [f"{1e6 * float(found[size, name]['seconds']):.0f}" for name in (BARE, "backmix() on tensors", OURS)]
        ours = found[size, OURS]
        lines.append([size, *micro, f"{float(ours['times']):.1f}", f"{float(ours['percent_of_decoding']):.2g} %"])
    head = ["size", "bare masked copy", "`backmix()`", "`RandBackMixd`", "times the copy"]
    return [markdown([*head, "share of decoding and resizing"], lines)]
