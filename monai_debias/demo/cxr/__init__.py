# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The semi-synthetic cohort of chest radiographs: projections of one real CT, with markers outside the lungs.

How a film is made: ``chest_ct`` prepares the CT, ``patients`` warps it into another patient, ``projection`` sends the
rays through it, ``findings`` adds what a disease absorbs, ``film`` exposes and processes the film of one of the
``scanners``, ``markers`` puts on it what one of the ``hospitals`` leaves at its borders, ``dicom`` writes the file, and
``cohort`` does all that for every patient.
"""
