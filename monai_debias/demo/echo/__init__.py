# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The semi-synthetic echo cohort: phantoms of the heart inside scanner overlays that name the view."""
