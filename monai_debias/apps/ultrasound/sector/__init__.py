# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The ultrasound sector in a clip or a still, found from what moves and from the shape of a fan."""
