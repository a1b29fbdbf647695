# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The semi-synthetic cohort of ECGs: a moving dipole as twelve leads see it, recorded by devices that give labels away.

How a record is made: ``findings`` decides what is wrong with the heart, ``rhythm`` when it beats, ``waves`` what the
dipole does in a beat, ``patients`` how hearts and chests differ, ``leads`` what twelve leads see of it,
``interference`` adds what an electrode picks up besides, ``devices`` is what one of two devices makes of it,
``wfdb_file`` and ``dicom`` write the file, and ``cohort`` does all that for every patient.
"""
