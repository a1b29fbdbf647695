# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Sector masks as files: found once for a data set, checked by eye, mended by hand, and then trained with."""
