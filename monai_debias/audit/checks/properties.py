# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Do properties of the files, such as size, bits or sharpness, tell the label?"""

from __future__ import annotations

from monai.data import ImageReader

from monai_debias.audit.checks.check import NotCheckableError
from monai_debias.audit.confounding.columns import as_column
from monai_debias.audit.confounding.confounder import Confounder
from monai_debias.audit.confounding.predictability import predictabilities
from monai_debias.audit.finding import Finding
from monai_debias.audit.question import Question
from monai_debias.audit.subject import Subject
from monai_debias.audit.subject_files import read_files
from monai_debias.data.file_properties import file_properties

__all__ = ["PropertiesPresent"]

_SHOWN = 5


class PropertiesPresent:
    """Predict the label from properties of the files, without what they show.

        effect = AUC for other patients - 0.5

    of a regression on all properties together, see
    :func:`monai_debias.audit.confounding.predictability.predictabilities`. The properties are those of
    :func:`monai_debias.data.file_properties.file_properties`; ``details`` have the AUC of the strongest alone. Unit:
    AUC. Null distribution: the labels change places between whole patients, and all is fitted anew.

    What is present is the chance to learn a shortcut; it says nothing against the network.

    Args:
        reader: reads the files, a reader or its dotted name; by default one for pictures, DICOM, NIfTI and arrays.
        delta: the smallest AUC above 0.5 that matters.
        most: of how many images the files are read at most.

    Reference:
        The idea: Pavlak et al., Data AUDIT, MICCAI 2023, with properties in place of trained networks.
    """

    name = "file properties"

    def __init__(self, reader: ImageReader | str | None = None, delta: float = 0.1, most: int = 1000) -> None:
        self.reader = reader
        self.delta = delta
        self.most = most

    def lacks(self, subject: Subject) -> str:
        """Files."""
        return "" if any(subject.files) else "it takes images that know the files that they were read from"

    def cost(self, subject: Subject) -> int:
        """The network is not asked; a file takes about as long as an image."""
        return min(self.most, len(subject))

    def __call__(self, subject: Subject) -> list[Finding]:
        """A finding for each question."""
        rows = subject.rng(self.name).permutation(len(subject))[: self.most]
        read = read_files([subject.files[row] for row in rows], self.reader, file_properties)
        known = [k for k, found in enumerate(read) if found is not None]
        if not known:
            raise NotCheckableError("none of the files could be read once more; say with which reader")
        rows, told = rows[known], [read[k] or {} for k in known]
        names = dict.fromkeys(name for one in told for name in one)
        columns = [as_column(name, [one.get(name) for one in told]) for name in names]
        found = [
            self._finding(question, predictabilities(columns, {"": classes}, patients, 999, subject.seed))
            for question in subject.questions
            for classes, patients in [(question.classes[rows], subject.patients[rows])]
        ]
        if not any(found):
            raise NotCheckableError("it takes files that differ, and images of two classes, of five patients each")
        return [one for one in found if one is not None]

    def _finding(self, question: Question, found: list[Confounder]) -> Finding | None:
        if not found:
            return None
        *single, together = found
        strongest = sorted(single, key=lambda one: -one.effect)[:_SHOWN]
        return Finding(
            check=self.name,
            tested=f"properties of the files{question}",
            level="present",
            measure=f"with which {len(single)} properties of the files together predict {question.name or 'the label'}",
            effect=together.effect - 0.5,
            low=together.low - 0.5,
            high=together.high - 0.5,
            unit="AUC",
            delta=self.delta,
            p=together.p,
            patients=together.patients,
            question=question.name,
            details={
                "95 % of the permutations are below an AUC of": together.chance,
                **{f"AUC of {one.name} alone": one.effect for one in strongest},
            },
        )
