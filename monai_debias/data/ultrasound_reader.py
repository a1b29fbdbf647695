# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A reader of ultrasound stills and clips from DICOM, PNG, JPEG and NumPy files."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from monai.data import ImageReader
from monai.utils import MetaKeys, OptionalImportError, ensure_tuple

from monai_debias.data.dicom_pixels import decode_frames, to_display_range
from monai_debias.data.ultrasound_regions import UltrasoundRegions, read_regions, spacing_from_regions

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["UltrasoundFile", "UltrasoundReader", "check_frame", "frame_index"]

_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
_DICOM_SUFFIXES = ("", ".dcm", ".dicom")
_MODALITIES = ("US", "IVUS")
_SOP_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.6.1",  # Ultrasound Image Storage
    "1.2.840.10008.5.1.4.1.1.3.1",  # Ultrasound Multi-frame Image Storage
    "1.2.840.10008.5.1.4.1.1.6",  # both, as they were before 1994, retired
    "1.2.840.10008.5.1.4.1.1.3",
)
_ENHANCED_VOLUME = "1.2.840.10008.5.1.4.1.1.6.2"
_BT601 = (299, 587, 114)  # luminance weights of red, green and blue, in thousandths


@dataclass(frozen=True)
class UltrasoundFile:
    """An opened file: what :meth:`UltrasoundReader.read` hands to :meth:`UltrasoundReader.get_data`.

    Attributes:
        path: where it came from; every error names it.
        content: a DICOM data set, or the values of a still, (rows, columns) or (rows, columns, 3).
    """

    path: str
    content: Dataset | np.ndarray


