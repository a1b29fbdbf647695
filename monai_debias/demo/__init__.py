# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Semi-synthetic cohorts with a planted shortcut, written in the real file formats."""
