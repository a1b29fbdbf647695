# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The sectors of a whole datalist as mask files, with contact sheets to check them by eye."""
