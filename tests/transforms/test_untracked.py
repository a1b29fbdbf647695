# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor, get_track_meta
from monai.transforms import Compose

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
