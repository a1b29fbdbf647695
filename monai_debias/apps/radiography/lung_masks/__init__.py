# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The lungs in radiographs: a small network that finds them, checks of its masks, and the command that writes them."""
