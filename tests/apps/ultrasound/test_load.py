# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
import json
import pickle
import warnings

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import (
    CacheDataset,
    DataLoader,
    Dataset,
    MetaTensor,
    PersistentDataset,
    decollate_batch,
    set_track_meta,
)
from monai.transforms import Compose, LoadImage, Resized, Spacing
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file

from monai_debias.apps.ultrasound import LoadUltrasound, LoadUltrasoundd
from monai_debias.apps.ultrasound.frames import SelectFramed
from monai_debias.apps.ultrasound.load import LoadUltrasoundD, LoadUltrasoundDict
from monai_debias.apps.ultrasound.reader import UltrasoundReader
from monai_debias.apps.ultrasound.sector_mask import UltrasoundSectorMaskd
from monai_debias.data.reading import FileReadError

EXAMPLES = {
    LoadUltrasound: [{"frames": 1, "color": color} for color in ("grey", "rgb")],
    LoadUltrasoundd: [{"keys": "image", "frames": 1, "color": color} for color in ("grey", "rgb")],
}


CLIP = get_testdata_file("examples_ybr_color.dcm")  # one region, which does not fit
TWO_REGIONS = get_testdata_file("OBXXXX1A.dcm")  # with spacing
THREE_REGIONS = get_testdata_file("gdcm-US-ALOKA-16.dcm")
NO_REGIONS = get_testdata_file("examples_rgb_color.dcm")
CT = get_testdata_file("CT_small.dcm")

pytestmark = pytest.mark.filterwarnings("ignore:an ultrasound region reaches")


@pytest.mark.parametrize(
    ("path", "kwargs", "shape"),
    [
        (CLIP, {}, (1, 240, 320, 30)),
        (CLIP, {"color": "rgb"}, (3, 240, 320, 30)),
        (CLIP, {"frames": "middle"}, (1, 240, 320)),
        (CLIP, {"frames": 3, "color": "rgb"}, (3, 240, 320)),
        (CLIP, {"ensure_channel_first": False}, (240, 320, 30)),
        (NO_REGIONS, {}, (1, 240, 320)),
        (NO_REGIONS, {"color": "rgb"}, (3, 240, 320)),
    ],
)
def test_shape_type_and_meta(path, kwargs, shape):
    image = LoadUltrasound(**kwargs)(path)
    assert isinstance(image, MetaTensor)
    assert image.dtype == torch.float32
    assert tuple(image.shape) == shape
    assert image.meta["filename_or_obj"] == path
    assert isinstance(json.loads(image.meta["ultrasound_regions"]), list)
    np.testing.assert_array_equal(image.affine, np.eye(4))


def test_values_are_those_of_the_file():
    image = LoadUltrasound(color="rgb", frames=4)(CLIP)
    truth = dcmread(CLIP).pixel_array[4]
    np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), truth)


def test_spacing_reaches_monai():
    image = LoadUltrasound()(TWO_REGIONS)
    np.testing.assert_allclose(image.pixdim[:2], [0.262288] * 2, atol=1e-5)
    coarse = Spacing(pixdim=(0.524576, 0.524576), mode="bilinear")(image)
    assert coarse.shape[1:] in [(300, 400), (301, 401)]


def test_refused_file_is_not_loaded_by_another_reader():
    assert LoadImage(reader=UltrasoundReader())(CT).shape == (128, 128)  # what LoadImage does, hence this class
    with pytest.raises(ValueError, match=r"CT_small\.dcm: is not ultrasound \(modality CT"):
        LoadUltrasound()(CT)
    with pytest.raises(FileNotFoundError, match="no such file"):
        LoadUltrasoundd("image")({"image": "gone.dcm"})


def test_values_beyond_the_type_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.full((4, 5), 1e300))
    with pytest.raises(FileReadError, match=r"a\.npy: the image as float32 cannot be read: .*overflow"):
        LoadUltrasound()(tmp_path / "a.npy")
    assert LoadUltrasound(dtype=np.float64)(tmp_path / "a.npy").max() == 1e300


