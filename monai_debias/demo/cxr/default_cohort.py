# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The demo cohort of chest radiographs as a bundle's default data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_debias.constraints import PATH, SEED, MappingOf, Number, OneOf
from monai_debias.demo.cxr.cohort import build_cxr_cohort
from monai_debias.demo.cxr.findings import TASKS
from monai_debias.demo.default_cohort import generate_once
from monai_debias.parameters import expects

__all__ = ["cxr_demo_cohort"]


@expects(directory=PATH, task=OneOf(*TASKS), bias=Number("[0, 1]") | MappingOf(Number("[0, 1]")), seed=SEED)
def cxr_demo_cohort(
    directory: str | Path, task: str = "covid", bias: float | Mapping[str, float] = 0.95, seed: int = 0, **options: Any
) -> str:
    """Return the directory of the demo cohort of chest radiographs, after generating it there if it does not exist.

    It is the default of a bundle's ``dataset_dir``; nothing is ever generated in a directory that the user gives.

    Args:
        directory: where the cohort is, or will be written.
        task: that of a new cohort, see :func:`build_cxr_cohort`.
        bias: strength of the shortcuts of a new cohort.
        seed: seed of a new cohort.
        options: further arguments of :func:`build_cxr_cohort` for a new cohort.

    Returns:
        The directory, as a string for path expressions in configs.

    Raises:
        FileExistsError: when the directory has other content than a cohort.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     cxr_demo_cohort(file.name)
        Traceback (most recent call last):
        FileExistsError: ... exists and is not an empty directory; nothing was written, choose another one.
    """
    return generate_once(directory, build_cxr_cohort, task=task, bias=bias, seed=seed, **options)
