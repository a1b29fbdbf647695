# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The ultrasound sector of an image without annotation: what BackMix needs as its mask."""

from __future__ import annotations

import json
import warnings
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends
from numpy.typing import NDArray

from monai_debias.apps.ultrasound.sector.boxes import sector_in_boxes, usable_boxes
from monai_debias.apps.ultrasound.sector.finder import Sector, find_sector_in_clip, find_sector_in_still
from monai_debias.apps.ultrasound.sector.grey import grey_frames
from monai_debias.constraints import BOOL, KEY, KEYS, OneOf
from monai_debias.masks import mask_meta
from monai_debias.origin import file_names, from_files
from monai_debias.parameters import constraints_of, expects

__all__ = [
    "SectorGuessWarning",
    "UltrasoundSectorMask",
    "UltrasoundSectorMaskD",
    "UltrasoundSectorMaskDict",
    "UltrasoundSectorMaskd",
]

_SOURCES = ("auto", "regions", "clip", "still")
UNSURE_BELOW = 0.75  # a lower confidence gives a warning


class SectorGuessWarning(UserWarning):
    """The sector may be wrong: it was found by texture alone, or little speaks for it; the message says what."""


class UltrasoundSectorMask(Transform):
    """Find the ultrasound sector, that is the field of view without the text, scales, icons and traces around it.

    Three sources, in this order:

    1. ``"regions"``: the DICOM Sequence of Ultrasound Regions, from ``meta["ultrasound_regions"]`` of a MetaTensor as
       :class:`~monai_debias.apps.ultrasound.reader.UltrasoundReader` writes it. The rectangles of 2-D tissue and colour
       flow bound the search; the fan inside them is found as below (the whole rectangle is taken where nothing is
       found). If a region reaches beyond the image, the image was cropped or resized after acquisition; the regions are
       then ignored with a warning, as are regions that cover the whole image.
    2. ``"clip"``: what moves in most frames of a clip, fitted with the field of view of a phased, curved, linear,
       trapezoid or steered probe. Moving traces, clocks and counters do not count, dark edges are completed by the
       geometry. Where an edge is black along its whole length the mask ends at the visible tissue.
    3. ``"still"``: the largest textured area of a still (or of a clip in which nothing moves) that is not text. A
       weaker guess.

    Several areas are one sector with a black gap if each depth, or each beam, of a common field of view is either full
    of tissue or empty; else each is fitted by itself, and the mask is the union, as for two planes side by side.
    What scrolls sideways, and wide rectangles under another area, are taken for spectra and M-mode strips and left out.

    A :class:`SectorGuessWarning` says what is in doubt: a sector found by texture alone, even inside regions; a
    black gap that was bridged; black room for a near field or a side; areas that were left out; a confidence below
    0.75.

    Args:
        source: ``"auto"`` for the first source that works, or one of the three, which then has to work.

    Returns:
        The mask (1, rows, columns), uint8, 1 = sector. A MetaTensor for a MetaTensor, with the image's affine and file
        name, ``meta["sector_source"]``, one of the three names, ``meta["sector_confidence"]`` from 0 to 1, see
        :class:`~monai_debias.apps.ultrasound.sector.finder.Sector`, and ``meta["sector_doubts"]`` in words, "" if there
        are none; a tensor for a tensor, else an array.

    Raises:
        ValueError: if ``source`` is none of these; on calling, if the image has another number of dimensions than 3 or
            4, is smaller than 24 pixels, has NaN or infinite values or is constant, if no sector is found, or if the
            source that was asked for is not there.

    Example:
        >>> import numpy as np
        >>> from pydicom import examples
        >>> clip = np.moveaxis(examples.ybr_color.pixel_array, (0, 3), (3, 0))  # (3, 240, 320, 30)
        >>> mask = UltrasoundSectorMask()(clip)
        >>> mask.shape, mask.dtype, bool(mask[0, 120, 170]), bool(mask[0, 10, 20])
        ((1, 240, 320), dtype('uint8'), True, False)
    """

    backend = [TransformBackends.NUMPY]

    @expects(source=OneOf(*_SOURCES))
    def __init__(self, source: str = "auto") -> None:
        self.source = source

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """Find the sector of one image.

        Args:
            img: a still (C, rows, columns) or a clip (C, rows, columns, frames) in display order, of any value range.
        """
        file = from_files(file_names(img))
        try:
            found, source = self._find(img)
        except ValueError as error:
            raise ValueError(f"{str(error).removesuffix('.')}{file}.") from error
        _tell_doubts(found, file)
        mask = found.mask[None].astype(np.uint8)
        if not isinstance(img, torch.Tensor):
            return mask
        tensor = torch.from_numpy(mask).to(img.device)
        if not isinstance(img, MetaTensor):
            return tensor
        meta = {
            **mask_meta(img, tensor.shape),
            "sector_source": source,
            "sector_confidence": found.confidence,
            "sector_doubts": "; ".join(_doubts(found)),
        }
        return MetaTensor(tensor, meta=meta)

    def _find(self, img: NdarrayOrTensor) -> tuple[Sector, str]:
        """The sector, and the source that it was found in."""
        frames = grey_frames(img)
        regions = json.loads(img.meta.get("ultrasound_regions", "[]")) if isinstance(img, MetaTensor) else []
        found = self._from_regions(frames, regions) if self.source in ("auto", "regions") else None
        return self._from_pixels(frames) if found is None else (found, "regions")

    def _from_regions(self, frames: NDArray[np.float32], regions: Sequence[Mapping[str, Any]]) -> Sector | None:
        """The sector inside the regions, or None if they cannot be used and ``source`` does not ask for them."""
        boxes, problem = usable_boxes(regions, frames)
        if problem is None:
            return sector_in_boxes(frames, boxes)
        if self.source == "regions":
            raise ValueError(
                f"the sector was to be taken from the ultrasound regions, but {problem}; load the image with "
                'LoadUltrasoundd to keep its regions, or use source="auto" to find the sector in the pixels.'
            )
        if boxes:
            message = f"the ultrasound regions are not used, the sector is found in the pixels: {problem}."
            warnings.warn(message, stacklevel=5)
        return None

    def _from_pixels(self, frames: NDArray[np.float32]) -> tuple[Sector, str]:
        """The sector from motion or texture, and which of the two it was."""
        count = frames.shape[-1]
        if self.source != "still" and count > 1:
            sector = find_sector_in_clip(frames)
            if sector is not None:
                return sector, "clip"
        if self.source == "clip":
            moves = "nothing moves, or what moves scrolls sideways,"
            seen = "it is a still" if count == 1 else f"{moves} in the {count} of its frames that were looked at"
            raise ValueError(
                f"the sector was to be found as what moves in the image, but {seen}; give a clip (C, rows, columns, "
                'frames), or use source="auto" to guess from a still.'
            )
        sector = find_sector_in_still(frames[..., 0])
        if sector is None:
            raise ValueError(
                "no ultrasound sector found: nothing moves, and no area apart from text and lines looks like tissue; "
                "give a mask for this image, or leave it out."
            )
        return sector, "still"


