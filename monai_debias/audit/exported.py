# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""An exported network as a function of a batch of images, whatever batches and numbers it was exported for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from monai.utils import optional_import

from monai_debias.audit.answers import Network

__all__ = ["exported_network"]

_FLOATS = {"tensor(float)": torch.float32, "tensor(float16)": torch.float16, "tensor(double)": torch.float64}
_WHOLE = {
    "tensor(uint8)": torch.uint8,
    "tensor(int8)": torch.int8,
    "tensor(int16)": torch.int16,
    "tensor(int32)": torch.int32,
    "tensor(int64)": torch.int64,
}


def exported_network(file: Path) -> Network:
    """The function that a file of TorchScript, ``torch.export`` (``.pt2``) or ONNX is.

    Args:
        file: the file.

    Raises:
        ValueError: when it is none of these, is damaged, or takes more than images.
    """
    try:
        if file.suffix == ".onnx":
            return _onnx(file)
        if file.suffix == ".pt2":
            return _exported(torch.export.load(str(file)))
        return torch.jit.load(str(file), map_location="cpu").eval()
    except ValueError:
        raise
    except Exception as error:  # each library has errors of its own
        raise ValueError(
            f"{file} is no exported network ({type(error).__name__}): expected TorchScript, a .pt2 of torch.export or "
            "ONNX; weights alone need their bundle, --checkpoint FILE."
        ) from error


def _exported(program: torch.export.ExportedProgram) -> Network:
    name = program.graph_signature.user_inputs[0]
    entry = next(node for node in program.graph.nodes if node.name == name)
    module = program.module()
    by_name: dict[str, Any] = (program.example_inputs or ((), {}))[1]
    network = (lambda x: module(**dict.fromkeys(by_name, x))) if by_name else module
    return _of_any_batch(network, entry.meta["val"].shape[0])


def _onnx(file: Path) -> Network:
    onnxruntime, has_it = optional_import("onnxruntime")
    if not has_it:
        raise ValueError(f"{file} needs the package onnxruntime: pip install onnxruntime.")
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    inputs = session.get_inputs()
    if len(inputs) != 1:
        names = ", ".join(one.name for one in inputs)
        raise ValueError(f"{file} has the inputs {names}, expected one, the images: export it with the others fixed.")
    (entry,) = inputs
    if entry.type not in _FLOATS | _WHOLE:
        known = ", ".join(_FLOATS | _WHOLE)
        raise ValueError(f"{file} takes {entry.type}, expected one of {known}: export it for one of these.")

    def network(x: torch.Tensor) -> Any:
        images = x.to(_FLOATS[entry.type]) if entry.type in _FLOATS else _whole(x, _WHOLE[entry.type])
        found = [torch.from_numpy(one) for one in session.run(None, {entry.name: images.numpy()})]
        return found[0] if len(found) == 1 else tuple(found)

    return _of_any_batch(network, entry.shape[0])


def _whole(images: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Images as whole numbers; what checks have changed is rounded, but not images from 0 to 1."""
    limits = torch.iinfo(dtype)
    if bool((images.abs() <= 1).all()) and not torch.equal(images, images.round()):
        raise ValueError(
            f"the network takes whole numbers, {limits.min} to {limits.max}, and the images lie between "
            f"{images.min():.3g} and {images.max():.3g}: leave them in the range of their files in the preprocessing"
        )
    return images.round().clamp(limits.min, limits.max).to(dtype)


def _of_any_batch(network: Network, size: Any) -> Network:
    """A network that was exported for batches of one size takes all: the last is filled up with its last image."""
    if not isinstance(size, int):
        return network

    def whole(x: torch.Tensor) -> Any:
        filled = torch.cat([x, x[-1:].expand(-len(x) % size, *x.shape[1:])])
        found = [network(part) for part in filled.split(size)]
        if isinstance(found[0], torch.Tensor):
            return torch.cat(found)[: len(x)]
        return tuple(torch.cat(parts)[: len(x)] for parts in zip(*found, strict=True))

    return whole
