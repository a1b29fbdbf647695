# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A reader of stills and clips from DICOM, picture, video, NIfTI and NumPy files."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from pydoc import locate
from typing import Any

import numpy as np
import torch
from monai.data import ImageReader
from monai.utils import MetaKeys, ensure_tuple

from monai_debias.constraints import STRING, Instance, Integer, OneOf
from monai_debias.data.dicom.clip import read_dicom
from monai_debias.data.formats.clip import Clip
from monai_debias.data.formats.nifti import NIFTI_SUFFIXES, NiftiClip
from monai_debias.data.formats.npy import read_npy
from monai_debias.data.formats.picture import PICTURE_SUFFIXES, PictureClip
from monai_debias.data.formats.regular_file import check_regular_file
from monai_debias.data.formats.video import VIDEO_SUFFIXES, VideoClip
from monai_debias.data.frame_index import FRAME, frame_index
from monai_debias.data.reading import FileReadError, reading
from monai_debias.origin import READER
from monai_debias.parameters import expects

__all__ = ["ANY_READER", "ImageFile", "ImageFileReader", "find_reader", "looks_like_dicom"]

ANY_READER = STRING | Instance(ImageReader)

_DICOM_SUFFIXES = ("", ".dcm", ".dicom")
_OTHERS: dict[str, tuple[Callable[[Path], Clip], str]] = {
    ".npy": (read_npy, "the NumPy array"),
    **dict.fromkeys(NIFTI_SUFFIXES, (NiftiClip, "the NIfTI image")),
    **dict.fromkeys(PICTURE_SUFFIXES, (PictureClip, "the picture")),
    **dict.fromkeys(VIDEO_SUFFIXES, (VideoClip, "the video")),
}
_BT601 = (299, 587, 114)  # luminance weights of red, green and blue, in thousandths


@dataclass(frozen=True)
class ImageFile:
    """An opened file: what :meth:`ImageFileReader.read` returns and :meth:`ImageFileReader.get_data` takes.

    Attributes:
        path: where it came from; every error names it.
        content: its frames and their meta.
    """

    path: str
    content: Clip


