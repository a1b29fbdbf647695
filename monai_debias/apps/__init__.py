# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What knows a modality: the readers, transforms and cohorts of one clinical domain each."""
