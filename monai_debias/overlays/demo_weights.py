# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The demo weights of a bundle: those that it brings, so that it infers before anybody has trained it."""

from __future__ import annotations

import os
from pathlib import Path

from monai_debias.constraints import PATH
from monai_debias.parameters import expects

__all__ = ["own_or_demo_model"]


@expects(bundle_root=PATH, ckpt_dir=PATH)
def own_or_demo_model(bundle_root: str | os.PathLike, ckpt_dir: str | os.PathLike) -> str:
    """The model that a bundle infers with: the one that was trained or, before there is one, the demo weights.

    The demo weights, ``models/demo/model.pt``, stand in for the plain training only: who asks for another method, or
    for another folder, does not get them. :class:`~monai_debias.handlers.ModelLoader` warns of what they are.

    Args:
        bundle_root: folder of the bundle.
        ckpt_dir: folder of a training, in which its ``model.pt`` is expected.

    Returns:
        The path of the file, which may be missing.

    Raises:
        TypeError: when one of them is not a path.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> (root / "models" / "demo").mkdir(parents=True)
        >>> (root / "models" / "demo" / "model.pt").touch()
        >>> for method in ("baseline", "backmix"):
        ...     print(Path(own_or_demo_model(root, root / "models" / method)).relative_to(root).as_posix())
        models/demo/model.pt
        models/backmix/model.pt
    """
    models, own = Path(bundle_root, "models"), Path(ckpt_dir, "model.pt")
    demo = models / "demo" / "model.pt"
    is_asked_for = os.path.realpath(ckpt_dir) == os.path.realpath(models / "baseline")
    return str(demo if is_asked_for and not own.exists() and demo.exists() else own)
