# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A reader of ultrasound that refuses other modalities and reports the ultrasound regions and their scale."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from monai_debias.apps.ultrasound.dicom import UltrasoundClip, read_ultrasound
from monai_debias.data.reader import ImageFile, ImageFileReader

__all__ = ["UltrasoundReader"]


class UltrasoundReader(ImageFileReader):
    """Read ultrasound stills and clips in display order, as :class:`~monai_debias.data.reader.ImageFileReader` does.

    DICOM files must be ultrasound stills or clips; other modalities are refused. Other formats do not record their
    modality and are taken for ultrasound: videos such as those of EchoNet-Dynamic, NIfTI files such as those of CAMUS.

    In the meta dict,

    - ``ultrasound_regions`` is added: the JSON text of a list of regions, see
      :mod:`~monai_debias.apps.ultrasound.regions`; ``"[]"`` if the file has none. It is text because lists of different
      lengths cannot be collated into a batch.
    - ``spacing`` is that of the ultrasound regions, or Pixel Spacing if there are none. Regions that do not fit in the
      image are not trusted (a warning says so).

    Args:
        frames: see :class:`~monai_debias.data.reader.ImageFileReader`.
        color: ``"grey"`` or ``"rgb"``.
        max_bytes: largest size of the decoded frames in bytes.

    Raises:
        ValueError: if an argument has another value.
        UnrelatedFileError: from :meth:`read` if the file is not an ultrasound image.
        FileReadError: as :class:`~monai_debias.data.reader.ImageFileReader`.

    Example:
        >>> from pydicom.data import get_testdata_file
        >>> reader = UltrasoundReader(frames="middle")
        >>> array, meta = reader.get_data(reader.read(get_testdata_file("examples_rgb_color.dcm")))
        >>> array.shape, array.dtype, meta["ultrasound_regions"]
        ((240, 320), dtype('uint8'), '[]')
    """

    def open_dicom(self, path: Path) -> UltrasoundClip:
        """Open a DICOM file, and check that it is an ultrasound still or clip.

        Args:
            path: the file.
        """
        return read_ultrasound(path)

    def get_data(self, img: ImageFile) -> tuple[np.ndarray, dict[str, Any]]:
        """Decode the frames that were asked for.

        Args:
            img: what :meth:`read` returned.

        Returns:
            The array and the meta dict that the class describes.
        """
        array, meta = super().get_data(img)
        return array, {**meta, "ultrasound_regions": json.dumps(meta.get("ultrasound_regions", []))}
