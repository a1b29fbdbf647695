# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Clips and stills in file formats other than DICOM."""
