# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Readers of medical files, and the builders that turn a folder into a MONAI datalist."""

from __future__ import annotations

from monai_debias.data.check import check_datalist
from monai_debias.data.datalist import load_datalist, test_sections
from monai_debias.data.datalist_writer import save_datalist
from monai_debias.data.donors import possible_donors
from monai_debias.data.folder_builder import build_folder_datalist
from monai_debias.data.folder_search import find_files
from monai_debias.data.label_noise import corrupt_labels
from monai_debias.data.left_out import LeftOutError
from monai_debias.data.mask_folder import with_masks
from monai_debias.data.merge import merge_datalists
from monai_debias.data.mnist import load_mnist
from monai_debias.data.reader import ImageFileReader
from monai_debias.data.reading import FileReadError, FileReadWarning, UnrelatedFileError
from monai_debias.data.splits import check_splits, keep_mask_fraction, mask_fraction, split_by_patient

__all__ = [
    "FileReadError",
    "FileReadWarning",
    "ImageFileReader",
    "LeftOutError",
    "UnrelatedFileError",
    "build_folder_datalist",
    "check_datalist",
    "check_splits",
    "corrupt_labels",
    "find_files",
    "keep_mask_fraction",
    "load_datalist",
    "load_mnist",
    "mask_fraction",
    "merge_datalists",
    "possible_donors",
    "save_datalist",
    "split_by_patient",
    "test_sections",
    "with_masks",
]
