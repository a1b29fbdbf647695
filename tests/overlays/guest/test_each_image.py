# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch
from monai.data import MetaTensor
from monai.transforms import NormalizeIntensityd

from monai_debias.overlays.guest import EachImage
from tests.samples import IMAGE

EXAMPLES = {EachImage: [{"transforms": []}], EachImage.__call__: {"images": IMAGE}}


def test_each_image_is_transformed_by_itself():
    images = torch.stack([torch.arange(4.0), 10 * torch.arange(4.0) + 3])[:, None]
    found = EachImage([NormalizeIntensityd("x")], image_key="x")(MetaTensor(images))
    expected = (torch.arange(4.0) - 1.5) / 1.25**0.5  # the same for both
    torch.testing.assert_close(found, expected.expand(2, 1, 4))
    assert type(found) is torch.Tensor
