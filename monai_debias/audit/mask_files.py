# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""From a finding to files: a mask for each image of a data set, and a datalist for BackMix, ISNet and the like."""

from __future__ import annotations

import gzip
import io
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose
from monai.transforms.utils import allow_missing_keys_mode
from monai.utils import optional_import
from numpy.typing import NDArray

from monai_debias.audit.allowed import allowed_region
from monai_debias.audit.run import Audit
from monai_debias.data.datalist import read_datalist
from monai_debias.data.datalist_items import DATALIST_NAME
from monai_debias.data.found_masks.command import Source, with_masks
from monai_debias.data.found_masks.find_all import MaskRow
from monai_debias.files import replace_file, write_json

__all__ = ["write_allowed_masks"]

Image, _ = optional_import("PIL.Image")
nibabel, _ = optional_import("nibabel")
logger = logging.getLogger(__name__)

_FROM = "masks_of_an_audit_of"  # key of a datalist that is written here
_ALIKE = 0.5  # intersection over union of what must not be looked at, in the file and as it was found


def write_allowed_masks(
    audit: Audit, dataset_dir: str | os.PathLike, out: str | os.PathLike, transform: Callable[[Any], Mapping[str, Any]]
) -> Path | None:
    """Write what may be looked at as masks of the files' own sizes, and ``datalist.json`` with all sections.

    The region of the audit goes back through the spatial transforms of each image, as MONAI records them. Each mask is
    then read as a training reads it; if another region comes out, nothing is written to the datalist. Images that have
    a mask keep it: it says already what may be looked at. An image that cannot be read, or that nothing of the region
    lies in, has none, and the log names it.

    Args:
        audit: the result of an audit.
        dataset_dir: the data-set directory.
        out: another folder; the masks are in its folder ``masks``.
        transform: makes ``image`` and ``mask`` of an item with their files, as in the audit.

    Returns:
        The datalist; None if no stamp or patch was found, or no image is without a mask.

    Raises:
        FileExistsError: when there is a datalist of something else.
        ValueError: when a mask comes out of the preprocessing as another region, or no image gets one.
    """
    region, target = allowed_region(audit), Path(out)
    source = Source(dataset_dir, target)
    if region is None or not source.found.files:
        return None
    refuse_other_datalist(source, target)
    rows = [row for file in source.found.files if (row := _written(Path(file), source, target, region, transform))]
    if not rows:
        raise ValueError(f"no image of {source.datalist} gets a mask, for reasons that the log tells.")
    content = with_masks(source, rows, target)
    write_json(target / DATALIST_NAME, {**content, _FROM: _place(source, target)})
    return target / DATALIST_NAME


def refuse_other_datalist(source: Source, target: Path) -> None:
    """Only a datalist that was written here, for the same source, may be replaced.

    Args:
        source: whose images get masks.
        target: the folder to write to.
    """
    there = target / DATALIST_NAME
    if there.exists() and read_datalist(there).get(_FROM) != _place(source, target):
        raise FileExistsError(f"{there} is not of an audit of {source.datalist}: choose another folder for the masks.")


def _place(source: Source, target: Path) -> str:
    return Path(os.path.relpath(source.datalist, target)).as_posix()


def _written(
    file: Path, source: Source, target: Path, region: torch.Tensor, transform: Callable[[Any], Mapping[str, Any]]
) -> MaskRow | None:
    """The mask of an image, on the disk; None for an image that cannot be read."""
    try:
        image = transform({"image": str(file)})["image"]
    except Exception as error:  # noqa: BLE001 # whatever a reader raises
        logger.warning("%s: has no mask, since it cannot be read: %s", file, error.__cause__ or error)
        return None
    name = Path(os.path.relpath(file, source.directory))
    below = Path("beside", *file.resolve().parts[1:]) if name.parts[0] == ".." else name
    mask = _in_file(region, image, transform)
    if mask.all():
        logger.warning("%s: has no mask, since what was found lies outside of it, where a transform pads", file)
        return None
    path = target / "masks" / f"{below.as_posix()}{_suffix(file, mask)}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target) as trials:
        content = _as_read(file, mask, region, Path(trials, path.name), image, transform)
    with replace_file(path, "wb") as written:
        written.write(content)
    return MaskRow(name.as_posix(), path, "audit", 1.0, float(mask.mean()), "", True)