def test_dictionary_version(tmp_path):
    mask = np.zeros((240, 320), dtype=np.uint8)
    mask[50:100, 60:200] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    load = LoadUltrasoundd(keys=("image", "mask"), frames="first")
    sample = load({"image": CLIP, "mask": tmp_path / "mask.png", "label": 1})
    assert sample["image"].shape == sample["mask"].shape == (1, 240, 320)
    np.testing.assert_array_equal(sample["mask"][0], mask)
    assert sample["label"] == 1
    with pytest.raises(KeyError):
        load({"image": CLIP})
    assert "mask" not in LoadUltrasoundd(keys=("image", "mask"), allow_missing_keys=True)({"image": CLIP})
    assert LoadUltrasoundD is LoadUltrasoundDict is LoadUltrasoundd


def test_without_meta():
    set_track_meta(False)
    try:
        image = LoadUltrasound(color="rgb")(NO_REGIONS)
    finally:
        set_track_meta(True)
    assert not isinstance(image, MetaTensor)
    assert image.shape == (3, 240, 320)


def test_config_and_pickle():
    parser = ConfigParser(
        {
            "t": {
                "_target_": "monai_debias.apps.ultrasound.load.LoadUltrasoundd",
                "keys": "image",
                "frames": "middle",
            }
        }
    )
    built = parser.get_parsed_content("t")
    restored = pickle.loads(pickle.dumps(built))  # noqa: S301
    for load in (built, restored):
        assert load({"image": CLIP})["image"].shape == (1, 240, 320)


@pytest.mark.parametrize("workers", [0, 2])
def test_batch_of_files_with_different_regions(workers):
    pipeline = Compose([LoadUltrasoundd("image"), SelectFramed("image"), Resized("image", (32, 32))])
    items = [{"image": path} for path in (TWO_REGIONS, NO_REGIONS, THREE_REGIONS, CLIP)]
    (batch,) = DataLoader(Dataset(items, pipeline), batch_size=4, num_workers=workers)
    assert batch["image"].shape == (4, 1, 32, 32)
    assert [len(json.loads(text)) for text in batch["image"].meta["ultrasound_regions"]] == [2, 0, 3, 1]
    assert batch["image"].meta["n_frames"].tolist() == [1, 1, 1, 30]
    parts = decollate_batch(batch)
    assert [len(json.loads(part["image"].meta["ultrasound_regions"])) for part in parts] == [2, 0, 3, 1]
    assert parts[0]["image"].meta["filename_or_obj"] == TWO_REGIONS
    np.testing.assert_allclose(parts[0]["image"].affine.diagonal()[:2], np.array([600, 800]) / 32 * 0.262288, rtol=1e-4)


def test_regions_pass_through_transforms_and_cache():
    pipeline = Compose([LoadUltrasoundd("image"), SelectFramed("image"), Resized("image", (32, 32))])
    (sample,) = CacheDataset([{"image": TWO_REGIONS}], pipeline, progress=False)
    unpickled = pickle.loads(pickle.dumps(sample["image"]))  # noqa: S301
    for image in (sample["image"], sample["image"].clone() * 2, unpickled):
        assert json.loads(image.meta["ultrasound_regions"])[0]["x1"] == 800


@pytest.mark.parametrize("cached", ["image", "image and mask"])
def test_persistent_dataset_gives_the_same_masks_after_a_reload(cached, tmp_path):
    find = UltrasoundSectorMaskd("image")
    prepare = [LoadUltrasoundd("image"), SelectFramed("image"), *([find] if cached == "image and mask" else [])]
    items = [{"image": path} for path in (TWO_REGIONS, CLIP)]
    fresh = [find(Compose(prepare)(item))["mask"] for item in items]
    for _ in range(2):  # writes the cache, reads it
        dataset = PersistentDataset(items, Compose(prepare), tmp_path, track_meta=True)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Corrupt cache file")
            masks = [find(sample)["mask"] for sample in dataset]
            batches = list(DataLoader(dataset, batch_size=1, num_workers=1))
        for mask, batch, expected in zip(masks, batches, fresh, strict=True):
            np.testing.assert_array_equal(mask, expected)
            assert mask.meta["sector_source"] == expected.meta["sector_source"]
            assert tuple(mask.meta["spatial_shape"]) == mask.shape[1:]
            np.testing.assert_array_equal(find(decollate_batch(batch)[0])["mask"], expected)
    assert len(list(tmp_path.glob("*.pt"))) == 2
