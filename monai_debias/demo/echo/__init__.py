# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The semi-synthetic echo cohort: phantoms of the heart inside scanner overlays that name the view.

How a clip is made: ``heart`` beats, ``anatomy`` draws it on a ``canvas`` as a view cuts it, ``phantom`` scans that as
well as one of the ``patients`` allows, and ``sector`` maps it to the display. ``cues`` decides which view the screen
names, ``overlay`` draws the screen of one of the ``scanners``, ``dicom`` writes the file, and ``cohort`` does all that
for every patient.
"""
