# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Has the network been trained with images of these patients, or with copies of these images?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from monai.data import ImageReader
from numpy.typing import NDArray

from monai_debias.audit.finding import Finding
from monai_debias.audit.subject import Subject
from monai_debias.audit.subject_files import read_files
from monai_debias.data.thumbnail import near_pairs, thumbnail

__all__ = ["Leakage"]


class Leakage:
    """Look for the audited patients and images among those of the training.

        effect = share of the images whose patient, or a near copy of which, is in the training data

    Copies are found by :func:`monai_debias.data.thumbnail.near_pairs`, among the files as they are on the disk, and
    also those of another size, format or polarity. Unit: images. There is no test: it is a count. A network may know by
    heart what it was trained with, so that an audit on it says too little.

    Args:
        trained_with: items of the training and validation data, with the files of their images and their patients.
        reader: reads the files, a reader or its dotted name; by default one for pictures, DICOM, NIfTI and arrays.
        most: among how many images of the training copies are looked for at most; patients among all.
        image_key: key of the file of an image.
        patient_key: key of the patient.
    """

    name = "leakage"

    def __init__(
        self,
        trained_with: Sequence[Mapping[str, Any]],
        reader: ImageReader | str | None = None,
        most: int = 5000,
        image_key: str = "image",
        patient_key: str = "patient_id",
    ) -> None:
        self.trained_with = trained_with
        self.reader = reader
        self.most = most
        self.image_key = image_key
        self.patient_key = patient_key

    def lacks(self, subject: Subject) -> str:
        """Patients or files of both."""
        known = subject.has_patient.any() or any(subject.files)
        return "" if known and self.trained_with else "it takes the items of the training, and patients or files"

    def cost(self, subject: Subject) -> int:
        """The network is not asked; a file takes about as long as an image."""
        return len(subject) + min(self.most, len(self.trained_with))

    def __call__(self, subject: Subject) -> list[Finding]:
        """One finding."""
        known = {str(item.get(self.patient_key)) for item in self.trained_with} - {"", "None"}
        shared = subject.has_patient & np.array([name in known for name in subject.patient_names])
        copies = self._copies(subject)
        share = float((shared | copies).mean())
        return [
            Finding(
                check=self.name,
                tested="images of the training",
                level="described",
                measure="of the audited images are of patients of the training, or near copies of its images",
                effect=share,
                low=None,
                high=None,
                unit="images",
                delta=0.0,
                p=None,
                patients=subject.n_patients,
                note="Audit other images: a network may know these by heart." if share else "",
                details={
                    "images of shared patients": int(shared.sum()),
                    "near copies": int(copies.sum()),
                    "images of the training": len(self.trained_with),
                    "of which were looked at": min(self.most, len(self.trained_with)),
                },
            )
        ]

    def _copies(self, subject: Subject) -> NDArray[np.bool_]:
        """Whether a near copy of each image is among those of the training."""
        drawn = subject.rng(self.name).permutation(len(self.trained_with))[: self.most]
        sides = (subject.files, [str(self.trained_with[row].get(self.image_key) or "") for row in drawn])
        here, there = (read_files(files, self.reader, _small) for files in sides)
        copies = np.zeros(len(subject), bool)
        copies[[pair.first for pair in near_pairs(here, there)]] = True
        return copies


def _small(_file: str, image: NDArray, _meta: Mapping[str, Any]) -> NDArray[np.float32] | None:
    return thumbnail(image)
