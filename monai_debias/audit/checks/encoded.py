# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Do the network's features tell an attribute, whether or not its answers use it?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from monai_debias.audit.association import attribute_columns, strongest_association, within_class_auc
from monai_debias.audit.checks.check import NotCheckableError, lacks_attributes
from monai_debias.audit.finding import Finding
from monai_debias.audit.resampling import interval, patient_weights
from monai_debias.audit.subject import Subject

__all__ = ["AttributeEncoded"]

_FOLDS = 5
_COMPONENTS = 32


class AttributeEncoded:
    """Probe the features of the last layer for an attribute, linearly.

    A logistic regression on (at most 32 principal components of) the features predicts each value of the attribute for
    the patients that it was not fitted to (five folds), and

        effect = AUC of the prediction for the value within classes - 0.5,

    averaged over classes by n₁ n₀ / (n₁ + n₀), for the value with the strongest association. Unit: AUC, 0 for features
    that do not tell it, 0.5 for such that always do. Null distribution of the p-value: the attribute is exchanged
    between patients with images of the same classes, see :mod:`monai_debias.audit.association`.

    A probe that succeeds does not say that the attribute is used.

    Args:
        delta: the smallest AUC above 0.5 that matters.

    Reference:
        Alain and Bengio, Understanding intermediate layers using linear classifier probes, 2016; within classes as in
        Glocker et al., eBioMedicine 2023.
    """

    name = "encoded"

    def __init__(self, delta: float = 0.1) -> None:
        self.delta = delta

    def lacks(self, subject: Subject) -> str:
        """Attributes, and a network whose last layer can be seen."""
        probed = "" if subject.features is not None else "it takes a network of PyTorch that ends in a dense layer"
        return lacks_attributes(subject) or probed

    def cost(self, subject: Subject) -> int:
        """Nothing: the features of the original images are known."""
        return 0

    def __call__(self, subject: Subject) -> list[Finding]:
        """One finding for each attribute with names for values."""
        found = [self._probe(subject, name) for name in subject.attributes]
        if not any(found):
            raise NotCheckableError("no attribute has two values of five patients or more")
        return [finding for finding in found if finding is not None]

    def _probe(self, subject: Subject, attribute: str) -> Finding | None:
        values, question = subject.attributes[attribute], subject.questions[0]
        rows = np.flatnonzero((question.classes >= 0) & (values.astype(str) != "") & (values.astype(str) != "nan"))
        patients, classes = subject.patients[rows], question.classes[rows]
        names, columns = attribute_columns(values[rows], patients)
        if len(names) < 2 or len(np.unique(patients)) < 2 * _FOLDS or subject.features is None:
            return None
        predicted = _out_of_fold(subject.features[rows], columns, patients)
        own = np.eye(len(names), dtype=bool)
        test = strongest_association(columns, predicted, classes, patients, own, seed=subject.seed)
        if test is None:
            return None
        rng = subject.rng(f"{self.name} {attribute}")
        weights = np.vstack([np.ones(len(rows)), patient_weights(patients, 1000, rng)])
        auc = within_class_auc(columns[:, test.value], predicted[:, test.value], classes, weights) - 0.5
        low, high = interval(auc[1:])
        return Finding(
            check=self.name,
            tested=attribute,
            level="encoded",
            measure=f"with which the features tell {attribute} = {names[test.value]} within classes",
            effect=float(auc[0]),
            low=low,
            high=high,
            unit="AUC",
            delta=self.delta,
            p=test.p,
            patients=len(np.unique(patients)),
            details={"z": test.z, "patients that can be exchanged": test.patients},
        )


def _out_of_fold(
    features: NDArray[np.float64], columns: NDArray[np.float64], patients: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The probe's log-odds of each column for patients that it was not fitted to, (N, V)."""
    n_components = min(_COMPONENTS, features.shape[1], len(features) * (_FOLDS - 1) // _FOLDS - 1)
    probe = make_pipeline(StandardScaler(), PCA(n_components, random_state=0), LogisticRegression(max_iter=1000))
    folds = GroupKFold(_FOLDS)
    scores = [
        cross_val_predict(probe, features, column > 0.5, groups=patients, cv=folds, method="decision_function")
        for column in columns.T
    ]
    return np.stack(scores, 1)
