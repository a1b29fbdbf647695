# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A folder of masks for a data set: which mask belongs to which image, by their names."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path

from monai.data import ImageReader

from monai_debias.constraints import NONE, PATH, SequenceOf
from monai_debias.data.folder_search import find_files
from monai_debias.data.left_out import LeftOut
from monai_debias.data.reader import ImageFileReader
from monai_debias.data.reading import UnrelatedFileError
from monai_debias.parameters import expects

__all__ = ["match_masks", "with_masks"]

_SUFFIX = re.compile(r"(\.nii)?\.[A-Za-z]\w*$")  # not the last number of a DICOM file that is named by its UID
_SHOWN = 3


def match_masks(
    images: Iterable[Path], directory: Path, masks: Path, reader: ImageReader
) -> tuple[dict[Path, Path], list[LeftOut]]:
    """Find the mask of each image, which has the same path below its folder, apart from the suffix.

    The log counts and names the images that have no mask.

    Args:
        images: the images.
        directory: the folder of the images.
        masks: the folder of the masks.
        reader: the reader of the masks; files with a suffix that it does not support are not masks.

    Returns:
        The masks by image, and the files of the folder that are not masks or belong to no image.

    Raises:
        FileNotFoundError: if the folder does not exist or is empty.
        ValueError: if two masks have the name of one image, or no mask has the name of an image.
    """
    if not masks.is_dir():
        raise FileNotFoundError(f"the folder of masks {masks} does not exist.")
    found = find_files(masks, repeats=True)
    readable = [path for path in map(Path, found.files) if reader.verify_suffix(str(path))]
    others = set(map(Path, found.files)) - set(readable)
    by_name: dict[str, list[Path]] = defaultdict(list)
    for mask in readable:
        by_name[_name(mask, masks)].append(mask)
    for several in by_name.values():
        if len(several) > 1:
            raise ValueError(f"{several[0]} and {several[1]} are masks of the same image: remove one of them.")
    wanted = {image: _name(image, directory) for image in images}
    matched = {image: by_name[name][0] for image, name in wanted.items() if name in by_name}
    if not matched:
        raise ValueError(
            f"none of the {len(readable)} masks in {masks} has the name of an image in {directory}: expected the path "
            "of the image, apart from the suffix, such as masks/CLASS/p01.png for CLASS/p01.dcm."
        )
    _log_missing([image for image in wanted if image not in matched], len(wanted), masks)
    superfluous = set(readable) - set(matched.values())
    return matched, [
        *found.left_out,
        *_unrelated(others, "does not have the suffix of a mask."),
        *_unrelated(superfluous, "is a mask without an image."),
    ]


@expects(files=SequenceOf(PATH), path=PATH, masks=NONE | PATH)
def with_masks(
    files: Sequence[str | PathLike], path: str | PathLike, masks: str | PathLike | None = None
) -> list[dict[str, str]]:
    """The items of images that are to be judged, with their masks where a folder has them.

    Args:
        files: the images, such as those of :func:`~monai_debias.data.find_files`.
        path: the folder of the images, or the only image.
        masks: a folder with masks of some of them, see :func:`match_masks`; None for no masks.

    Returns:
        ``[{"image": file, "mask": its mask}, ...]``, the latter for images that have one.

    Raises:
        FileNotFoundError: if the folder of masks does not exist or is empty.
        ValueError: if two masks have the name of one image, or no mask has the name of an image.

    Example:
        >>> with_masks(["in/a.dcm"], "in")
        [{'image': 'in/a.dcm'}]
    """
    if masks is None:
        return [{"image": str(file)} for file in files]
    folder = Path(path).expanduser()
    images = [Path(file) for file in files]
    found, _ = match_masks(images, folder if folder.is_dir() else folder.parent, Path(masks), ImageFileReader())
    return [{"image": str(i), **({"mask": str(found[i])} if i in found else {})} for i in images]


def _unrelated(files: Iterable[Path], reason: str) -> list[LeftOut]:
    return [LeftOut(str(path), UnrelatedFileError.kind, reason) for path in sorted(files)]


def _name(path: Path, folder: Path) -> str:
    return _SUFFIX.sub("", path.relative_to(folder).as_posix())


def _log_missing(missing: list[Path], total: int, masks: Path) -> None:
    if missing:
        first = ", ".join(map(str, missing[:_SHOWN]))
        logging.getLogger(__name__).warning(
            "%d of %d images have no mask in %s, such as %s", len(missing), total, masks, first
        )
