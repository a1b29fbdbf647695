# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What the command line has beside the functions of the other rooms."""

from monai_debias.command_line.bundle_command import begin_bundle_command
from monai_debias.command_line.bundle_folders import copy_bundle, list_bundles
from monai_debias.command_line.diagnosis import doctor

__all__ = ["begin_bundle_command", "copy_bundle", "doctor", "list_bundles"]
