# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pickle

import pytest
import torch
from monai.bundle import ConfigParser

from monai_debias.engines.isnet import PrepareBatchISNet


@pytest.fixture(name="batch")
def fixture_batch() -> dict[str, torch.Tensor]:
    return {"image": torch.rand(3, 1, 4, 4), "label": torch.tensor([2, 0, 1]), "mask": torch.ones(3, 1, 4, 4)}


def test_without_flags_every_row_is_explained(batch):
    image, target, args, kwargs = PrepareBatchISNet()(batch, device="cpu")
    assert image is batch["image"]
    assert target.keys() == {"label", "mask"}
    assert args == ()
    assert kwargs.keys() == {"rows", "labels"}
    assert kwargs["rows"] is None
    assert kwargs["labels"] is batch["label"]


@pytest.mark.parametrize(
    ("flags", "rows"), [([False, True, True], [1, 2]), ([False, False, False], []), ([True, True, True], None)]
)
def test_the_rows_are_those_with_a_mask(batch, flags, rows):
    _, target, _, kwargs = PrepareBatchISNet()({**batch, "has_mask": torch.tensor(flags)}, device="cpu")
    assert target["has_mask"].tolist() == flags
    found = kwargs["rows"]
    assert found is None if rows is None else (found.dtype, found.tolist()) == (torch.int64, rows)


def test_own_keys_become_the_names_of_the_loss(batch):
    own = {
        "x": batch["image"],
        "y": batch["label"],
        "sector": batch["mask"],
        "drawn": torch.tensor([True, False, True]),
    }
    prepare = PrepareBatchISNet("x", "y", "sector", "drawn")
    image, target, _, kwargs = pickle.loads(pickle.dumps(prepare))(own)  # noqa: S301
    assert image is own["x"]
    assert target.keys() == {"label", "mask", "has_mask"}
    assert target["mask"] is own["sector"]
    assert kwargs["rows"].tolist() == [0, 2]


def test_everything_is_moved(batch):
    batch["has_mask"] = torch.tensor([True, False, True])
    image, target, _, kwargs = PrepareBatchISNet()(batch, device="meta")
    assert {t.device.type for t in (image, *target.values(), *kwargs.values())} == {"meta"}


def test_bad_batches_get_a_clear_error(batch):
    prepare = PrepareBatchISNet()
    with pytest.raises(KeyError, match=r"no \['mask'\]; it has \['image', 'label'\]"):
        prepare({"image": batch["image"], "label": batch["label"]})
    with pytest.raises(TypeError, match=r"must be bool, as from FillMaskd, got torch\.float32"):
        prepare({**batch, "has_mask": torch.ones(3)})
    with pytest.raises(ValueError, match=r"must be \(3,\), got \(2,\)"):
        prepare({**batch, "has_mask": torch.tensor([True, False])})


def test_config():
    config = {"_target_": "monai_debias.engines.isnet.PrepareBatchISNet", "mask_key": "sector"}
    assert ConfigParser({"p": config}).get_parsed_content("p").mask_key == "sector"
