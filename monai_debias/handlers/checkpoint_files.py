# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints on the disk: written whole or not at all, and verified before they are used.

A record of the training is one more member of the archive that ``torch.save`` writes, ``record.json``: other programs
load the weights as if it was not there, and ``unzip -p model.pt '*/record.json'`` prints it.
"""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from monai_debias.archives import verified_archive
from monai_debias.files import replace_file

__all__ = ["misfit", "names_of_nan", "read_checkpoint", "read_record", "write_checkpoint"]

_RECORD = "record.json"
_LINES, _LENGTH = 4, 300  # of an error that is passed on


def write_checkpoint(state: Mapping[str, Any], path: Path, record: Mapping[str, Any] | None = None) -> None:
    """Replace a checkpoint; after an error, such as a full disk, the old one is still there.

    Args:
        state: tensors and plain values, which ``torch.load`` reads with ``weights_only``.
        path: the file.
        record: what to know about the state, in values that JSON has, for :func:`read_record`.

    Raises:
        OSError: when the file cannot be written.
        ValueError: when the state has anything else than tensors and plain values.
        TypeError: when the record has other values than JSON.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_checkpoint({"weight": torch.ones(1)}, Path(folder, "last.pt"))
        ...     read_checkpoint(Path(folder, "last.pt"))
        {'weight': tensor([1.])}
    """
    content = io.BytesIO()  # when the disk is full, torch.save into a file raises another error than OSError
    torch.save(state, content)
    content.seek(0)
    try:
        torch.load(content, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(f"{path} was not written, since it could not be read again: {_reason(error)}") from error
    if record is not None:
        with zipfile.ZipFile(content, "a") as archive:
            folder = archive.namelist()[0].split("/")[0]  # in which torch expects all members
            archive.writestr(f"{folder}/{_RECORD}", json.dumps(record))
    with replace_file(path, "wb") as file:
        file.write(content.getbuffer())


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint to the CPU, and verify that it is what was written and has no NaN.

    Args:
        path: a file of :func:`write_checkpoint`.

    Returns:
        What was written.

    Raises:
        OSError: when the file cannot be read.
        ValueError: when it is empty, cut short, changed or not a checkpoint, or has a NaN; it names the file.

    Example:
        See :func:`write_checkpoint`.

        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     read_checkpoint(Path(file.name))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: ... is not a checkpoint, or is damaged: File is not a zip file.
    """
    content = path.read_bytes()
    try:
        state = torch.load(verified_archive(content), map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise ValueError(f"it holds a {type(state).__name__}, expected a dictionary.")
    except Exception as error:  # a changed byte can raise anything
        raise ValueError(f"{path} is not a checkpoint, or is damaged: {_reason(error)}") from error
    names = names_of_nan(state)
    if names:
        raise ValueError(f"{path} has NaN in {len(names)} of its tensors, such as {', '.join(names[:3])}.")
    return state


def read_record(path: Path) -> dict[str, Any] | None:
    """Read what :func:`write_checkpoint` was told about a state.

    Args:
        path: a checkpoint that :func:`read_checkpoint` can read.

    Returns:
        The record; None if the file has none, since another program wrote it.

    Raises:
        OSError: when the file cannot be read.
        zipfile.BadZipFile: when it is no checkpoint.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_checkpoint({"weight": torch.ones(1)}, Path(folder, "model.pt"), {"image_size": [64, 64]})
        ...     read_record(Path(folder, "model.pt"))
        {'image_size': [64, 64]}
    """
    with zipfile.ZipFile(path) as archive:
        members = [name for name in archive.namelist() if name.endswith(f"/{_RECORD}")]
        return json.loads(archive.read(members[0])) if members else None


def names_of_nan(state: Any) -> list[str]:
    """Name the tensors of a nested state that have a NaN.

    Args:
        state: mappings and sequences, nested, of tensors and anything else.

    Returns:
        For each, the keys that lead to it, joined by dots.

    Example:
        >>> names_of_nan({"network": {"weight": torch.tensor([0.0, torch.nan]), "bias": torch.zeros(1)}})
        ['network.weight']
    """
    return [name for name, tensor in _tensors(state, "") if bool(tensor.isnan().any())]


def misfit(error: Exception) -> str:
    """Why a state does not fit, from an error of torch: its first lines, cut, since it has a line for each tensor.

    Args:
        error: what ``load_state_dict`` raised.

    Example:
        >>> len(misfit(RuntimeError("Missing key(s): " + "weight, " * 1000)))
        300
    """
    lines = str(error).split("\n")[:_LINES]
    return "\n".join(line if len(line) <= _LENGTH else f"{line[: _LENGTH - 1]}…" for line in lines)


def _tensors(state: Any, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(state, torch.Tensor):
        yield name, state
    elif isinstance(state, Mapping):
        for key, value in state.items():
            yield from _tensors(value, f"{name}.{key}".lstrip("."))
    elif isinstance(state, Sequence) and not isinstance(state, str | bytes):
        for i, value in enumerate(state):
            yield from _tensors(value, f"{name}.{i}".lstrip("."))


def _reason(error: Exception) -> str:
    """The first line of an error, which is often another library's, as the end of a sentence."""
    return (str(error).split("\n")[0] or type(error).__name__).removesuffix(".") + "."
