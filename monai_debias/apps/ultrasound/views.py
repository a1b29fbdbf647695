# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The views of an echocardiogram, and a folder for each of them -> MONAI datalist."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monai_debias.apps.ultrasound.reader import UltrasoundReader
from monai_debias.data.class_folders import find_class_folders
from monai_debias.data.folder_builder import build_folder_datalist
from monai_debias.parameters import constraints_of, expects

__all__ = ["ECHO_VIEWS", "build_ultrasound_datalist"]

#: the views of the BackMix paper in the order of their labels
ECHO_VIEWS = ("PLAX", "PSAX", "A2C", "A4C")

_OPTIONS = {name: value for name, value in constraints_of(build_folder_datalist).items() if name != "reader"}


@expects(**_OPTIONS)
def build_ultrasound_datalist(
    dataset_dir: str,
    patient_regex: str | None = None,
    class_names: str | Sequence[str] | None = None,
    masks: str | None = None,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.2,
    seed: int = 0,
    overwrite: bool = False,
    strict: bool = False,
) -> str:
    r"""Write the ``datalist.json`` of a directory that has a folder per class of ultrasound files.

    The layout is that of :func:`~monai_debias.data.folder_builder.build_folder_datalist` (``datalist folder``): a
    folder for each class, with or without folders for the splits. Other modalities, reports and presentation states of
    a study are left out, and listed in ``left_out.csv``.

    Args:
        dataset_dir: the directory; ``datalist.json`` is written there.
        patient_regex: finds the patient in a path, such as ``"^(p\d+)_"``; default: by the Patient ID of DICOM files.
        class_names: names of the class folders in the order of their labels (or one string with commas); default: the
            views PLAX, PSAX, A2C, A4C in this order, then all others sorted.
        masks: folder of the masks; default: no masks.
        validation_fraction: share of validation, if there are no split folders.
        test_fraction: share of test, if there are no split folders.
        seed: seed of the split, if there are no split folders.
        overwrite: whether an existing ``datalist.json`` may be replaced.
        strict: whether a file that would be left out is an error; then there is no new datalist.

    Returns:
        The path of the datalist.

    Raises:
        ValueError: as :func:`~monai_debias.data.folder_builder.build_folder_datalist`.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for view in ("A4C", "PLAX"):
        ...         Path(root, view).mkdir()
        ...         for patient in range(5):
        ...             np.save(Path(root, view, f"p{patient}_0.npy"), np.zeros((8, 8), dtype=np.uint8))
        ...     Path(build_ultrasound_datalist(root, patient_regex="^(p[0-9]+)_")).name
        'datalist.json'
    """
    directory = Path(dataset_dir).expanduser().absolute()
    if class_names is None and directory.is_dir():
        others = [Path(masks).expanduser().absolute()] if masks else []
        found = {folder.path.name for folder in find_class_folders(directory, others)[0]}
        class_names = [*(view for view in ECHO_VIEWS if view in found), *sorted(found - set(ECHO_VIEWS))]
    return build_folder_datalist(
        dataset_dir,
        patient_regex,
        class_names,
        masks,
        UltrasoundReader(frames=-1),
        validation_fraction,
        test_fraction,
        seed,
        overwrite,
        strict,
    )
