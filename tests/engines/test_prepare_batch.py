# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What a batch becomes on its way into a trainer, without any mixing."""

from __future__ import annotations

import pickle

import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor

from monai_debias.attached import attached, take_apart
from monai_debias.engines import PrepareBatchAttached
from monai_debias.transforms import BlendBackgroundsd, MixBatchd
from tests.samples import IMAGE, MASK

_LABEL = torch.tensor([0, 1])
_MIXUP = {"_target_": "monai_debias.transforms.MixBatchd.mixup", "keys": "image", "num_classes": 2}
EXAMPLES = {
    PrepareBatchAttached: [{"mixup": _MIXUP}],
    PrepareBatchAttached.__call__: {
        "batchdata": {"image": IMAGE, "label": _LABEL, "mask": MASK, "has_mask": _LABEL == 1, "weight": torch.ones(2)}
    },
}


@pytest.fixture(name="batch")
def fixture_batch() -> dict[str, torch.Tensor]:
    return {"image": torch.rand(3, 1, 4, 4), "label": torch.tensor([2, 0, 1]), "mask": torch.ones(3, 1, 4, 4)}


def test_without_more_it_is_the_plain_batch(batch):
    del batch["mask"]
    for given in (batch, (batch["image"], batch["label"]), [batch["image"], batch["label"]]):
        image, label = PrepareBatchAttached()(given, device="cpu")
        assert image is batch["image"]
        assert label is batch["label"]


def test_a_blend_uses_the_masks_up(batch):
    batch["mask"][..., :2] = 0
    before = batch["image"].clone()
    prepare = PrepareBatchAttached(blend=BlendBackgroundsd("image"))
    image, label = prepare({**batch, "has_mask": torch.ones(3, dtype=torch.bool)}, device="cpu")
    assert take_apart(image)[1] == take_apart(label)[1] == {}
    assert torch.equal(image[..., 2:], before[..., 2:])
    assert (image[..., :2] != before[..., :2]).flatten(1).any(1).all()
    assert torch.equal(batch["image"], before)
    with pytest.raises(KeyError, match="no masks 'mask' to blend backgrounds by"):
        prepare((before, batch["label"]))
    with pytest.raises(ValueError, match=r"the blend has the keys \('film',\), expected 'image' among them"):
        PrepareBatchAttached(blend=BlendBackgroundsd("film"))


def test_a_mixup_mixes_what_is_blended(batch):
    batch["mask"][..., :2] = 0
    prepare = PrepareBatchAttached(MixBatchd.mixup("image", num_classes=3), blend=BlendBackgroundsd("image"))
    image, label = prepare.set_random_state(0)(
        {**batch, "image": torch.arange(3.0).reshape(3, 1, 1, 1).expand(3, 1, 4, 4)}
    )
    region, background = image[:, 0, 0, 3], image[:, 0, 0, 0]
    mixed = attached(label, "rows")
    assert torch.allclose(region, (mixed * batch["label"].argsort()).sum(1))  # each image's value is its place
    assert (region - background).abs().max() > 0.01


def test_without_flags_every_row_is_explained(batch):
    image, label = PrepareBatchAttached()(batch, device="cpu")
    explain = {"rows": None, "labels": batch["label"], "masks": batch["mask"]}
    assert take_apart(image) == (batch["image"], {"explain": explain})
    plain, parts = take_apart(label)
    assert plain is batch["label"]
    assert parts["mask"] is batch["mask"]
    assert parts["has_mask"].tolist() == [True] * 3


@pytest.mark.parametrize(
    ("flags", "rows"), [([False, True, True], [1, 2]), ([False, False, False], []), ([True, True, True], None)]
)
def test_the_rows_are_those_with_a_mask(batch, flags, rows):
    image, label = PrepareBatchAttached()({**batch, "has_mask": torch.tensor(flags)}, device="cpu")
    assert attached(label, "has_mask").tolist() == flags
    found = attached(image, "explain")["rows"]
    assert found is None if rows is None else (found.dtype, found.tolist()) == (torch.int64, rows)


