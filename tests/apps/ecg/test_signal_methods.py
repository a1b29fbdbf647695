# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""BackMix and ISNet on signals: a calibration pulse tells the label, and both keep a network from reading it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor, list_data_collate
from monai.engines import SupervisedTrainer, default_prepare_batch
from monai.inferers import SimpleInferer
from monai.networks.nets import ResNet
from monai.transforms import Compose, SignalFillEmptyd

from monai_debias.apps.ecg import BeatMaskd, FitDurationd, ResampleSignald, SignalMaskd
from monai_debias.engines import PrepareBatchAttached
from monai_debias.inferers import ISNetInferer
from monai_debias.losses import ISNetLRPLoss
from monai_debias.metrics import background_relevance
from monai_debias.relevance import LRP
from monai_debias.transforms import RandBackMixd
from tests.apps.ecg.records import real_leads

BOTH = ["image", "mask"]
PREPARE = [
    ResampleSignald(BOTH, 100, mode=["polyphase", "nearest"]),
    FitDurationd(BOTH, 4, padding=["nan", "zero"]),
    SignalFillEmptyd("image"),
]


def make_records(mask):
    """Pieces of the real record behind 0.6 s in which there is a pulse or not, which is the label."""
    heart, records = real_leads(), []
    for n in range(16):
        begin, length = 150 * n, 1500 + 20 * n  # of several lengths
        signal = np.concatenate([np.zeros((12, 300)), heart[:, begin : begin + length]], axis=1)
        signal[:, 100:200] = n % 2
        image = MetaTensor(torch.from_numpy(signal).float(), meta={"sampling_rate": 500, "filename_or_obj": f"{n}.hea"})
        records.append({"image": image, "label": n % 2})
    return [Compose([mask, *PREPARE])(record) for record in records]


@pytest.mark.parametrize("mask", [SignalMaskd("image"), BeatMaskd("image")], ids=["valid", "beats"])
def test_backmix_replaces_what_is_not_the_heart(mask):
    records = make_records(mask)
    mix = RandBackMixd("image", donors=records).set_random_state(0)
    pulses = set()
    for record in records:
        mixed, region = mix(record)["image"].numpy(), record["mask"][0].numpy() == 1
        np.testing.assert_array_equal(mixed[:, region], record["image"].numpy()[:, region])
        assert not region[:60].any()
        pulses.add((record["label"], round(float(mixed[:, 25:35].mean()))))
    assert pulses == {(0, 0), (0, 1), (1, 0), (1, 1)}  # the pulse says no more about the label


def trained(batch, inferer, loss):
    """A small network after some steps on one batch."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = ResNet(
            "basic", [1, 1, 1, 1], [4, 4, 8, 8], spatial_dims=1, n_input_channels=12, num_classes=2, conv1_t_stride=2
        )
        SupervisedTrainer(
            device="cpu",
            max_epochs=20,
            train_data_loader=[batch],
            network=network,
            optimizer=torch.optim.Adam(network.parameters(), lr=0.003),
            loss_function=loss,
            prepare_batch=PrepareBatchAttached() if isinstance(inferer, ISNetInferer) else default_prepare_batch,
            inferer=inferer,
        ).run()
    return network.eval()


def test_an_isnet_does_not_look_at_the_pulse():
    records = make_records(SignalMaskd("image"))
    batch = {key: list_data_collate(records)[key].as_tensor() for key in BOTH}
    batch["label"] = torch.tensor([record["label"] for record in records])
    network = trained(batch, SimpleInferer(), torch.nn.CrossEntropyLoss())
    isnet = trained(batch, ISNetInferer(), ISNetLRPLoss(relevance_weight=0.8))
    shares = [background_relevance(LRP(net)(batch["image"])[1], batch["mask"]).mean() for net in (network, isnet)]
    assert (network(batch["image"]).argmax(1) == batch["label"]).all()  # by the pulse
    assert shares[1] < 0.6 * shares[0]
