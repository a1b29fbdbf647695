# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Long work on a folder that goes on where it was interrupted."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from monai_debias.constraints import PATH, Instance, MappingOf
from monai_debias.files import write_json
from monai_debias.parameters import expects

__all__ = ["unfinished_folder"]


@contextlib.contextmanager
@expects(path=PATH, settings=MappingOf(Instance(object, name="a plain value")))
def unfinished_folder(path: str | os.PathLike, settings: Mapping[str, Any]) -> Iterator[Path]:
    """Work on a folder that appears under its name when the block ends; after a kill, the next call goes on with it.

    Until then it lies beside ``path`` under the name ``.NAME.unfinished``, and a file in it holds the settings.

    Args:
        path: the folder to create, with the folders above it; it must not exist, or be empty.
        settings: plain values that all its content follows from; work that was begun with others is not continued.

    Yields:
        The unfinished folder, with what earlier calls left in it.

    Raises:
        FileExistsError: when ``path`` exists and is not an empty folder, when another process is working on it, or when
            the work was begun with other settings.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     with contextlib.suppress(KeyboardInterrupt), unfinished_folder(Path(parent, "films"), {}) as folder:
        ...         _ = (folder / "first").write_text("done")
        ...         raise KeyboardInterrupt
        ...     with unfinished_folder(Path(parent, "films"), {}) as folder:
        ...         print((folder / "first").read_text())
        ...     print(sorted(entry.name for entry in Path(parent, "films").iterdir()))
        done
        ['first']
    """
    target = Path(os.path.realpath(path))
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(f"{path} exists and is not an empty directory; nothing was written, choose another one.")
    folder = target.with_name(f".{target.name}.unfinished")
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_suffix(".lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise FileExistsError(f"another process is writing {path}; wait for it, or choose another folder.") from None
    try:
        _settle(folder / "settings.json", json.loads(json.dumps(dict(settings))), path)
        yield folder
        (folder / "settings.json").unlink()
        if target.exists():
            target.rmdir()
        folder.rename(target)
    finally:
        lock.release()
    Path(lock.lock_file).unlink(missing_ok=True)


def _settle(file: Path, settings: dict[str, Any], path: str | os.PathLike) -> None:
    """Write the settings, or compare them with those that the work was begun with."""
    if not file.exists():
        write_json(file, settings)
        return
    begun = json.loads(file.read_text(encoding="utf-8"))
    if begun != settings:
        differ = {key: begun.get(key) for key in {*begun, *settings} if begun.get(key) != settings.get(key)}
        raise FileExistsError(
            f"{file.parent} holds the unfinished {path} of other settings, {differ}; repeat the call with these to go "
            "on with it, or remove that folder."
        )
