# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Masks that a program finds for all images of a data set, written as files, with contact sheets to check them by eye.

What is looked for, and how, is a :class:`~monai_debias.data.found_masks.finder.MaskFinder` of a modality.
"""