class UltrasoundSectorMaskd(MapTransform):
    """Dictionary version of :class:`UltrasoundSectorMask`: writes the mask of the first image key under ``mask_key``.

    A sample that has a mask already is left unchanged: an annotation is better than what this finds.

    Args:
        keys: key (or keys) of the image; all have the same sector, it is found in the first that the sample has.
        mask_key: key of the mask.
        source: see :class:`UltrasoundSectorMask`.
        allow_missing_keys: whether a sample may lack the image; it is left unchanged if it lacks all.

    Raises:
        KeyError: on calling, if the image is missing.
        ValueError: see :class:`UltrasoundSectorMask`.

    Example:
        >>> import numpy as np
        >>> clip = np.zeros((1, 64, 64, 8), np.uint8)
        >>> clip[0, 16:48, 8:56] = np.random.default_rng(0).integers(0, 256, (32, 48, 8))
        >>> sample = UltrasoundSectorMaskd("image")({"image": clip, "label": 2})
        >>> int(sample["mask"].sum())
        1536
    """

    backend = UltrasoundSectorMask.backend

    @expects(keys=KEYS, mask_key=KEY, **constraints_of(UltrasoundSectorMask), allow_missing_keys=BOOL)
    def __init__(
        self, keys: KeysCollection, mask_key: str = "mask", source: str = "auto", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.mask_key = mask_key
        self.find_mask = UltrasoundSectorMask(source)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one sample.

        Args:
            data: the sample.
        """
        sample = dict(data)
        if sample.get(self.mask_key) is None:
            for key in self.key_iterator(sample):
                sample[self.mask_key] = self.find_mask(sample[key])
                break
        return sample


UltrasoundSectorMaskD = UltrasoundSectorMaskDict = UltrasoundSectorMaskd


def _doubts(sector: Sector) -> tuple[str, ...]:
    """What speaks against a sector, or that too little speaks for it."""
    unsure = sector.confidence < UNSURE_BELOW and not sector.doubts
    return ("a field of view explains little of what moves",) if unsure else sector.doubts


def _tell_doubts(sector: Sector, file: str) -> None:
    if doubts := _doubts(sector):
        warnings.warn(
            f"the ultrasound sector is a guess, look at the mask (confidence {sector.confidence:.2f}): "
            + "; ".join(doubts)
            + file,
            SectorGuessWarning,
            stacklevel=4,
        )
