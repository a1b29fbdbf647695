# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The example of docs/backmix.md, run as it stands there."""

from __future__ import annotations

from typing import Any

import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer
from monai.networks.nets import ResNet

from monai_debias import transforms
from tests.docs.guides import NETWORK, block, make_batch, read_guide, run_code

GUIDE = read_guide("backmix")


def test_few_masks_weigh_more_in_a_stock_trainer():
    batch = make_batch()
    samples = [{key: batch[key][n % 4] for key in batch} | {"patient_id": f"p{n // 2}"} for n in range(40)]
    names: dict[str, Any] = {"items": samples}
    run_code(block(GUIDE, "python"), names)
    assert sum(item["use_mask"] for item in names["items"]) == 2  # both images of one of 20 patients
    weighed = [names["weigh"](transforms.KeepMaskd("mask")(item)) for item in names["items"]]
    assert {round(float(sample["weight"]), 2) for sample in weighed} == {0.95, 1.95}
    loader = DataLoader(Dataset([{k: s[k] for k in ("image", "label", "weight")} for s in weighed]), batch_size=4)
    network = ResNet(**NETWORK)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    trainer = SupervisedTrainer("cpu", 1, loader, network, optimizer, **names["parts"])
    trainer.run()
    assert trainer.state.output[0]["loss"] > 0
