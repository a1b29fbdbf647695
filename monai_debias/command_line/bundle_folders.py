# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The bundles that come with the package: what there is, and a copy of one to work in."""

from __future__ import annotations

import json
import shlex
import shutil
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from monai_debias.command_line.linked_pages import copy_with_linked_pages
from monai_debias.constraints import PATH, STRING
from monai_debias.parameters import expects

__all__ = ["copy_bundle", "list_bundles"]

_METADATA = Path("configs", "metadata.json")
_README = Path("docs", "README.md")
_CHECKOUT = Path(__file__).parents[2] / "bundles"
_MADE = ("__pycache__", "data", "eval", "predictions")  # in a bundle's folder, by its commands


def list_bundles() -> str:
    """List the ready-made bundles: the name of each, and what it does.

    Returns:
        A line for each bundle, and the command that copies one.

    Example:
        >>> "echo_view" in list_bundles()
        True
    """
    folders = _folders()
    if not folders:
        return "this installation has no bundles."
    width = max(map(len, folders))
    tasks = {name: json.loads((folder / _METADATA).read_text())["task"] for name, folder in folders.items()}
    rows = [f"{name:{width}}  {task}" for name, task in tasks.items()]
    return "\n".join([*rows, "", f"monai-debias bundles copy {next(iter(folders))} DIR    makes a folder to train in"])


@expects(name=STRING, folder=PATH)
def copy_bundle(name: str, folder: str | Path) -> str:
    """Copy a bundle into a folder of its own, in which it trains, evaluates and infers.

    The guides that its README links are copied with it.

    Args:
        name: of the bundle, as the list has it.
        folder: the new folder; it may exist if it is empty.

    Returns:
        The commands to go on with.

    Raises:
        ValueError: when there is no bundle of this name.
        FileExistsError: when the folder exists and is not an empty directory.
        OSError: when it cannot be written, as on a full disk.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> _ = copy_bundle("echo_view", folder)
        >>> sorted(path.name for path in Path(folder).iterdir())
        ['LICENSE', 'configs', 'docs', 'large_files.yml', 'models']
    """
    folders, target = _folders(), Path(folder).expanduser()
    if name not in folders:
        raise ValueError(f"there is no bundle named {name!r}; choose from {', '.join(folders)}.")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(f"{target} is not an empty directory: give a new folder.")
    try:
        shutil.copytree(folders[name], target, ignore=_made_by_commands, dirs_exist_ok=True)
    except shutil.Error as error:  # it collects what happened to each file
        raise OSError(f"{target} is not complete, remove it: {error.args[0][0][2]}") from error
    copy_with_linked_pages(folders[name] / _README, target / _README.parent, root=folders[name].parents[1])
    commands = [f"python -m monai.bundle run --config_file configs/{name}.json" for name in ("inference", "train")]
    data = "# without --dataset_dir DIR they generate a demo cohort in data/, once"
    return "\n".join([f"cd {shlex.quote(str(target))}", *commands, data, f"less {_README}"])


def _made_by_commands(folder: str, names: list[str]) -> list[str]:
    """What is not part of a bundle; of its models, only the demo weights are."""
    return [name for name in names if name in _MADE or (Path(folder).name == "models" and name != "demo")]


def _folders() -> dict[str, Path]:
    """The bundles by name: those of the installed distribution, or of the checkout that this file is in."""
    root = _CHECKOUT if _CHECKOUT.is_dir() else _installed()
    found = sorted(root.glob(f"*/{_METADATA}")) if root else []
    return {path.parents[1].name: path.parents[1] for path in found}


def _installed() -> Path | None:
    """Where the distribution has put its data files."""
    try:
        paths = files("monai-debias") or []
    except PackageNotFoundError:
        return None
    ours = (path for path in paths if path.name == _METADATA.name and "bundles" in path.parts)
    return next((Path(str(path.locate())).resolve().parents[2] for path in ours), None)
