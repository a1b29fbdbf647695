# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Ignite handlers that plug into MONAI's trainers and evaluators."""
