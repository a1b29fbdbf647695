# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A data set and its loader that skip files that cannot be read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from monai.data import DataLoader, Dataset, list_data_collate
from monai.utils import optional_import

from monai_debias.data.left_out import LeftOut, check_strict, log_left_out, read_or_leave_out, refuse_left_out
from monai_debias.distributed import gathered, is_first

__all__ = ["ReadableDataset", "ReadableLoader"]

tqdm, has_tqdm = optional_import("tqdm", name="tqdm")


class ReadableDataset(Dataset):
    """MONAI's Dataset, with a :class:`~monai_debias.data.left_out.LeftOut` in place of a sample that cannot be read.

    Every other error is raised as usual.

    Args:
        data: the samples.
        transform: the transform that loads and processes them.
        key: the key of a sample that holds its file.

    Example:
        >>> from monai.transforms import Lambdad
        >>> from monai_debias.data import ImageFileReader
        >>> ReadableDataset([{"image": "gone.dcm"}], Lambdad("image", ImageFileReader().read))[0]
        LeftOut(file='gone.dcm', kind='unreadable', reason='no such file.')
    """

    def __init__(
        self, data: Sequence[Mapping[str, Any]], transform: Callable[[Any], Any] | None = None, key: str = "image"
    ) -> None:
        super().__init__(data, transform)
        self.key = key

    def _transform(self, index: int) -> Any:
        return read_or_leave_out(lambda: super(ReadableDataset, self)._transform(index), self.data[index][self.key])


class ReadableLoader:
    """Batches of the samples that can be read, in their order; the others are collected in ``left_out``.

    It has no length, since the number of batches is not known in advance. Where the processes of ``torchrun`` have a
    share of the files each, the list of what is left out is that of all.

    Args:
        dataset: the samples, of which some may turn out to be a :class:`~monai_debias.data.left_out.LeftOut`.
        left_out: files that are left out already, such as those of :func:`~monai_debias.data.folder_search.find_files`.
        strict: whether a file that would be left out is an error; then files in ``left_out`` end the job before it
            begins, and an unreadable file ends it when it is read.
        batch_size: samples of a batch; where some of them cannot be read, it is smaller.
        num_workers: number of processes that load samples.
        progress: whether to show how many files are done, and how long the others may take, if tqdm is installed.

    Raises:
        LeftOutError: on iterating: if ``strict`` and a file would be left out, or if no file can be read at all.

    Example:
        >>> from monai.transforms import Lambdad
        >>> from pydicom.data import get_testdata_file
        >>> from monai_debias.data import ImageFileReader
        >>> reader = ImageFileReader()
        >>> load = Lambdad("image", lambda file: reader.get_data(reader.read(file))[0])
        >>> files = [get_testdata_file(name) for name in ("examples_ybr_color.dcm", "reportsi.dcm")]
        >>> loader = ReadableLoader(ReadableDataset([{"image": file} for file in files], load))
        >>> len(list(loader)), [entry.kind for entry in loader.left_out]
        (1, ['unrelated'])
    """

    def __init__(
        self,
        dataset: Dataset,
        left_out: Sequence[LeftOut] = (),
        strict: bool = False,
        batch_size: int = 1,
        num_workers: int = 0,
        progress: bool = False,
    ) -> None:
        self.strict = strict
        self.left_out: list[LeftOut] = list(left_out)
        self._known = tuple(left_out)
        self._samples = DataLoader(dataset, batch_size=batch_size, num_workers=num_workers, collate_fn=list)
        self.progress = progress

    def __iter__(self) -> Iterator[Any]:
        """Load the samples; afterwards ``left_out`` is complete, and the log says how many there are."""
        self.left_out[:] = self._known
        check_strict(self.strict, self.left_out)
        used = 0
        own: list[LeftOut] = []
        shows = self.progress and has_tqdm and is_first()
        for samples in tqdm(self._samples, desc="files", unit="batch") if shows else self._samples:
            own += [sample for sample in samples if isinstance(sample, LeftOut)]
            self.left_out[:] = [*self._known, *own]
            check_strict(self.strict, self.left_out)
            readable = [sample for sample in samples if not isinstance(sample, LeftOut)]
            used += len(readable)
            if readable:
                yield list_data_collate(readable)
        self.left_out[:] = [*self._known, *gathered(own)]
        used = sum(gathered([used]))
        if not used:
            refuse_left_out(self.left_out, "no file is left")
        if is_first():
            log_left_out(logging.getLogger(__name__), self.left_out, used)
