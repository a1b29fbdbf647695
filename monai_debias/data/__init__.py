# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Readers of medical files, and the builders that turn a folder into a MONAI datalist."""
