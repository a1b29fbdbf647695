# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
import pickle

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor, list_data_collate
from monai.transforms import Compose
from pydicom.data import get_testdata_file

from monai_debias.apps.ultrasound import RandSelectFrame, RandSelectFramed, SelectFrame, SelectFramed
from monai_debias.apps.ultrasound.load import LoadUltrasoundd

EXAMPLES = {
    RandSelectFrame: [{}],
    RandSelectFramed: [{"keys": "image"}],
    SelectFrame: [{"frame": frame} for frame in ("middle", "first", -1)],
    SelectFramed: [{"keys": "image", "frame": frame} for frame in ("middle", "first", -1)],
}


CLIP = torch.arange(6.0).expand(2, 4, 5, 6)  # each frame holds its index


@pytest.mark.parametrize(("frame", "index"), [("middle", 3), ("first", 0), (2, 2), (-1, 5)])
@pytest.mark.parametrize("convert", [lambda x: x, lambda x: x.numpy(), MetaTensor])
def test_selects_the_frame(frame, index, convert):
    result = SelectFrame(frame)(convert(CLIP))
    assert result.shape == (2, 4, 5)
    assert (result == index).all()
    assert (SelectFramed("image", frame)({"image": convert(CLIP)})["image"] == index).all()


def test_still_passes_unchanged():
    still = torch.rand(1, 4, 5)
    for transform in (SelectFrame("middle"), SelectFrame(3), RandSelectFrame()):
        assert torch.equal(torch.as_tensor(transform(still)), still)


def test_bad_input():
    with pytest.raises(ValueError, match="'last', expected 'middle', 'first' or an integer"):
        SelectFrame("last")
    with pytest.raises(ValueError, match="frame 6 was asked for, but there are 6 frames"):
        SelectFrame(6)(CLIP)
    for transform in (SelectFrame(), RandSelectFrame()):
        with pytest.raises(ValueError, match=r"shape \(4, 5\), expected a clip"):
            transform(torch.zeros(4, 5))
    with pytest.raises(KeyError):
        SelectFramed("image")({})
    assert SelectFramed("image", allow_missing_keys=True)({}) == {}
    assert RandSelectFramed("image", allow_missing_keys=True)({}) == {}


def test_meta():
    clip = MetaTensor(
        CLIP.clone(), affine=np.diag([0.4, 0.5, 1, 1]), meta={"spatial_shape": np.array([4, 5, 6]), "a": 1}
    )
    frame = SelectFrame()(clip)
    np.testing.assert_array_equal(frame.affine, np.diag([0.4, 0.5, 1, 1]))
    assert frame.meta["spatial_shape"].tolist() == [4, 5]
    assert frame.meta["a"] == 1
    assert clip.meta["spatial_shape"].tolist() == [4, 5, 6]


@pytest.mark.filterwarnings("ignore:an ultrasound region reaches")
def test_clips_and_stills_of_real_files_fit_in_a_batch():
    pipeline = Compose([LoadUltrasoundd("image"), RandSelectFramed("image")]).set_random_state(0)
    files = [get_testdata_file(name) for name in ("examples_ybr_color.dcm", "examples_rgb_color.dcm")]
    batch = list_data_collate([pipeline({"image": file}) for file in files])
    assert batch["image"].shape == (2, 1, 240, 320)
    assert batch["image"].meta["spatial_shape"].tolist() == [[240, 320]] * 2


def test_random_frames_are_uniform_and_reproducible():
    select = RandSelectFrame().set_random_state(0)
    drawn = [int(select(CLIP)[0, 0, 0]) for _ in range(3000)]
    counts = np.bincount(drawn, minlength=6)
    assert len(counts) == 6
    assert counts.min() > 400
    again = RandSelectFrame().set_random_state(0)
    assert [int(again(CLIP)[0, 0, 0]) for _ in range(3000)] == drawn
    in_dict = RandSelectFramed("image").set_random_state(0)
    assert [int(in_dict({"image": CLIP})["image"][0, 0, 0]) for _ in range(3000)] == drawn


def test_keys_get_the_same_frame():
    select = RandSelectFramed(("image", "mask")).set_random_state(1)
    seen = set()
    for _ in range(20):
        sample = select({"image": CLIP, "mask": CLIP * 10})
        assert torch.equal(sample["image"] * 10, sample["mask"])
        seen.add(int(sample["image"][0, 0, 0]))
    assert len(seen) > 1


@pytest.mark.parametrize("name", ["SelectFramed", "RandSelectFramed"])
def test_config_and_pickle(name):
    parser = ConfigParser({"t": {"_target_": f"monai_debias.apps.ultrasound.frames.{name}", "keys": ["image"]}})
    built = parser.get_parsed_content("t")
    for transform in (built, pickle.loads(pickle.dumps(built))):  # noqa: S301
        assert transform({"image": CLIP})["image"].shape == (2, 4, 5)
