# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What changes a sample or a batch."""
