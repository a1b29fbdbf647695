# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The sector masks of all images of a data set."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from monai.data import MetaTensor
from monai.utils import OptionalImportError, optional_import
from numpy.typing import NDArray

from monai_debias.apps.ultrasound.load import LoadUltrasound
from monai_debias.apps.ultrasound.sector_files.mask_file import is_edited, read_mask, write_mask
from monai_debias.apps.ultrasound.sector_mask import SectorGuessWarning, UltrasoundSectorMask
from monai_debias.constraints import BOOL, NONE, PATH, SequenceOf
from monai_debias.data.left_out import LeftOut
from monai_debias.data.reading import UnrelatedFileError
from monai_debias.parameters import expects

__all__ = ["SectorRow", "find_sector_masks"]

tqdm, has_tqdm = optional_import("tqdm", name="tqdm")

_TILE = 200  # pixels along the longer side of what is kept for the contact sheet


@dataclass(frozen=True)
class SectorRow:
    """The result for one image.

    Attributes:
        image: its path relative to the data-set directory.
        mask: path of its mask, None if there is none.
        method: ``"regions"``, ``"clip"`` or ``"still"``, as in the transform; ``"by hand"``, ``"given"``, or
            ``"none"``.
        confidence: 0 to 1, see :class:`~monai_debias.apps.ultrasound.sector.finder.Sector`; 1 for a mask that was
            edited by hand or given.
        area: share of the image that the mask covers.
        doubts: what speaks against the mask, or why there is none.
        picture: (rows, columns) a small copy of the first frame, in [0, 1]; None if the image cannot be read.
        outline: (rows, columns) the mask at this size, None if there is none.
    """

    image: str
    mask: Path | None
    method: str
    confidence: float
    area: float
    doubts: str
    picture: NDArray[np.floating] | None = None
    outline: NDArray[np.bool_] | None = None


@expects(files=SequenceOf(PATH), directory=PATH, out=PATH, mask=NONE | PATH, progress=BOOL)
def find_sector_masks(
    files: Iterable[str | Path],
    directory: str | Path,
    out: str | Path,
    mask: str | Path | None = None,
    progress: bool = False,
) -> tuple[list[SectorRow], list[LeftOut]]:
    """Write the sector mask of each image as ``OUT/masks/PATH.png``, with the path relative to the directory.

    A mask that was edited or put there by hand is kept; it has to fit its image.

    Args:
        files: the images.
        directory: the folder that their paths are written relative to.
        out: the folder for the masks.
        mask: a mask file to take for all images instead of finding their sectors.
        progress: whether to show a progress bar (with tqdm).

    Returns:
        A row for each image, the least certain first, and the files that are not ultrasound.

    Raises:
        ValueError: if the file ``mask`` is not a mask.

    Example:
        >>> import tempfile
        >>> from pydicom.data import get_testdata_file
        >>> clip = Path(get_testdata_file("examples_ybr_color.dcm"))
        >>> with tempfile.TemporaryDirectory() as out, warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")  # its regions do not fit
        ...     [row], left_out = find_sector_masks([clip], clip.parent, out)
        >>> row.image, row.method, row.confidence > 0.9
        ('examples_ybr_color.dcm', 'clip', True)
    """
    given = None if mask is None else read_mask(Path(mask).expanduser())
    paths = [Path(file) for file in files]
    bar = tqdm(paths, unit="image") if progress and has_tqdm else paths
    found = [_row(path, Path(directory), Path(out), given) for path in bar]
    rows = [row for row in found if isinstance(row, SectorRow)]
    left_out = [entry for entry in found if isinstance(entry, LeftOut)]
    return sorted(rows, key=lambda row: (row.confidence, row.image)), left_out


def _row(path: Path, directory: Path, out: Path, given: NDArray[np.bool_] | None) -> SectorRow | LeftOut:
    name = _relative(path, directory)
    target = out / "masks" / f"{name}.png"
    picture = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SectorGuessWarning)  # the row tells the doubts
            image = LoadUltrasound()(path)
            first = image[0].reshape(*image.shape[1:3], -1)[..., 0].numpy()
            picture = _small(first / max(float(first.max()), 1.0))
            found, method, confidence, doubts = _mask_of(image, target, given)
    except UnrelatedFileError as error:
        return LeftOut(str(path), error.kind, str(error).removeprefix(f"{path}: "))
    except (ValueError, OSError, OptionalImportError) as error:
        return SectorRow(name, None, "none", 0.0, 0.0, str(error), picture)
    if method != "by hand":
        write_mask(target, found)
    return SectorRow(name, target, method, confidence, float(found.mean()), doubts, picture, _small(found))


def _mask_of(
    image: torch.Tensor, target: Path, given: NDArray[np.bool_] | None
) -> tuple[NDArray[np.bool_], str, float, str]:
    """Mask, method, confidence and doubts."""
    size = tuple(image.shape[1:3])
    if is_edited(target):
        return _fitting(read_mask(target), size, "the mask by hand"), "by hand", 1.0, ""
    if given is not None:
        return _fitting(given, size, "the given mask"), "given", 1.0, ""
    found = cast(MetaTensor, UltrasoundSectorMask()(image))
    told = (found.meta[f"sector_{name}"] for name in ("source", "confidence", "doubts"))
    return (found[0].numpy() > 0, *told)


def _fitting(mask: NDArray[np.bool_], size: tuple[int, ...], what: str) -> NDArray[np.bool_]:
    if mask.shape != size:
        raise ValueError(
            f"{what} has {mask.shape[0]} rows and {mask.shape[1]} columns, the image {size[0]} and {size[1]}."
        )
    if mask.all() or not mask.any():
        raise ValueError(f"{what} is {'full' if mask.all() else 'empty'}.")
    return mask


def _relative(path: Path, directory: Path) -> str:
    """The path below the directory; of a file outside of it, ``beside/`` and its whole path."""
    path, directory = path.absolute(), directory.absolute()
    if path.is_relative_to(directory):
        return path.relative_to(directory).as_posix()
    return Path("beside", *path.parts[1:]).as_posix()


def _small(values: NDArray) -> NDArray:
    step = max(1, -(-max(values.shape) // _TILE))
    return values[::step, ::step].copy()