def _as_read(
    file: Path,
    mask: NDArray[np.bool_],
    region: torch.Tensor,
    trial: Path,
    image: Any,
    transform: Callable[[Any], Mapping[str, Any]],
) -> bytes:
    """What a file has to hold so that a training makes the region of it; each shape is tried in a file of its own."""
    best, likeness, reason = b"", 0.0, "another region comes out"

    def read(shaped: NDArray[np.bool_]) -> Any:
        trial.write_bytes(_content(shaped, trial, image))
        return transform({"image": str(file), "mask": str(trial)}).get("mask")

    for shaped in _shapes(mask, trial):
        try:
            alike = _likeness(read(shaped), region)
            if alike < _ALIKE:  # what a transform pads is in no file, and comes out as 0
                alike = _likeness(read(shaped), region, within=read(np.ones_like(shaped)))
        except Exception as error:  # noqa: BLE001 # a mask of another shape, say
            alike, reason = 0.0, str(error.__cause__ or error)
        if alike > likeness:
            best, likeness = _content(shaped, trial, image), alike
    if likeness < _ALIKE:
        raise ValueError(
            f"{file}: the preprocessing does not make of its mask what was found ({reason}). It has to read masks "
            "from the datalist (a bundle that finds its own: --find_sectors False), and its spatial transforms must be "
            "MONAI's invertible ones."
        )
    return best


def _in_file(region: torch.Tensor, image: Any, transform: Any) -> NDArray[np.bool_]:
    """The region as it lies in the file of an image, (spatial...)."""
    if isinstance(image, MetaTensor) and isinstance(transform, Compose):
        moved = MetaTensor(
            region.float().expand(image.shape), meta=image.meta, applied_operations=image.applied_operations
        )
        with allow_missing_keys_mode(transform):
            region = transform.inverse({"image": moved})["image"]
    return np.asarray(region[0]) > 0.5


def _shapes(mask: NDArray[np.bool_], path: Path) -> list[NDArray[np.bool_]]:
    """The mask in the order of axes that readers differ in, of arrays also with an axis for its channel."""
    turned = [mask, mask.T] if mask.ndim == 2 else [mask]
    return [*turned, mask[None]] if path.suffix == ".npy" else turned


def _suffix(file: Path, mask: NDArray) -> str:
    """Of a file that the reader of the image reads, too."""
    if file.name.lower().endswith((".nii", ".nii.gz")):
        return ".nii.gz"
    return ".npy" if file.suffix.lower() == ".npy" or mask.ndim != 2 else ".png"


def _content(mask: NDArray[np.bool_], path: Path, image: Any) -> bytes:
    buffer = io.BytesIO()
    if path.suffix == ".png":
        Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(buffer, "PNG")
    elif path.suffix == ".npy":
        np.save(buffer, mask.astype(np.uint8))
    else:
        affine = image.meta.get("original_affine") if isinstance(image, MetaTensor) else None
        written = nibabel.Nifti1Image(mask.astype(np.uint8), np.eye(4) if affine is None else np.asarray(affine))
        return gzip.compress(written.to_bytes(), mtime=0)
    return buffer.getvalue()


def _likeness(mask: Any, region: torch.Tensor, within: Any = None) -> float:
    """Intersection over union of what must not be looked at, as far as it is within a mask."""
    if mask is None or tuple(mask.shape[1:]) != tuple(region.shape[1:]):
        return 0.0
    hidden, meant = torch.as_tensor(np.asarray(mask))[:1] == 0, region == 0
    inside = torch.ones_like(meant) if within is None else torch.as_tensor(np.asarray(within))[:1] != 0
    return float((hidden & meant & inside).sum() / ((hidden | meant) & inside).sum().clamp_min(1))
