# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The methods as overlays of a bundle's ``train.json``: the same JSON files for every bundle.

An overlay adds named entries to the dictionaries that a bundle defines for it (``docs/overlays.md``), so that overlays
can be combined in any order. Two that cannot be combined raise an error that names them and says why.
"""

from __future__ import annotations

from monai_debias.overlays.command import NAMES, overlays
from monai_debias.overlays.demo_weights import own_or_demo_model
from monai_debias.overlays.naming import method_name, training_command

__all__ = ["NAMES", "method_name", "overlays", "own_or_demo_model", "training_command"]
