# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Public cohorts of chest radiographs: a file for each says how its authors lay it out."""
