# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The masks of all images of a data set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from monai.utils import OptionalImportError, optional_import
from numpy.typing import NDArray

from monai_debias.data.found_masks.finder import FoundMask, MaskFinder
from monai_debias.data.found_masks.mask_file import read_found, write_found
from monai_debias.data.left_out import LeftOut
from monai_debias.data.reading import UnrelatedFileError
from monai_debias.distributed import is_first, share_work
from monai_debias.processes import in_processes

__all__ = ["GivenMask", "MaskRow", "find_masks"]

tqdm, has_tqdm = optional_import("tqdm", name="tqdm")

SHOWN = 1000  # images to look at, the least certain ones
_TILE = 200  # pixels along the longer side of what is kept for the contact sheet


@dataclass(frozen=True)
class MaskRow:
    """The result for one image.

    Attributes:
        image: its path relative to the data-set directory.
        mask: path of its mask, None if there is none.
        method: how it was found, in the finder's words; ``"by hand"``, ``"given"``, or ``"none"``.
        confidence: 0 to 1 in the finder's view; 1 for a mask that was edited by hand or given.
        area: share of the image that the mask covers.
        doubts: what speaks against the mask, or why there is none.
        usable: whether to train with it without looking at it first.
        picture: (rows, columns) a small copy of the image, of a clip of its first frame, in [0, 1]; None if the image
            cannot be read, or is not among the first ``SHOWN`` to look at: memory does not grow with the data set.
        outline: (rows, columns) the mask at this size, None if there is none.
    """

    image: str
    mask: Path | None
    method: str
    confidence: float
    area: float
    doubts: str
    usable: bool
    picture: NDArray[np.floating] | None = None
    outline: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class GivenMask:
    """The finder of images that all have the same mask, such as those of one scanner.

    Args:
        finder: what reads the images.
        mask: (rows, columns).
    """

    finder: MaskFinder
    mask: NDArray[np.bool_]

    @property
    def signature(self) -> str:
        """The same for all masks: what is given is not looked for."""
        return "given"

    def load(self, path: Path) -> torch.Tensor:
        """Read an image.

        Args:
            path: the file.
        """
        return self.finder.load(path)

    def find(self, image: torch.Tensor) -> FoundMask:
        """Return the mask.

        Args:
            image: what it has to fit.
        """
        return FoundMask(self.mask, "given", 1.0, "", True)


def find_masks(
    files: Iterable[str | Path],
    directory: str | Path,
    out: str | Path,
    finder: MaskFinder,
    workers: int | None = 1,
    progress: bool = False,
) -> tuple[list[MaskRow], list[LeftOut]]:
    """Write the mask of each image as ``OUT/masks/PATH.png``, with the path relative to the directory.

    Processes that ``torchrun`` has started each find the masks of their share of the images.

    A mask that is there already is not looked for again, if the same finder wrote it for the same file (by its size and
    time of change), and never replaced, if it was edited or put there by hand; it has to fit its image. So a call that
    was interrupted goes on where it was.

    Args:
        files: the images.
        directory: the folder that their paths are written relative to.
        out: the folder for the masks.
        finder: what finds a mask.
        workers: number of processes; None = one per available processor.
        progress: whether to show a progress bar (with tqdm).

    Returns:
        A row for each image, those that need a look and the least certain first, and the files that are something else.

    Example:
        See :func:`~monai_debias.data.found_masks.command.write_masks`.
    """
    paths = [Path(file) for file in files]
    find, shows = partial(_row, Path(directory), Path(out), finder), progress and has_tqdm and is_first()

    def rows_of(share: Sequence[Path]) -> Iterable[MaskRow | LeftOut]:
        steps = in_processes(find, share, workers)
        read: list[MaskRow | LeftOut] = []
        for step in tqdm(steps, total=len(share), unit="image") if shows else steps:
            read.append(step)
            if len(read) % SHOWN == 0:
                read = _with_few_pictures(read)
        return read

    found = _with_few_pictures(share_work(rows_of, paths))
    rows = [row for row in found if isinstance(row, MaskRow)]
    left_out = [entry for entry in found if isinstance(entry, LeftOut)]
    return sorted(rows, key=_certainty), left_out


def _certainty(row: MaskRow) -> tuple[bool, float, str]:
    return row.usable, row.confidence, row.image


def _with_few_pictures(found: Sequence[MaskRow | LeftOut]) -> list[MaskRow | LeftOut]:
    """The same without the pictures of those that nobody will look at."""
    pictured = [row for row in found if isinstance(row, MaskRow) and row.picture is not None]
    others = {id(row) for row in sorted(pictured, key=_certainty)[SHOWN:]}
    return [
        replace(row, picture=None, outline=None) if isinstance(row, MaskRow) and id(row) in others else row
        for row in found
    ]


def _row(directory: Path, out: Path, finder: MaskFinder, path: Path) -> MaskRow | LeftOut:
    name = _relative(path, directory)
    target = out / "masks" / f"{name}.png"
    picture = None
    try:
        image = finder.load(path)
        first = image[0].reshape(*image.shape[1:3], -1)[..., 0].numpy(force=True)
        picture = _small(first / max(float(first.max()), 1.0))
        signature = f"{finder.signature}, of {path.stat().st_size} bytes of {path.stat().st_mtime_ns}"
        there = read_found(target, signature)
        found = there or finder.find(image)
        _check(found, tuple(image.shape[1:3]))
    except UnrelatedFileError as error:
        return LeftOut(str(path), error.kind, str(error).removeprefix(f"{path}: "))
    except (ValueError, OSError, OptionalImportError) as error:
        return MaskRow(name, None, "none", 0.0, 0.0, str(error), False, picture)
    if there is None:
        write_found(target, found, signature)
    area, outline = float(found.mask.mean()), _small(found.mask)
    return MaskRow(name, target, found.method, found.confidence, area, found.doubts, found.usable, picture, outline)


def _check(found: FoundMask, size: tuple[int, ...]) -> None:
    mask, what = found.mask, f"the {found.method} mask"
    if found.method == "by hand":
        what = "the mask by hand"
    if mask.shape != size:
        raise ValueError(
            f"{what} has {mask.shape[0]} rows and {mask.shape[1]} columns, the image {size[0]} and {size[1]}."
        )
    if found.method in ("by hand", "given") and (mask.all() or not mask.any()):
        raise ValueError(f"{what} is {'full' if mask.all() else 'empty'}.")


def _relative(path: Path, directory: Path) -> str:
    """The path below the directory; of a file outside of it, ``beside/`` and its whole path."""
    path, directory = path.absolute(), directory.absolute()
    if path.is_relative_to(directory):
        return path.relative_to(directory).as_posix()
    return Path("beside", *path.parts[1:]).as_posix()


def _small(values: NDArray) -> NDArray:
    step = max(1, -(-max(values.shape) // _TILE))
    return values[::step, ::step].copy()
