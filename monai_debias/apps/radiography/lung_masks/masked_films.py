# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The films of a datalist from which lung masks can be learned."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any

from monai_debias.data.datalist import load_datalist

__all__ = ["load_masked_films"]


def load_masked_films(dataset_dir: str | os.PathLike, sections: Sequence[str]) -> list[dict[str, Any]]:
    """Load the items that have a mask.

    Args:
        dataset_dir: the data-set directory with a ``datalist.json``.
        sections: names of its sections; one without masks is left out, with a warning in the log.

    Returns:
        The items, each with the name of its section as ``split``.

    Raises:
        ValueError: if no item of these sections has a mask.
        FileNotFoundError: as :func:`~monai_debias.data.datalist.load_datalist`.

    Example:
        >>> load_masked_films("no/such/folder", ["training"])  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        FileNotFoundError: the data-set directory no/such/folder does not exist; ...
    """
    masked = []
    for section in sections:
        found = [{**item, "split": section} for item in load_datalist(dataset_dir, section) if item.get("mask")]
        if not found:
            logging.getLogger(__name__).warning("no item of section %r of %s has a mask", section, dataset_dir)
        masked += found
    if not masked:
        names = ", ".join(map(repr, sections))
        raise ValueError(
            f"no item of section {names} of {dataset_dir} has a mask, from which lung masks are learned: add the files "
            'to these items, as "mask".'
        )
    return masked
