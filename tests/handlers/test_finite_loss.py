# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor, list_data_collate
from monai.engines import SupervisedTrainer

from monai_debias.handlers import FiniteLoss

EXAMPLES = {FiniteLoss: [{}]}


@pytest.mark.parametrize(("with_names", "named"), [(True, "b.dcm"), (False, "number 1")])
def test_the_image_that_makes_a_loss_nan_is_named(with_names, named):
    samples = []
    for file, value in (("a.dcm", 0.5), ("b.dcm", torch.nan), ("c.dcm", 1.0)):
        image = torch.full((1, 2, 2), value)
        image = MetaTensor(image, meta={"filename_or_obj": file}) if with_names else image
        samples.append({"image": image, "label": 1})
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2))
    trainer = SupervisedTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=[list_data_collate(samples)],
        network=network,
        optimizer=torch.optim.SGD(network.parameters()),
        loss_function=torch.nn.CrossEntropyLoss(),
        train_handlers=[FiniteLoss()],
    )
    with pytest.raises(FloatingPointError, match=rf"1 of its 3 images have NaN or infinite values: {named}\."):
        trainer.run()
