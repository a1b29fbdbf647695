# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The sections of a demo cohort with an external test, the same for every modality."""

from __future__ import annotations

__all__ = ["GROUPS", "SECTIONS"]

GROUPS = ("train", "val", "test", "external")  # of patients
#: section of the datalist -> (group of patients, how the shortcut relates to the class: a mode of ``assign_cues``)
SECTIONS = {
    "training": ("train", "same"),
    "validation": ("val", "same"),
    "test_same": ("test", "same"),
    "test_random": ("test", "random"),
    "test_reversed": ("test", "reversed"),
    "test_external": ("external", None),
}
