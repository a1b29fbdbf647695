# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What is confounded with the label in a data set, before any network is trained on it."""
