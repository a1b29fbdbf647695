# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Do attributes predict the label in the audited data, whatever the network does?"""

from __future__ import annotations

from monai_debias.audit.checks.check import NotCheckableError, lacks_attributes
from monai_debias.audit.confounding.columns import as_column
from monai_debias.audit.confounding.confounder import Confounder
from monai_debias.audit.confounding.utility import utilities
from monai_debias.audit.finding import Finding
from monai_debias.audit.subject import Subject

__all__ = ["AttributePresent"]


class AttributePresent:
    """Measure how much an attribute tells about the label, as a share of the label's entropy.

        effect = (I(A; Y) - E) / (H(Y) - E)

    with E the mean of the mutual information under the null distribution, where attributes change places between whole
    patients (:func:`monai_debias.audit.confounding.utility.utilities`). Unit: share, 0 for an attribute that tells
    nothing, 1 for one that names the class of each image. The p-value is that of the permutation.

    What is present is the chance to learn a shortcut; it says nothing against the network.

    Args:
        delta: the smallest share that matters.

    Reference:
        Vinh, Epps and Bailey, Information theoretic measures for clusterings comparison, JMLR 2010 (the adjustment for
        chance).
    """

    name = "present"

    def __init__(self, delta: float = 0.05) -> None:
        self.delta = delta

    def lacks(self, subject: Subject) -> str:
        """Attributes."""
        return lacks_attributes(subject)

    def cost(self, subject: Subject) -> int:
        """Nothing: the network is not asked."""
        return 0

    def __call__(self, subject: Subject) -> list[Finding]:
        """One finding for each attribute with two values or more, and each label that images have and lack."""
        columns = [as_column(name, values.tolist()) for name, values in subject.attributes.items()]
        questions = {question.name: question.classes for question in subject.questions}
        found = utilities(columns, questions, subject.patients, seed=subject.seed)
        if not found:
            raise NotCheckableError(
                "no attribute has two values or more that several patients share, or all labels are the same"
            )
        return [self._finding(one) for one in found]

    def _finding(self, one: Confounder) -> Finding:
        return Finding(
            check=self.name,
            tested=f"{one.name} ({one.label})" if one.label else one.name,
            level="present",
            measure=f"of the {'label' if not one.label else one.label}'s entropy that {one.name} tells",
            effect=one.effect,
            low=one.low,
            high=one.high,
            unit="share",
            delta=self.delta,
            p=one.p,
            patients=one.patients,
            details={"values": one.values, "95 % of the permutations are below": one.chance},
        )
