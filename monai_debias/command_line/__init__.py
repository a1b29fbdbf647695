# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What the command line has beside the functions of the other rooms."""

from monai_debias.command_line.bundle_folders import copy_bundle, list_bundles
from monai_debias.command_line.diagnosis import doctor
from monai_debias.command_line.short_errors import shorten_errors_of_bundles

__all__ = ["copy_bundle", "doctor", "list_bundles", "shorten_errors_of_bundles"]
