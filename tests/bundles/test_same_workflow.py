# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What a bundle does is the same in all of them: only the named parts at the top of a config know its modality."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.bundles.classifiers import CLASSIFIERS
from tests.bundles.small_bundle import BUNDLES

ECHO = CLASSIFIERS["echo_view"]
IN_BOTH = {"dataset_dir", "class_names", "task", "image_size", "network_def"}
IN_BOTH |= {"reading", "load_transforms", "prepare_transforms", "normalize_transforms"}
MASKS = {"load_region_transforms", "find_sectors", "mask_source", "region_transforms"}
MAY_DIFFER = {
    "train": IN_BOTH
    | MASKS
    | {
        "max_epochs",
        "batch_size",
        "learning_rate",
        "stages",
        "random_transforms",
        "augmentation",
        "normalize_batch",
        "input_range",
    },
    "inference": IN_BOTH
    | {"region_transforms", "find", "inferer", "input_range", "spatial_dims", "shown", "draw_heatmap"},
    "evaluate": set(),
    "multi_gpu_train": set(),
}
OF_THE_ECHO_BUNDLE = {"find_sectors"}  # which looks for the regions itself
OF_THE_ECG_BUNDLE = {"leads", "sampling_rate", "only_beats"}
OF_THE_MODEL = ("class_names", "task", "image_size", "network_def", "reading", "normalize_transforms")


def read(folder: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return content


@pytest.mark.parametrize("name", MAY_DIFFER)
@pytest.mark.parametrize("bundle", CLASSIFIERS)
def test_a_config_differs_from_that_of_the_other_bundles_in_its_modality_alone(bundle, name):
    ours, theirs = read(CLASSIFIERS[bundle], name), read(ECHO, name)
    assert set(theirs) - OF_THE_ECHO_BUNDLE <= set(ours) <= set(theirs) | OF_THE_ECG_BUNDLE
    for entry in ours:
        assert entry in MAY_DIFFER[name] | OF_THE_ECG_BUNDLE or ours[entry] == theirs[entry], entry


@pytest.mark.parametrize("name", ["train", "inference"])
@pytest.mark.parametrize("bundle", CLASSIFIERS)
def test_the_modality_comes_first(bundle, name):
    entries = list(read(CLASSIFIERS[bundle], name))
    parts = [entry for entry in entries if entry in MAY_DIFFER[name] | OF_THE_ECG_BUNDLE]
    assert entries[: len(parts) + 2] == ["imports", "bundle_root", *parts]


@pytest.mark.parametrize("bundle", CLASSIFIERS)
def test_the_network_that_infers_is_the_one_that_was_trained(bundle):
    train, inference = (read(CLASSIFIERS[bundle], name) for name in ("train", "inference"))
    assert {entry: train[entry] for entry in OF_THE_MODEL} == {entry: inference[entry] for entry in OF_THE_MODEL}


@pytest.mark.parametrize("name", MAY_DIFFER)
def test_nothing_else_speaks_of_a_modality(name):
    general = {entry: value for entry, value in read(ECHO, name).items() if entry not in MAY_DIFFER[name]}
    told = json.dumps(general).lower()
    assert not [
        word for word in ("apps.", "demo.", "ultrasound", "clip.", "frame", "sector", "resized") if word in told
    ]


def test_every_bundle_is_verified_by_the_same_schema():
    assert len({path.read_bytes() for path in BUNDLES.glob("*/docs/metadata_schema.json")}) == 1
