# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
