# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Figures of what a transform does and of how a classifier fares."""
