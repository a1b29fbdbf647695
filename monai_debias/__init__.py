# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A MONAI plugin that keeps medical image classifiers from learning shortcuts."""

import logging
import os
import warnings

# MONAI makes one of each of its readers in every LoadImage, and this one warns twice where no GPU decodes DICOM
if os.environ.get("MONAI_DICOM_READER", "").lower() != "nvimgcodec":
    logging.getLogger("monai.data.nvimgcodec_pydicom_plugin").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="NvImgCodecPydicomReader: nvImageCodec decoder plugin did not register")

__version__ = "0.1.0"
