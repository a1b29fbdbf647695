# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How right, and how sure, a classifier is."""
