# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What changes a sample or a batch."""

from __future__ import annotations

from monai_debias.transforms.backmix import *
from monai_debias.transforms.backmix_weight import *
from monai_debias.transforms.frames import *
from monai_debias.transforms.keep_mask import *
from monai_debias.transforms.load_ultrasound import *
from monai_debias.transforms.mask import *
