# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Samples after their deterministic transforms: kept in memory, kept on the disk, or made anew each time."""

from __future__ import annotations

import json
import os
import pickle
import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from hashlib import sha256
from pathlib import Path
from typing import Any

import monai
import numpy as np
import torch
from monai.data import CacheDataset, Dataset, PersistentDataset
from monai.data.utils import pickle_hashing
from monai.transforms import Compose

import monai_debias
from monai_debias.archives import verified_archive
from monai_debias.constraints import ANY, BOOL, NONE, PATH, Instance, Integer, MappingOf, SequenceOf
from monai_debias.files import replace_file
from monai_debias.parameters import expects
from monai_debias.processes import available_processors

__all__ = ["DiskCachedDataset", "prepared_dataset"]

# the files of the values by the file of the header, and of a record that is named without a suffix
_BESIDE = {
    "": (".hea", ".dat", ".mat"),
    ".hea": (".dat", ".mat"),
    ".hdr": (".img",),
    ".img": (".hdr",),
    ".mhd": (".raw", ".zraw"),
}


@expects(
    items=SequenceOf(MappingOf(ANY)),
    transform=Instance(Compose),
    cache_dir=NONE | PATH,
    in_memory=BOOL,
    num_workers=NONE | Integer("[1, inf)"),
    progress=BOOL,
)
def prepared_dataset(
    items: Sequence[Mapping[str, Any]],
    transform: Compose,
    cache_dir: str | os.PathLike | None = None,
    in_memory: bool = True,
    num_workers: int | None = None,
    progress: bool = True,
) -> Dataset:
    """A data set whose samples are prepared once for all runs, once in a run, or each time that they are asked for.

    Args:
        items: items of a datalist.
        transform: deterministic transforms in one flat ``Compose``; one within another counts as random.
        cache_dir: the folder in which prepared samples are kept for other runs, see :class:`DiskCachedDataset`; None to
            keep none.
        in_memory: whether all samples are prepared, or read from that folder, at once and held in memory
            (``CacheDataset``); otherwise each when it is asked for.
        num_workers: threads that fill the memory; None = one per available processor.
        progress: whether to show a progress bar of that.

    Example:
        >>> from monai.transforms import ScaleIntensityRanged
        >>> halve = Compose([ScaleIntensityRanged("image", 0, 2, 0, 1)])
        >>> prepared_dataset([{"image": np.array([2.0])}], halve, progress=False)[0]["image"].item()
        1.0
    """
    samples: Any = items
    if cache_dir is not None:
        samples, transform = DiskCachedDataset(items, transform, cache_dir), Compose([])
    if not in_memory:
        return Dataset(samples, transform)
    threads = num_workers or available_processors()
    return CacheDataset(samples, transform, num_workers=threads, copy_cache=False, progress=progress)


class DiskCachedDataset(PersistentDataset):
    """MONAI's ``PersistentDataset`` of files that may change, and of runs that may be killed.

    A sample is prepared again when a file or folder that its item names, under any key and also in a list, has another
    size or time of change than before, its item another entry, the transforms other arguments, or this package or MONAI
    another version; what is out of date stays in the folder until the folder is deleted. Beside a header (``.hea``,
    ``.hdr``, ``.mhd``) the file of the same name with the values counts, too. A file of the folder is complete at any
    moment, several processes may share it.

    Args:
        data: items of a datalist.
        transform: transforms that can be pickled; the deterministic ones before the first random one are kept.
        cache_dir: the folder; it is made if it is missing. It has images in it: keep it where the data may be.

    Raises:
        NotADirectoryError: when ``cache_dir`` is a file.
        ValueError: when the transforms cannot be pickled.

    Example:
        >>> import tempfile
        >>> from monai.transforms import ScaleIntensityRanged
        >>> halve = Compose([ScaleIntensityRanged("image", 0, 2, 0, 1)])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     DiskCachedDataset([{"image": np.array([2.0])}], halve, folder)[0]["image"].item()
        1.0
    """

    def __init__(self, data: Sequence[Mapping[str, Any]], transform: Compose, cache_dir: str | os.PathLike) -> None:
        folder = Path(cache_dir).expanduser()
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f"cache_dir {folder} is a file: give a folder for the prepared samples.")
        super().__init__(data, transform, folder, hash_func=_key, track_meta=True)
        try:
            self.set_transform_hash(pickle_hashing)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise ValueError(f"transforms that cannot be pickled cannot be told from others: {error}") from error

    def _cachecheck(self, item: Mapping[str, Any]) -> Any:
        """The prepared sample, from its file if there is one."""
        assert self.cache_dir is not None
        name = sha256(self.hash_func(item) + self.transform_hash.encode()).hexdigest()
        file = self.cache_dir / name[:2] / f"{name}.pt"  # a folder of 100,000 files is slow on many disks
        if file.is_file():
            try:
                return torch.load(verified_archive(file.read_bytes()), weights_only=False)
            except Exception as error:  # noqa: BLE001 # a damaged file may raise anything
                warnings.warn(f"{file} is damaged and made anew: {error}", stacklevel=2)
        prepared = self._pre_transform(deepcopy(item))
        file.parent.mkdir(exist_ok=True)
        with replace_file(file, "wb") as opened:
            torch.save(prepared, opened)
        return prepared


def _key(item: Mapping[str, Any]) -> bytes:
    """Digest of an item, of the state of its files, and of the versions of what prepares it."""
    known = [monai.__version__, monai_debias.__version__, _plain(item)]
    return sha256(json.dumps(known, sort_keys=True, default=repr).encode()).hexdigest().encode()


def _plain(value: Any) -> Any:
    """A value of an item in JSON's types: of arrays a digest, of words that name a file or folder its state as well."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, torch.Tensor):
        tensor = value.detach().as_subclass(torch.Tensor).cpu()
        return [str(tensor.dtype), list(tensor.shape), _plain(tensor.flatten().view(torch.uint8).numpy())]
    if isinstance(value, np.ndarray):
        return pickle_hashing(value).decode()
    return [str(value), *_states(Path(value))] if isinstance(value, str | os.PathLike) else value


def _states(path: Path) -> list[Any]:
    """Size and time of change of a file and of those that belong to it, or of all in a folder; none if missing."""
    beside = [path.with_suffix(suffix) for suffix in _BESIDE.get(path.suffix.lower(), ())] if path.name else []
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path, *beside]
    except (OSError, ValueError):  # no name of a file
        return []
    return [state for file in files for state in _state(file)]


def _state(file: Path) -> list[Any]:
    try:
        status = file.stat()
    except (OSError, ValueError):  # what is missing is told by what reads it
        return []
    return [str(file.absolute()), status.st_size, status.st_mtime_ns]
