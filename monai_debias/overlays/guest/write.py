# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Writes the file of a guest bundle's sockets."""

from __future__ import annotations

import json
from pathlib import Path

from monai.bundle import ConfigParser

from monai_debias.constraints import PATH
from monai_debias.files import replace_file
from monai_debias.overlays.guest.sockets import guest_sockets
from monai_debias.parameters import expects

__all__ = ["write_sockets"]

SOCKETS = "sockets.json"
_TRAINING = ("train.json", "train.yaml", "train.yml")


@expects(configs=PATH)
def write_sockets(configs: str | Path) -> list[str]:
    """Write ``sockets.json`` next to a ``train.json`` that lacks what overlays need, and print a report about it.

    An existing file is kept, since it may have been edited: delete it to have it written again.

    Args:
        configs: the bundle's folder of configs.

    Returns:
        The path of the file, or nothing for a bundle that needs none.

    Raises:
        ValueError: when the sockets cannot be derived from the training's config.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "train.json").write_text('{"loss_parts": {}}')
        ...     write_sockets(folder)
        []
    """
    training = next((Path(configs, name) for name in _TRAINING if Path(configs, name).exists()), None)
    config = {} if training is None else ConfigParser.load_config_files(str(training))
    path = Path(configs, SOCKETS)
    if training is None or "loss_parts" in config:
        return []
    if path.exists():
        print(f"{path} exists and is kept; delete it to have it written again.")
        return [str(path)]
    guest = guest_sockets(config)
    with replace_file(path, "w") as file:
        file.write(json.dumps(guest.sockets, indent=4) + "\n")
    print(f"wrote {path}: what the overlays need, derived from {training.name}. List it right after {training.name}:")
    print(f"  --config_file \"['configs/{training.name}','configs/{SOCKETS}','configs/backmix.json']\"")
    print(guest)
    return [str(path)]
