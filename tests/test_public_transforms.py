# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What every transform of monai_debias promises beyond test_public_api.py: it keeps MONAI's conventions."""

from __future__ import annotations

import copy
import importlib
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform, Randomizable, Transform
from monai.utils import TransformBackends, ensure_tuple

from tests.public_objects import build, configs, parameters
from tests.public_use import (
    DICTIONARY,
    EXPECTED_WARNINGS,
    NO_ARRAY_VERSION,
    NO_KEY_NEEDED,
    TRANSFORMS,
    TWINS,
    arguments,
    content,
    each,
    global_state,
    kind_for,
    loads_files,
    seeded,
    spoil_global_state,
    use,
)
from tests.samples import CLIP_FILE, make_samples

pytestmark = EXPECTED_WARNINGS


@each(TRANSFORMS)
def test_transform_draws_from_its_own_random_state_only(path, tmp_path):
    cls = TRANSFORMS[path]
    seed_matters = False
    for kind, config in itertools.product(("still", "clip"), configs(cls, tmp_path)):

        def results(seed: int, kind: str = kind, config: dict = config) -> list:
            transform = seeded(build(cls, config, make_samples(kind, 8)), seed)
            return [use(transform, tmp_path, kind) for _ in range(4)]

        spoil_global_state(1)
        first = results(0)
        spoil_global_state(2)
        before = global_state()
        assert results(0) == first, f"{config}, {kind}: the same seed gave another result"
        assert global_state() == before, f"{config}, {kind}: it draws from a global random state"
        if issubclass(cls, Randomizable):
            seed_matters |= any(results(seed) != first for seed in range(1, 5))
    assert seed_matters == issubclass(cls, Randomizable), "every seed gave the same result"


def test_backends():
    for path, cls in TRANSFORMS.items():
        assert cls.backend, path
        assert all(isinstance(backend, TransformBackends) for backend in cls.backend), path


def test_names():
    """A dictionary version has its aliases and, like MONAI's, an array version."""
    for path, cls in DICTIONARY.items():
        package, module = (importlib.import_module(name) for name in (path.rsplit(".", 1)[0], cls.__module__))
        assert cls.__name__.endswith("d"), path
        for alias in (f"{cls.__name__[:-1]}D", f"{cls.__name__[:-1]}Dict"):
            assert getattr(package, alias, None) is cls, f"{alias} is missing from {package.__name__}"
            assert alias in module.__all__
        if cls.__name__ not in NO_ARRAY_VERSION:
            assert issubclass(TWINS[path], Transform), f"{path} has no array version"
            assert issubclass(cls, MapTransform), path
    assert [path for path in TRANSFORMS.keys() - DICTIONARY.keys() if f"{path}d" not in DICTIONARY] == []


@each(DICTIONARY)
@pytest.mark.parametrize("kind", ["still", "clip"])
def test_input_is_not_modified(path, kind, tmp_path):
    cls = DICTIONARY[path]
    for config in configs(cls, tmp_path):
        donors = make_samples(kind, 6)
        transform, sample = seeded(build(cls, config, donors), 0), make_samples(kind_for(cls, kind), 1)[0]
        if loads_files(transform):
            sample["image"] = CLIP_FILE
        before, donors_before = content(copy.deepcopy(sample)), content(copy.deepcopy(donors))
        metas = {key: copy.deepcopy(value.meta) for key, value in sample.items() if isinstance(value, MetaTensor)}
        assert transform(sample) is not sample
        assert content(sample) == before
        assert content(donors) == donors_before
        for key, meta in metas.items():
            assert content(sample[key].meta) == content(meta)


@each(DICTIONARY)
def test_missing_key(path, tmp_path):
    cls = DICTIONARY[path]
    config = configs(cls, tmp_path)[0]
    sample = {"label": 0}
    if cls.__name__ in NO_KEY_NEEDED:
        assert build(cls, config)(sample)["label"] == 0
        return
    names = [config[key] for key in config if key.endswith(("keys", "_key"))]
    needed = "|".join(f"['`]{name}['`]" for key in names for name in ensure_tuple(key))
    with pytest.raises(KeyError, match=needed):
        build(cls, config)(sample)
    if "allow_missing_keys" in parameters(cls):
        assert build(cls, {**config, "allow_missing_keys": True})(sample) == sample


@each(TWINS)
@pytest.mark.parametrize("kind", ["still", "clip"])
def test_array_and_dictionary_version_agree(path, kind, tmp_path):
    sample, donor = make_samples(kind_for(DICTIONARY[path], kind), 2)
    array_configs = configs(TWINS[path], tmp_path)
    for i, config in enumerate(configs(DICTIONARY[path], tmp_path)):
        dictionary = seeded(build(DICTIONARY[path], config, [donor]), 0)
        array = seeded(build(TWINS[path], array_configs[i]), 0)
        if loads_files(dictionary):
            sample["image"] = CLIP_FILE
        for _ in range(3):
            result = dictionary(dict(sample))
            changed = [result[key] for key in result if result[key] is not sample.get(key)]
            other = array(**arguments(array, tmp_path, kind))
            several = isinstance(other, tuple)
            assert several or len(changed) <= 1
            one = [result["image"], result["label"]] if several else (changed or [sample["image"]])[0]
            assert content(one) == content(other), config


@each(TRANSFORMS)
@pytest.mark.parametrize("kind", ["still", "clip"])
def test_arrays_tensors_and_metatensors(path, kind, tmp_path):
    """All give the same values, and a MetaTensor keeps its meta data."""
    cls = TRANSFORMS[path]

    def convert(value: Any, to: type) -> Any:
        if isinstance(value, dict):
            return {key: convert(item, to) for key, item in value.items()}
        if not isinstance(value, MetaTensor) or to is MetaTensor:
            return value
        return value.numpy() if to is np.ndarray else value.as_tensor()

    for config in configs(cls, tmp_path):
        outputs = {}
        for to in (MetaTensor, torch.Tensor, np.ndarray):
            transform = seeded(build(cls, config, make_samples(kind, 8)), 0)
            outputs[to] = transform(**convert(arguments(transform, tmp_path, kind), to))
        expected = content(outputs[MetaTensor])
        assert content(outputs[torch.Tensor]) == expected, config
        assert content(outputs[np.ndarray]) == expected, config
        outcome = outputs[MetaTensor]
        sample = make_samples(kind_for(cls, kind), 1)[0]
        had_no_meta = {key for key, value in sample.items() if not isinstance(value, MetaTensor)}
        if path not in DICTIONARY:
            outcome = dict(zip(("image", "label"), ensure_tuple(outcome), strict=False))
        for key, result in outcome.items():
            if isinstance(result, torch.Tensor) and result.ndim > 1 and key not in had_no_meta:
                assert isinstance(result, MetaTensor)
                assert np.ravel(result.meta["filename_or_obj"])[0] in ("image0", "mask0", CLIP_FILE)
