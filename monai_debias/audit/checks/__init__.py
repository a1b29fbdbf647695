# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The checks of an audit, one file each; `check.py` says what a check is.

=========================  ===========================================================  =====================
check                      question                                                     level
=========================  ===========================================================  =====================
``AttributeUsed``          do answers follow an attribute within a class?               used
``BackgroundUsed``         do they follow the class of an exchanged background?         used
``StampUsed``              do they follow pictures that are the same in several         used
                           patients, such as a marker or text?
``PatchUsed``              do they follow the class of an exchanged patch?              used
``AttributePresent``       does an attribute tell the label in the data?                present
``PropertiesPresent``      do size, bits, sharpness … of the files tell it?             present
``AttributeEncoded``       do the features tell the attribute?                          encoded
``RegionFilled``           is the class still recognised without the region?            encoded
``RelevanceOutside``       where is the relevance?                                      described
``GlobalCues``             what do blur, contrast, noise … change?                      described
``Leakage``                are audited patients or images those of the training?        described
=========================  ===========================================================  =====================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monai.data import ImageReader

from monai_debias.audit.checks.attribute import AttributeUsed
from monai_debias.audit.checks.background import BackgroundUsed
from monai_debias.audit.checks.check import Check
from monai_debias.audit.checks.encoded import AttributeEncoded
from monai_debias.audit.checks.global_cues import GlobalCues
from monai_debias.audit.checks.leakage import Leakage
from monai_debias.audit.checks.patch import PatchUsed
from monai_debias.audit.checks.present import AttributePresent
from monai_debias.audit.checks.properties import PropertiesPresent
from monai_debias.audit.checks.region import RegionFilled
from monai_debias.audit.checks.relevance import RelevanceOutside
from monai_debias.audit.checks.stamp import StampUsed


def default_checks(
    trained_with: Sequence[Mapping[str, Any]] = (), reader: ImageReader | str | None = None
) -> list[Check]:
    """All checks with their default settings, the cheap ones first.

    Args:
        trained_with: items of the training and validation data, if they are known.
        reader: reads the files of images, as they are before any preprocessing.
    """
    return [
        AttributePresent(),
        PropertiesPresent(reader),
        Leakage(trained_with, reader),
        AttributeUsed(),
        AttributeEncoded(),
        BackgroundUsed(),
        RegionFilled(),
        StampUsed(),
        PatchUsed(),
        RelevanceOutside(),
        GlobalCues(),
    ]
