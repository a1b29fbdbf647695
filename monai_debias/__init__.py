# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A MONAI plugin that keeps medical image classifiers from learning shortcuts."""

__version__ = "0.1.0"
