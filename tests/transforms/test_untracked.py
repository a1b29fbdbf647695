# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
import threading

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor, get_track_meta
from monai.transforms import Compose, RandSpatialCropSamplesd

from monai_debias.transforms.untracked import Untracked
from tests.bundles.classifiers import CLASSIFIERS

BUNDLES = sorted(CLASSIFIERS.keys() - {"ecg"})  # signals need their meta, the sampling rate


def sample() -> dict:
    rng = np.random.default_rng(0)
    mask = np.zeros((1, 32, 32), np.uint8)
    mask[:, 8:24, 6:20] = 1
    meta = {"filename_or_obj": "a.png"}
    image = torch.from_numpy(rng.random((1, 32, 32), np.float32))
    return {"image": MetaTensor(image, meta=meta), "mask": MetaTensor(torch.from_numpy(mask), meta=meta), "label": 1}


@pytest.mark.parametrize("bundle", BUNDLES)
def test_the_augmentation_of_a_bundle_draws_and_gives_what_it_would_with_meta(bundle):
    parser = ConfigParser(ConfigParser.load_config_file(str(CLASSIFIERS[bundle] / "train.json")))
    parser["image_size"] = [32, 32]
    tracked = Compose(copy.deepcopy(parser.get_parsed_content("random_transforms"))).set_random_state(3)
    untracked = Compose(parser.get_parsed_content("augmentation")).set_random_state(3)
    assert all(isinstance(step, Untracked) for step in untracked.transforms)
    for _ in range(3):
        one, other = tracked(sample()), untracked(sample())
        for key in ("image", "mask"):
            assert torch.equal(one[key].as_tensor(), other[key].as_tensor())
            assert isinstance(other[key], MetaTensor)
            assert other[key].meta["filename_or_obj"] == "a.png"
            assert (one[key].applied_operations != [], other[key].applied_operations) == (True, [])
    assert get_track_meta()


def test_meta_is_tracked_again_after_an_error_and_samples_without_meta_pass():
    def fail(data):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Untracked(fail)(sample())
    assert get_track_meta()
    plain = Untracked(lambda data: {**data, "copy": data["image"]})({"image": torch.ones(1, 2)})
    assert type(plain["image"]) is type(plain["copy"]) is torch.Tensor


def test_meta_is_tracked_again_after_threads_that_overlap():
    """The first comes in first and leaves first; then the second must not leave tracking off."""
    first_in, second_in, first_out = threading.Event(), threading.Event(), threading.Event()
    seen = []

    def first(data):
        first_in.set()
        assert second_in.wait(10)
        return data

    def second(data):
        second_in.set()
        assert first_out.wait(10)
        seen.append(get_track_meta())
        return data

    def run_first():
        Untracked(first)(sample())
        first_out.set()

    def run_second():
        assert first_in.wait(10)
        Untracked(second)(sample())

    threads = [threading.Thread(target=run_first), threading.Thread(target=run_second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (seen, get_track_meta()) == ([False], True)


def test_a_transform_may_return_several_samples():
    crops = Untracked(RandSpatialCropSamplesd("image", (4, 4), num_samples=3).set_random_state(0))(sample())
    assert [crop["image"].shape for crop in crops] == [(1, 4, 4)] * 3
    assert {crop["image"].meta["filename_or_obj"] for crop in crops} == {"a.png"}
