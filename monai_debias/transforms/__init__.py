# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Transforms of a sample or a batch."""

from __future__ import annotations

from monai_debias.transforms.background import backmix, replace_background
from monai_debias.transforms.blend import blend_backgrounds
from monai_debias.transforms.blend_dictionary import BlendBackgroundsD, BlendBackgroundsd, BlendBackgroundsDict
from monai_debias.transforms.fill_mask import FillMaskD, FillMaskd, FillMaskDict
from monai_debias.transforms.keep_mask import KeepMaskD, KeepMaskd, KeepMaskDict
from monai_debias.transforms.load_mask import LoadMaskD, LoadMaskd, LoadMaskDict
from monai_debias.transforms.mix_batch import MixBatch
from monai_debias.transforms.mix_batch_dictionary import MixBatchD, MixBatchd, MixBatchDict
from monai_debias.transforms.rand_backmix import RandBackMix, RandBackMixD, RandBackMixd, RandBackMixDict
from monai_debias.transforms.try_mask import TryMaskD, TryMaskd, TryMaskDict
from monai_debias.transforms.wbackmix import BackMixWeightD, BackMixWeightd, BackMixWeightDict, backmix_weight

__all__ = [
    "BackMixWeightD",
    "BackMixWeightDict",
    "BackMixWeightd",
    "BlendBackgroundsD",
    "BlendBackgroundsDict",
    "BlendBackgroundsd",
    "FillMaskD",
    "FillMaskDict",
    "FillMaskd",
    "KeepMaskD",
    "KeepMaskDict",
    "KeepMaskd",
    "LoadMaskD",
    "LoadMaskDict",
    "LoadMaskd",
    "MixBatch",
    "MixBatchD",
    "MixBatchDict",
    "MixBatchd",
    "RandBackMix",
    "RandBackMixD",
    "RandBackMixDict",
    "RandBackMixd",
    "TryMaskD",
    "TryMaskDict",
    "TryMaskd",
    "backmix",
    "backmix_weight",
    "blend_backgrounds",
    "replace_background",
]
