# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Copy overlays into a bundle, so that it stays a self-contained folder."""

from __future__ import annotations

from pathlib import Path

from monai_debias.constraints import BOOL, PATH
from monai_debias.files import replace_file
from monai_debias.overlays.guest.write import write_sockets
from monai_debias.parameters import expects

__all__ = ["NAMES", "overlays"]

_FOLDER = Path(__file__).parent
NAMES = tuple(sorted(path.stem for path in _FOLDER.glob("*.json")))


@expects(bundle=PATH, overwrite=BOOL)
def overlays(bundle: str | Path, *names: str, overwrite: bool = False) -> list[str]:
    """Copy the overlays of methods into a bundle's ``configs``.

    A file that is already there with the same content is left alone. If ``train.json`` lacks entries that the overlays
    need, these are written to ``sockets.json``, which comes right after ``train.json`` in ``--config_file``; what was
    found, and what is left to do by hand, is printed. Train with
    ``python -m monai.bundle run --config_file "['configs/train.json','configs/backmix.json']"``.

    Args:
        bundle: folder of the bundle.
        names: names of overlays, such as ``isnet``; without any, all are copied.
        overwrite: whether to replace files that have these names but another content.

    Returns:
        The paths of the files in the bundle, with that of ``sockets.json`` if it needs one.

    Raises:
        ValueError: when there is no overlay with one of the names.
        NotADirectoryError: when the bundle has no folder ``configs``.
        FileExistsError: when the bundle has a file of such a name with another content; nothing is copied then.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as bundle:
        ...     Path(bundle, "configs").mkdir()
        ...     [Path(path).name for path in overlays(bundle, "isnet", "mixup")]
        ['isnet.json', 'mixup.json']
    """
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise ValueError(f"there are no overlays named {', '.join(unknown)}; choose from {', '.join(NAMES)}.")
    configs = Path(bundle, "configs")
    if not configs.is_dir():
        raise NotADirectoryError(
            f"{configs} is not a folder; give the folder of a MONAI bundle, which has configs in it."
        )
    contents = {configs / f"{name}.json": (_FOLDER / f"{name}.json").read_bytes() for name in names or NAMES}
    new = [path for path, content in contents.items() if not path.exists() or path.read_bytes() != content]
    changed = [str(path) for path in new if path.exists()]
    if changed and not overwrite:
        raise FileExistsError(
            f"{', '.join(changed)} differ from the overlays of this package: pass overwrite=True (--overwrite) to "
            "replace them, or rename them to keep them."
        )
    for path in new:
        with replace_file(path, "wb") as file:
            file.write(contents[path])
    return [*write_sockets(configs), *map(str, contents)]