class ImageFileReader(ImageReader):
    """Read stills and clips of any modality in display order.

    - DICOM, single- and multi-frame: MONOCHROME1 (inverted) and 2, RGB, YBR and PALETTE COLOR, unsigned, uncompressed
      and whatever pydicom can decompress with the plugins that are installed; with or without the preamble and the
      file meta. Where the header contradicts the pixels there is a warning, see
      :class:`~monai_debias.data.dicom.stored.StoredPixels`.
    - AVI, MP4 and QuickTime videos, see :class:`~monai_debias.data.formats.video.VideoClip`.
    - NIfTI stills (columns, rows), and clips or slices (columns, rows, frames), whose values are kept, see
      :class:`~monai_debias.data.formats.nifti.NiftiClip`.
    - PNG, JPEG and BMP stills (a JPEG is turned as its EXIF orientation says; transparency is ignored).
    - ``.npy`` stills, (rows, columns) or (rows, columns, 3), and clips, (frames, rows, columns), whose values are kept,
      see :func:`~monai_debias.data.formats.npy.read_npy`; never a pickle.

    The file type follows from the suffix; files with any other suffix are read as DICOM, whose files often have none.
    All but ``.npy`` and NIfTI give values in [0, 255]: uint8, or float32 where the file has more than 8 bits.

    The array is (rows, columns) for a still and (rows, columns, frames) for a clip, with a last dimension of 3 for
    ``color="rgb"``. Unlike MONAI's readers this one does not swap rows and columns, so that all formats agree. A
    multi-frame file with one frame is a still.

    The meta dict holds nothing that identifies the patient, only:

    - ``spatial_shape``, ``original_channel_dim`` and ``affine``: 4 x 4, with (row spacing, column spacing, 1, 1) on its
      diagonal, in mm, or ones if the spacing is unknown. Its axes are those of the array: rows down, columns to the
      right, frames, without an orientation with respect to the patient.
    - ``spacing``: (row, column) in mm, only if the file gives it.
    - ``reader``: the name of this class, by which masks with another order of rows and columns are refused.
    - ``display_range``: the values of black and white, if the format has such: 0 and 255, in a NIfTI file cal_min and
      cal_max.
    - ``n_frames``: number of frames of the file; ``frame_time``: milliseconds between them, only if the file gives it:
      Frame Time, the mean of the Frame Time Vector, or the inverse of the Cine Rate.

    A value of the header that an image can do without, such as its spacing, is unknown if it makes no sense (two values
    or none for one, text, infinite, not above 0); a :class:`~monai_debias.data.reading.FileReadWarning` names the file.

    Args:
        frames: ``"all"``, ``"middle"`` (index ``n // 2``), ``"first"``, or an index as in Python; only the frames that
            are asked for are decoded. All but ``"all"`` give a still.
        color: ``"grey"`` (luminance of ITU-R BT.601, which leaves a grey image stored as RGB as it is) or ``"rgb"``.
        max_bytes: largest size of the requested frames when decoded, 4 GiB by default; compared with what the header
            says before anything is decoded, so that an absurd header does not fill the memory.

    Raises:
        ValueError: if an argument has another value.
        FileReadError: from :meth:`read` and :meth:`get_data` if the file has no pixels, is cut short, has no frame of
            that index, or whatever else goes wrong; it names the file and what was being read.
        FileNotFoundError: from :meth:`read` if there is no such file.
        OptionalImportError: if the compression or the format needs a package that is not installed.

    Example:
        >>> from pydicom.data import get_testdata_file
        >>> reader = ImageFileReader(frames="middle")
        >>> array, meta = reader.get_data(reader.read(get_testdata_file("examples_rgb_color.dcm")))
        >>> array.shape, array.dtype, meta["n_frames"]
        ((240, 320), dtype('uint8'), 1)
    """

    @expects(frames=OneOf("all") | FRAME, color=OneOf("grey", "rgb"), max_bytes=Integer("[1, inf)"))
    def __init__(self, frames: str | int = "all", color: str = "grey", max_bytes: int = 2**32) -> None:
        super().__init__()
        self.frames = frames
        self.color = color
        self.max_bytes = max_bytes

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Tell whether the name of each file looks like one of the formats; a name without suffix counts as DICOM."""
        return all(_suffix(Path(name)) in (*_OTHERS, *_DICOM_SUFFIXES) for name in ensure_tuple(filename))

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> ImageFile:
        """Open one file; pixels of DICOM files are decoded later.

        Args:
            data: the file, or a sequence of exactly one.
            kwargs: ignored; part of MONAI's interface.
        """
        paths = [Path(name) for name in ensure_tuple(data)]
        if len(paths) != 1:
            raise ValueError(f"expected one file per item, got {len(paths)}: {', '.join(map(str, paths[:3]))}.")
        path = paths[0]
        check_regular_file(path)
        read, what = _OTHERS.get(_suffix(path), (self.open_dicom, "the DICOM header"))
        with reading(path, what):
            return ImageFile(str(path), read(path))

    def open_dicom(self, path: Path) -> Clip:
        """Open a DICOM file; a reader of one modality overrides this.

        Args:
            path: the file.
        """
        return read_dicom(path)

    def get_data(self, img: ImageFile) -> tuple[np.ndarray, dict[str, Any]]:
        """Decode the frames that were asked for.

        Args:
            img: what :meth:`read` returned.

        Returns:
            The array and the meta dict that the class describes.
        """
        clip = img.content
        whole = self.frames == "all"
        with reading(img.path, f"frame {self.frames}"):
            indices = None if whole else [frame_index(self.frames, clip.n_frames)]
            self._check_size(clip, clip.n_frames if whole else 1)
        with reading(img.path, "the pixel data"):
            convert = _to_rgb if self.color == "rgb" else _to_grey
            frames = [convert(frame) for frame in clip.decode(indices)]
            array = np.stack(frames, axis=2) if whole and clip.n_frames > 1 else frames[0]
        meta: dict[str, Any] = {"n_frames": clip.n_frames, READER: type(self).__name__}
        with reading(img.path, "the scale"):
            meta.update(clip.meta(*array.shape[:2]))
        meta[MetaKeys.AFFINE] = np.diag([*meta.get("spacing", (1.0, 1.0)), 1.0, 1.0])
        # tensors, because a cache that is loaded with weights_only takes no arrays
        meta[MetaKeys.SPATIAL_SHAPE] = torch.tensor(array.shape[: array.ndim - (self.color == "rgb")])
        meta[MetaKeys.ORIGINAL_CHANNEL_DIM] = -1 if self.color == "rgb" else float("nan")  # MONAI's "no_channel"
        return array, meta

    def _check_size(self, clip: Clip, n_frames: int) -> None:
        size = clip.frame_bytes * n_frames
        if size > self.max_bytes:
            raise FileReadError(
                f"takes {size / 2**30:.3g} GiB when it is decoded ({n_frames} of {clip.n_frames} frames), more than "
                f"the {self.max_bytes / 2**30:.3g} GiB of max_bytes; raise it, or load single frames."
            )


def find_reader(reader: ImageReader | str) -> ImageReader:
    """Find a reader by its name.

    Args:
        reader: the reader itself, or the dotted name of its class, with arguments in parentheses if it needs any, such
            as ``"monai_debias.apps.radiography.RadiographReader(body_part='CHEST')"``.

    Raises:
        ValueError: if there is no such class, it is not a ``monai.data.ImageReader``, or it does not take the
            arguments.

    Example:
        >>> type(find_reader("monai.data.NibabelReader")).__name__
        'NibabelReader'
        >>> find_reader("monai.data.NumpyReader(npz_keys=['image'])").npz_keys
        ('image',)
    """
    if isinstance(reader, ImageReader):
        return reader
    name, arguments = _parts_of_call(reader)
    found = locate(name)
    if not (isinstance(found, type) and issubclass(found, ImageReader)):
        raise ValueError(
            f"reader is {reader!r}, expected the dotted name of an image reader, such as monai.data.NibabelReader."
        )
    try:
        return found(**arguments)
    except (TypeError, ValueError) as error:
        raise ValueError(f"reader is {reader!r}, but {name} does not take these arguments: {error}") from error


def _parts_of_call(text: str) -> tuple[str, dict[str, Any]]:
    """The dotted name and the arguments of ``a.b.Reader(size=3)``; a text of another form is a name."""
    try:
        call = ast.parse(text, mode="eval").body
        if not isinstance(call, ast.Call) or call.args:
            return text, {}
        return ast.unparse(call.func), {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    except (SyntaxError, ValueError):
        return text, {}


def looks_like_dicom(path: Path) -> bool:
    """Tell whether a file would be opened as DICOM, by its name."""
    return _suffix(path) not in _OTHERS


def _suffix(path: Path) -> str:
    """Return the suffix in lower case; that of a compressed NIfTI file has two parts."""
    return ".nii.gz" if path.name.lower().endswith(".nii.gz") else path.suffix.lower()


def _to_grey(frame: np.ndarray) -> np.ndarray:
    if frame.ndim == 2:
        return frame
    if frame.dtype == np.uint8:  # integers: exact rounding, and equal channels give their own value
        red, green, blue = (frame[..., channel].astype(np.uint32) * _BT601[channel] for channel in range(3))
        return ((red + green + blue + 500) // 1000).astype(np.uint8)
    return (frame.astype(np.float64) @ np.asarray(_BT601) / 1000).astype(np.float32)


def _to_rgb(frame: np.ndarray) -> np.ndarray:
    return frame if frame.ndim == 3 else np.repeat(frame[..., None], 3, axis=-1)
