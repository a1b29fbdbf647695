# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from monai_debias.handlers import RequireMasks
from monai_debias.inferers import ISNetInferer
from monai_debias.losses import ISNetLRPLoss
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
        trainer.run()
    assert trainer.state.epoch == (1 if place is None else 2)
