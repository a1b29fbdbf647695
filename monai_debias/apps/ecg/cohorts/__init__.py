# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Public cohorts of ECGs: a file for each says how its authors lay it out."""