def test_weights_are_attached(batch):
    weight = torch.tensor([0.5, 1.5, 1.0])
    _, label = PrepareBatchAttached()({**batch, "weight": weight}, device="cpu")
    assert attached(label, "weight") is weight
    del batch["mask"]
    _, label = PrepareBatchAttached()({**batch, "weight": weight}, device="cpu")
    assert take_apart(label)[1].keys() == {"weight"}


def test_own_keys(batch):
    own = {
        "x": batch["image"],
        "y": batch["label"],
        "sector": batch["mask"],
        "drawn": torch.tensor([True, False, True]),
        "share": torch.ones(3),
    }
    prepare = PrepareBatchAttached(None, "x", "y", "sector", "drawn", "share")
    image, label = pickle.loads(pickle.dumps(prepare))(own)  # noqa: S301
    assert attached(image, "explain")["rows"].tolist() == [0, 2]
    assert image.detach().equal(own["x"])
    assert take_apart(label)[1].keys() == {"mask", "has_mask", "weight"}
    assert attached(label, "mask") is own["sector"]


def test_everything_is_moved(batch):
    batch |= {"has_mask": torch.tensor([True, False, True]), "weight": torch.ones(3)}
    image, label = PrepareBatchAttached()(batch, device="meta")
    (image, explained), (label, parts) = take_apart(image), take_apart(label)
    tensors = [image, label, *parts.values(), *explained["explain"].values()]
    assert {tensor.device.type for tensor in tensors} == {"meta"}


def test_labels_keep_their_kind(batch):
    batch["label"] = MetaTensor(torch.eye(3), meta={"filename_or_obj": ["a", "b", "c"]})
    _, label = PrepareBatchAttached()(batch, device="cpu")
    take_apart(label)
    assert isinstance(label.detach(), MetaTensor)
    assert label.detach().meta["filename_or_obj"] == ["a", "b", "c"]


def test_bad_batches_get_a_clear_error(batch):
    prepare = PrepareBatchAttached()
    with pytest.raises(KeyError, match=r"no \['label'\]; it has \['image', 'mask'\]"):
        prepare({"image": batch["image"], "mask": batch["mask"]})
    with pytest.raises(TypeError, match=r"must be bool, as from FillMaskd, got torch\.float32"):
        prepare({**batch, "has_mask": torch.ones(3)})
    with pytest.raises(ValueError, match=r"must have shape \(3,\), got \(2,\)"):
        prepare({**batch, "has_mask": torch.tensor([True, False])})
    with pytest.raises(ValueError, match="'label' of the batch is a single number"):
        prepare({**batch, "label": torch.tensor(1)})
    for key, value in (("label", [2, 0, 1]), ("image", batch["image"].numpy())):
        with pytest.raises(TypeError, match=f"'{key}' of the batch is (list|ndarray), expected a tensor"):
            prepare({**batch, key: value})


def test_mixups_that_do_not_fit_are_refused():
    mixup = MixBatchd.mixup("image", num_classes=3)
    with pytest.raises(ValueError, match=r"a and b cannot be combined: .*Choose one"):
        PrepareBatchAttached({"a": mixup, "b": mixup})
    assert PrepareBatchAttached({"a": mixup}).mixup is mixup
    assert PrepareBatchAttached({}).mixup is None
    with pytest.raises(ValueError, match="expected 'x' among the former"):
        PrepareBatchAttached(mixup, image_key="x")
    with pytest.raises(TypeError, match="mixup is of type MixBatch, expected"):
        PrepareBatchAttached(mixup.transform)


def test_config():
    config = {"_target_": "monai_debias.engines.PrepareBatchAttached", "mask_key": "sector", "mixup": {}}
    assert ConfigParser({"p": config}).get_parsed_content("p").mask_key == "sector"