class UltrasoundReader(ImageReader):
    """Read ultrasound stills and clips in display order.

    - DICOM ultrasound, single- and multi-frame: MONOCHROME1 (inverted) and 2, RGB, YBR and PALETTE COLOR, uncompressed
      and whatever pydicom can decompress with the plugins that are installed; see
      :func:`monai_debias.data.dicom_pixels.decode_frames`. Other modalities are refused.
    - PNG, JPEG and BMP stills (a JPEG is turned as its EXIF orientation says; transparency is ignored).
    - ``.npy`` stills, (rows, columns) or (rows, columns, 3), whose values are kept as they are; never a pickle.

    The file type follows from the suffix; everything unknown counts as DICOM, whose files often have none. All but
    ``.npy`` give values in [0, 255]: uint8, or float32 where the file has more than 8 bits.

    The array is (rows, columns) for a still and (rows, columns, frames) for a clip, with a last dimension of 3 for
    ``color="rgb"``. Unlike MONAI's readers this one does not swap rows and columns, so that all formats agree. A
    multi-frame file with one frame is a still.

    The meta dict holds nothing that identifies the patient, only:

    - ``spatial_shape``, ``original_channel_dim`` and ``affine``: 4 x 4, with (row spacing, column spacing, 1, 1) on its
      diagonal, in mm, or ones if the spacing is unknown. Its axes are those of the array: rows down, columns to the
      right, frames; ultrasound has no orientation with respect to the patient.
    - ``spacing``: (row, column) in mm, only if the file gives it: from the ultrasound regions, else from Pixel Spacing.
      Regions that do not fit in the image are not trusted (a warning says so).
    - ``ultrasound_regions``: list of dicts, see :class:`~monai_debias.data.ultrasound_regions.UltrasoundRegions`; empty
      if the file has none.
    - ``n_frames``: number of frames of the file; ``frame_time``: milliseconds between them, only if the file gives it.

    Args:
        frames: ``"all"``, ``"middle"`` (index ``n // 2``), ``"first"``, or an index as in Python; only the frames that
            are asked for are decoded. All but ``"all"`` give a still.
        color: ``"grey"`` (luminance of ITU-R BT.601, which leaves a grey image stored as RGB as it is) or ``"rgb"``.

    Raises:
        ValueError: on other arguments; from :meth:`read` and :meth:`get_data` if the file is not ultrasound, has no
            pixels, is cut short, or has no frame of that index.
        FileNotFoundError: from :meth:`read` if there is no such file.
        OptionalImportError: if the compression or the format needs a package that is not installed.

    Example:
        >>> from pydicom.data import get_testdata_file
        >>> reader = UltrasoundReader(frames="middle")
        >>> array, meta = reader.get_data(reader.read(get_testdata_file("examples_rgb_color.dcm")))
        >>> array.shape, array.dtype, meta["n_frames"]
        ((240, 320), dtype('uint8'), 1)
    """

    def __init__(self, frames: str | int = "all", color: str = "grey") -> None:
        super().__init__()
        if frames != "all":
            check_frame(frames, choices="'all', 'middle', 'first'")
        if color not in ("grey", "rgb"):
            raise ValueError(f"color is {color!r}, expected 'grey' or 'rgb'")
        self.frames = frames
        self.color = color

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Tell whether the name of each file looks like one of the formats; a name without suffix counts as DICOM."""
        known = (*_PICTURE_SUFFIXES, *_DICOM_SUFFIXES, ".npy")
        return all(Path(name).suffix.lower() in known for name in ensure_tuple(filename))

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> UltrasoundFile:
        """Open one file and check that it is ultrasound; pixels of DICOM files are decoded later.

        Args:
            data: the file, or a sequence of exactly one.
            kwargs: not used; there for MONAI's interface.
        """
        paths = [Path(name) for name in ensure_tuple(data)]
        if len(paths) != 1:
            raise ValueError(f"expected one file per item, got {len(paths)}: {', '.join(map(str, paths[:3]))}")
        path = paths[0]
        if path.is_dir():
            raise IsADirectoryError(f"{path}: is a directory, expected a file")
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file")
        suffix = path.suffix.lower()
        if suffix == ".npy":
            return UltrasoundFile(str(path), _read_npy(path))
        if suffix in _PICTURE_SUFFIXES:
            return UltrasoundFile(str(path), _read_picture(path))
        return UltrasoundFile(str(path), _read_dicom(path))

    def get_data(self, img: UltrasoundFile) -> tuple[np.ndarray, dict[str, Any]]:
        """Decode the frames that were asked for.

        Args:
            img: what :meth:`read` returned.

        Returns:
            The array and the meta dict that the class describes.
        """
        content = img.content
        n_frames = 1 if isinstance(content, np.ndarray) else int(content.get("NumberOfFrames") or 1)
        clip = self.frames == "all" and n_frames > 1
        try:
            indices = None if self.frames == "all" else [frame_index(self.frames, n_frames)]
            decoded = [content] if isinstance(content, np.ndarray) else decode_frames(content, indices)
            convert = _to_rgb if self.color == "rgb" else _to_grey
            frames = [convert(frame) for frame in decoded]
        except (ValueError, OptionalImportError) as error:
            raise type(error)(f"{img.path}: {error}") from error
        array = np.stack(frames, axis=2) if clip else frames[0]
        meta: dict[str, Any] = {"n_frames": n_frames, "ultrasound_regions": UltrasoundRegions()}
        if not isinstance(content, np.ndarray):
            meta.update(_dicom_meta(content, *array.shape[:2]))
        meta[MetaKeys.AFFINE] = np.diag([*meta.get("spacing", (1.0, 1.0)), 1.0, 1.0])
        meta[MetaKeys.SPATIAL_SHAPE] = np.asarray(array.shape[: 3 if clip else 2])
        meta[MetaKeys.ORIGINAL_CHANNEL_DIM] = -1 if self.color == "rgb" else float("nan")  # MONAI's "no_channel"
        return array, meta


def frame_index(frame: str | int, n_frames: int) -> int:
    """Turn the name of a frame into its index.

    Args:
        frame: ``"middle"`` (``n_frames // 2``), ``"first"``, or an index; a negative one counts from the end.
        n_frames: number of frames of the clip.

    Returns:
        An index from 0 to ``n_frames - 1``.

    Raises:
        ValueError: if there is no such frame; it names the number of frames.

    Example:
        >>> frame_index("middle", 30), frame_index(-1, 30)
        (15, 29)
    """
    check_frame(frame)
    index = {"middle": n_frames // 2, "first": 0}[frame] if isinstance(frame, str) else frame
    if not -n_frames <= index < n_frames:
        raise ValueError(f"frame {index} was asked for, but there are {n_frames} frames (0 to {n_frames - 1})")
    return index % n_frames


def check_frame(frame: str | int, choices: str = "'middle', 'first'") -> None:
    """Refuse what cannot be the name or the index of a frame.

    Args:
        frame: what was given.
        choices: the names that the message offers.

    Raises:
        ValueError: if it is neither a known name nor an int.

    Example:
        >>> check_frame("last")
        Traceback (most recent call last):
        ValueError: frame is 'last', expected 'middle', 'first' or an int
    """
    is_index = isinstance(frame, int) and not isinstance(frame, bool)
    if not is_index and frame not in ("middle", "first"):
        raise ValueError(f"frame is {frame!r}, expected {choices} or an int")


def _read_npy(path: Path) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:  # numpy's own message advises to allow pickles
        reason = "is cut short, or holds Python objects (a pickle), which are not loaded because they can run code"
        raise ValueError(f"{path}: is not a plain .npy array; it {reason}") from error
    if array.dtype.kind not in "buif":
        raise ValueError(f"{path}: has values of type {array.dtype}, expected numbers")
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[-1] == 3)) or array.size == 0:
        raise ValueError(f"{path}: has shape {array.shape}, expected a still of (rows, columns) or (rows, columns, 3)")
    if not np.isfinite(array).all():
        raise ValueError(f"{path}: has values that are NaN or infinite")
    return array.astype(np.uint8) if array.dtype == np.bool_ else array


def _read_picture(path: Path) -> np.ndarray:
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError as error:
        raise OptionalImportError(f'{path}: needs Pillow; pip install "monai-debias[demo]"') from error
    try:
        with Image.open(path) as picture:
            turned = ImageOps.exif_transpose(picture)
            if turned.mode.startswith("I"):  # 16 bit grey
                return to_display_range(np.clip(np.asarray(turned), 0, 65535), bits=16)
            return np.asarray(turned.convert("L" if turned.mode in ("1", "L", "LA") else "RGB"))
    except UnidentifiedImageError as error:
        raise ValueError(f"{path}: is not a picture in spite of its suffix {path.suffix}") from error
    except (OSError, SyntaxError) as error:  # Pillow raises SyntaxError on broken PNG chunks
        raise ValueError(f"{path}: the picture cannot be decoded, is the file cut short? ({error})") from error


def _read_dicom(path: Path) -> Dataset:
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        dataset = pydicom.dcmread(path)
        if "PixelData" not in dataset:
            # of a compressed file that was cut short, pydicom returns the header only if asked for it alone
            dataset = pydicom.dcmread(path, stop_before_pixels=True)
    except InvalidDicomError as error:
        raise ValueError(f"{path}: is not a DICOM file (nor one of .npy, {', '.join(_PICTURE_SUFFIXES)})") from error
    except (ValueError, EOFError, KeyError, NotImplementedError, struct.error) as error:
        raise ValueError(f"{path}: the DICOM header cannot be read, is the file cut short? ({error})") from error
    modality = dataset.get("Modality") or "none"
    sop_class = dataset.get("SOPClassUID")
    found = f"modality {modality}, {getattr(sop_class, 'name', 'no SOP class')}"
    if modality not in _MODALITIES and sop_class not in _SOP_CLASSES:
        raise ValueError(f"{path}: is not ultrasound ({found})")
    if sop_class == _ENHANCED_VOLUME:
        raise ValueError(f"{path}: is an ultrasound volume ({found}), expected a still or a clip")
    if "PixelData" not in dataset:
        size = f"{dataset.get('Rows', 'no')} rows and {dataset.get('Columns', 'no')} columns"
        raise ValueError(f"{path}: has no pixels ({found}; the header tells of {size}). Was the file cut short?")
    return dataset


def _dicom_meta(dataset: Dataset, rows: int, columns: int) -> dict[str, Any]:
    regions = read_regions(dataset)
    meta: dict[str, Any] = {"ultrasound_regions": regions}
    spacing = spacing_from_regions(regions, rows, columns)
    # Pixel Spacing is a fallback for files without regions: beside regions that do not fit, it is as stale as they are
    if spacing is None and not regions and dataset.get("PixelSpacing"):
        row, column = (float(value) for value in dataset.PixelSpacing)
        spacing = (row, column)
    if spacing is not None and min(spacing) > 0:
        meta["spacing"] = np.asarray(spacing)
    if dataset.get("FrameTime"):
        meta["frame_time"] = float(dataset.FrameTime)
    elif dataset.get("CineRate"):
        meta["frame_time"] = 1000.0 / float(dataset.CineRate)
    return meta


def _to_grey(frame: np.ndarray) -> np.ndarray:
    if frame.ndim == 2:
        return frame
    if frame.dtype == np.uint8:  # integers: exact rounding, and equal channels give their own value
        red, green, blue = (frame[..., channel].astype(np.uint32) * _BT601[channel] for channel in range(3))
        return ((red + green + blue + 500) // 1000).astype(np.uint8)
    return (frame.astype(np.float64) @ np.asarray(_BT601) / 1000).astype(np.float32)


def _to_rgb(frame: np.ndarray) -> np.ndarray:
    return frame if frame.ndim == 3 else np.repeat(frame[..., None], 3, axis=-1)
