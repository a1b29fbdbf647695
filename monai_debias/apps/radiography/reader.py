# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A reader of radiographs: whatever a file is, it becomes float32 in [0, 1] with black = air."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from monai.utils import ensure_tuple

from monai_debias.apps.radiography.dicom import RadiographClip, read_radiograph
from monai_debias.apps.radiography.projection import Projection
from monai_debias.apps.radiography.unit_range import to_unit_range
from monai_debias.constraints import NONE, STRING, Integer, OneOf
from monai_debias.data.formats.clip import display_range
from monai_debias.data.reader import ImageFileReader
from monai_debias.data.reading import UnrelatedFileError, reading
from monai_debias.parameters import constraints_of, expects

__all__ = ["RadiographReader"]


class RadiographReader(ImageFileReader):
    """Read radiographs as a radiologist sees them: float32 in [0, 1], 0 = black = where the beam met only air.

    - DICOM of the modalities CR, DX and RG, and secondary captures: modality LUT or rescale, VOI LUT or window (of
      several the first, or ``window``) and MONOCHROME1, which is inverted, see
      :class:`~monai_debias.apps.radiography.grey_scale.FilmPixels`. Colours become grey. Overlay planes are left out,
      and pixels that pad the film are black. Raw detector values (DX "for processing") are refused.
    - PNG, JPEG and BMP: 8 bits are divided by 255, 16 bits by 65535.
    - NIfTI and ``.npy``: uint8 and uint16 the same, fractions in [0, 1] as they are, anything else is scaled by cal_min
      and cal_max of the NIfTI header, and refused without these, since black and white are unknown.
    - A mask, whose values are 0 and 1 or 0 and 255, becomes 0 and 1.

    Files other than DICOM do not say whether they are inverted: black must be air already. An image whose brightest
    pixel is below 1/8, or whose darkest is above 7/8, gives a warning: values of 12 bits may have been saved as 16.

    MONAI's ``LoadImage`` hides what a reader's ``read`` raises and tries its other readers, none of which inverts
    MONOCHROME1. So ``read`` only takes the name, and whatever is wrong with the file is raised by ``get_data``, which
    reaches the user.

    Rows and columns are not swapped. The meta dict is that of
    :class:`~monai_debias.data.reader.ImageFileReader`, ``display_range`` is (0, 1), and what the header says, ``""`` if
    it does not, as in all files but DICOM:

    - ``view``: ``"frontal"`` or ``"lateral"``, by View Position, View Code Sequence or Patient Orientation;
    - ``view_position`` (``"PA"``), ``laterality`` (``"L"``, ``"R"``, ``"B"``) and ``body_part`` (``"CHEST"``);
    - ``spacing_source``: where ``spacing`` comes from. ``"PixelSpacing"`` may be calibrated to the patient,
      ``"ImagerPixelSpacing"`` is that on the detector, where the patient appears enlarged, and
      ``"NominalScannedPixelSpacing"`` that of a digitised film.

    Args:
        views: ``"frontal"`` refuses films whose header says that they are lateral, ``"lateral"`` those that are
            frontal; ``"any"`` takes all.
        body_part: refuses films of another Body Part Examined, e.g. ``"CHEST"``; None takes all. A film without it is
            taken.
        window: which of the VOI LUTs of a film, or without such of its windows, by its place in the header, from 0;
            where there are several, they are different views of the same film.
        max_bytes: largest size of the decoded film in bytes, 4 GiB by default.

    Raises:
        ValueError: if an argument has another value.
        UnrelatedFileError: from :meth:`get_data` if the file is not a radiograph, or not of these views or this part of
            the body.
        FileReadError: from :meth:`get_data` if it has several frames, its grey scale makes no sense, or as
            :class:`~monai_debias.data.reader.ImageFileReader`.
        FileNotFoundError: from :meth:`get_data` if there is no such file.
        OptionalImportError: from :meth:`get_data` if the compression needs a package that is not installed.

    Example:
        >>> from pydicom.data import get_testdata_file
        >>> reader = RadiographReader()
        >>> film, meta = reader.get_data(reader.read(get_testdata_file("image_dfl.dcm")))
        >>> film.shape, film.dtype, float(film.min()), float(film.max()), meta["view"]
        ((512, 512), dtype('float32'), 0.0, 1.0, '')
    """

    @expects(
        views=OneOf("frontal", "lateral", "any"),
        body_part=NONE | STRING,
        window=Integer("[0, inf)"),
        max_bytes=constraints_of(ImageFileReader)["max_bytes"],
    )
    def __init__(
        self, views: str = "frontal", body_part: str | None = None, window: int = 0, max_bytes: int = 2**32
    ) -> None:
        super().__init__(max_bytes=max_bytes)
        self.views = views
        self.body_part = body_part
        self.window = window

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> tuple[PathLike, ...]:
        """Take the name of a file, which :meth:`get_data` opens.

        Args:
            data: the file, or a sequence of exactly one.
            kwargs: ignored; part of MONAI's interface.
        """
        return ensure_tuple(data)

    def get_data(self, img: tuple[PathLike, ...]) -> tuple[np.ndarray, dict[str, Any]]:
        """Open and decode the film.

        Args:
            img: what :meth:`read` returned.

        Returns:
            The film, (rows, columns), and the meta dict that the class describes.
        """
        file = super().read(img)
        with reading(file.path, "the number of frames"):
            if file.content.n_frames != 1:
                raise UnrelatedFileError(f"has {file.content.n_frames} frames, expected one: a radiograph is a still.")
        array, meta = super().get_data(file)
        with reading(file.path, "the grey scale"):
            film = to_unit_range(array, meta.get("display_range"))
        return film, {**Projection().meta(), "spacing_source": "", **meta, **display_range(0, 1)}

    def open_dicom(self, path: Path) -> RadiographClip:
        """Open a DICOM file, and check that it is a radiograph of the views and the part of the body asked for.

        Args:
            path: the file.
        """
        clip = read_radiograph(path, self.window)
        found = clip.projection
        if self.views != "any" and found.view not in ("", self.views):
            raise UnrelatedFileError(
                f"is a {found.view} film ({found.evidence}), expected a {self.views} one; "
                f'RadiographReader(views="any") takes both.'
            )
        if self.body_part is not None and found.body_part and self.body_part.upper() not in found.body_part:
            raise UnrelatedFileError(f"shows {found.body_part} (BodyPartExamined), expected {self.body_part.upper()}.")
        return clip
