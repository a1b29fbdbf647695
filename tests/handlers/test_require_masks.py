# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import warnings

import pytest
import torch
from monai.engines import SupervisedTrainer

from monai_debias.engines import PrepareBatchAttached, SwapBackgrounds
from monai_debias.handlers import RequireMasks
from monai_debias.inferers import BackgroundSwapInferer, FlowMixupInferer, ISNetInferer
from monai_debias.losses import BackgroundConsistencyLoss, ISNetLRPLoss
from tests.handlers.isnet_training import make_batches, make_images, make_trainer

EXAMPLES = {RequireMasks: [{}]}


@pytest.mark.parametrize("place", [None, 0, 7])
def test_one_image_with_a_mask_is_enough(place):
    batches = make_batches(make_images(8), [i == place for i in range(8)])
    trainer = make_trainer(batches, ISNetInferer(), ISNetLRPLoss(), [RequireMasks()], epochs=2)
    if place is None:
        with pytest.raises(ValueError, match="none of the images of epoch 1 has a mask"):
            trainer.run()
    else:
        with pytest.warns(UserWarning, match="no backgrounds were blended"):
            trainer.run()
    assert trainer.state.epoch == (1 if place is None else 2)


@pytest.mark.parametrize(
    ("masks", "inferer", "told"),
    [
        ((0, 6), ISNetInferer(), 1),
        ((0, 6), FlowMixupInferer(ISNetInferer()), 1),
        ((0, 6), ISNetInferer(blend=False), 0),
        ((0, 1), ISNetInferer(), 0),
    ],
)
def test_masks_that_never_meet_leave_an_isnet_without_its_blend_which_is_told_once(masks, inferer, told):
    batches = make_batches(make_images(8), [i in masks for i in range(8)])
    trainer = make_trainer(batches, inferer, ISNetLRPLoss(), [RequireMasks()], epochs=2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.run()
    assert sum("no backgrounds were blended" in str(warning.message) for warning in caught) == told


def train(*flags: list[bool]) -> None:
    """A training of an epoch with swapped backgrounds, of a batch of three for each list of flags."""
    mask = torch.tensor([1, 0, 0, 0]).expand(3, 1, 4)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2))
    batch = {"image": torch.rand(3, 1, 4), "label": torch.tensor([0, 1, 1])}
    batch |= {"swap_image": batch["image"], "swap_mask": mask}
    SupervisedTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=[{**batch, "has_swap_mask": torch.tensor(has)} for has in flags],
        network=network,
        optimizer=torch.optim.SGD(network.parameters()),
        loss_function=BackgroundConsistencyLoss(),
        prepare_batch=PrepareBatchAttached(swap=SwapBackgrounds()),
        inferer=BackgroundSwapInferer(),
        train_handlers=[RequireMasks()],
    ).run()


def test_a_pair_in_one_batch_is_enough():
    train([False, False, False], [True, False, True], [False, True, False])


def test_masks_that_never_meet_are_refused():
    with pytest.raises(ValueError, match=r"no batch of epoch 1 has two images with masks.*larger batches"):
        train([True, False, False], [False, False, True])
