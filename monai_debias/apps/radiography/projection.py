# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The projection of a radiograph according to its header: which view, of which side and part of the body."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from monai_debias.data.dicom.values import items, optional, text
from monai_debias.data.reading import FileReadError, warn

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["Projection", "read_projection"]

_VIEW_OF_WORD = {
    **dict.fromkeys(("AP", "PA", "FRONTAL"), "frontal"),
    **dict.fromkeys(("LL", "RL", "LAT", "LLAT", "RLAT", "LATERAL"), "lateral"),
}
_VIEW_OF_CODE = {  # names in the standard's context group 4010, DX View
    **dict.fromkeys(("AnteroPosterior", "PosteroAnterior", "Frontal"), "frontal"),
    **dict.fromkeys(("LateralProjection", "LeftLateral", "RightLateral"), "lateral"),
}
_VIEW_OF_PLANE = {frozenset("XZ"): "frontal", frozenset("YZ"): "lateral"}
_AXIS = {"L": "X", "R": "X", "A": "Y", "P": "Y", "H": "Z", "F": "Z"}  # of the patient
_CODE_STRING = re.compile("[A-Z0-9_ ]{1,16}")


class Projection(NamedTuple):
    """What a header says of the projection, ``""`` for what it does not say.

    Attributes:
        view: ``"frontal"`` or ``"lateral"``.
        view_position: View Position, such as ``"PA"`` or ``"LL"``.
        laterality: ``"L"``, ``"R"``, or ``"B"`` for both.
        body_part: Body Part Examined, such as ``"CHEST"``.
        evidence: the element that tells the view.
    """

    view: str = ""
    view_position: str = ""
    laterality: str = ""
    body_part: str = ""
    evidence: str = ""

    def meta(self) -> dict[str, str]:
        """Return all but the evidence by name."""
        return {name: value for name, value in self._asdict().items() if name != "evidence"}


def read_projection(dataset: Dataset) -> Projection:
    """Read the projection. Of elements that contradict each other the first counts, with a warning.

    Args:
        dataset: a pydicom data set.

    Example:
        >>> from pydicom import Dataset
        >>> film = Dataset()
        >>> film.PatientOrientation = ["A", "F"]  # rows run to the front, columns to the feet
        >>> read_projection(film).view
        'lateral'
    """
    position = _code(dataset, "ViewPosition")
    side = _code(dataset, "ImageLaterality") or _code(dataset, "Laterality")
    told = {
        f"ViewPosition {position}": _view_of_words(position.split()),
        "ViewCodeSequence": _view_of_codes(optional(items, dataset, "ViewCodeSequence") or []),
        "PatientOrientation": _VIEW_OF_PLANE.get(_plane(dataset), ""),
    }
    views = {element: view for element, view in told.items() if view}
    evidence = next(iter(views), "")
    if len(set(views.values())) > 1:
        warn(f"{', '.join(f'{element} says {view}' for element, view in views.items())}; the first counts.")
    return Projection(
        view=views.get(evidence, ""),
        view_position=position,
        laterality=side if side in ("L", "R", "B") else "",
        body_part=_code(dataset, "BodyPartExamined"),
        evidence=evidence,
    )


def _view_of_words(words: list[str]) -> str:
    """The view by words such as XTABLE LATERAL; lateral decubitus (LLD, RLD) is how the patient lies, not a view."""
    return next((_VIEW_OF_WORD[word] for word in words if word in _VIEW_OF_WORD), "")


def _view_of_codes(sequence: list[Dataset]) -> str:
    if not sequence:
        return ""
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    value, scheme = (optional(text, sequence[0], name) for name in ("CodeValue", "CodingSchemeDesignator"))
    found = Code(value or "", scheme or "", "")  # equal to the same code of SNOMED's older scheme
    return next((view for name, view in _VIEW_OF_CODE.items() if getattr(codes.cid4010, name) == found), "")


def _plane(dataset: Dataset) -> frozenset[str]:
    """The axes of the patient along which rows and columns run; "" stands for one that is oblique."""
    directions = dataset.get("PatientOrientation") or ()
    return frozenset(_AXIS.get(str(direction), "") for direction in directions)


def _code(dataset: Dataset, keyword: str) -> str:
    """A code string in capitals; whatever else stands in its place is unknown, and not quoted: it may be a name."""
    from pydicom.config import disable_value_validation

    with disable_value_validation():  # whose warnings quote the value
        return optional(_code_string, dataset, keyword) or ""


def _code_string(dataset: Dataset, keyword: str) -> str:
    found = (text(dataset, keyword) or "").upper()
    if found and not _CODE_STRING.fullmatch(found):
        raise FileReadError(f"{keyword} is not a code of at most 16 letters.")
    return found
