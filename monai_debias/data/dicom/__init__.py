# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The pixels and values of DICOM files, whatever wrote them."""
