# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A user's network as it comes: out of its wrappers, its layers by name, in evaluation mode for a while."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import torch
from torch.nn.parallel import DataParallel, DistributedDataParallel

__all__ = ["evaluating", "find_layers", "layer_outputs", "unwrapped", "without_compiler"]

Kept = TypeVar("Kept")


def unwrapped(network: torch.nn.Module) -> torch.nn.Module:
    """The network itself, without what ``torch.compile`` and the parallel modules of PyTorch put around it.

    Example:
        >>> network = torch.nn.Linear(2, 2)
        >>> unwrapped(torch.nn.DataParallel(network)) is network
        True
    """
    while (inner := _compiled(network) or _parallel(network)) is not None:
        network = inner
    return network


def without_compiler(network: torch.nn.Module) -> torch.nn.Module:
    """What ``torch.compile`` was given: the network, or what wraps it for several processes."""
    while (inner := _compiled(network)) is not None:
        network = inner
    return network


def _compiled(network: torch.nn.Module) -> torch.nn.Module | None:
    # by the name of the child: the wrapper's class is in the compiler, which takes seconds to import
    return dict(network.named_children()).get("_orig_mod")


def _parallel(network: torch.nn.Module) -> torch.nn.Module | None:
    return network.module if isinstance(network, DataParallel | DistributedDataParallel) else None


def find_layers(network: torch.nn.Module, names: Sequence[str]) -> list[torch.nn.Module]:
    """The modules with these names.

    Args:
        network: a network, which may be wrapped.
        names: as in ``network.named_modules()`` of the network itself.

    Raises:
        ValueError: when the network has no module with one of the names; the message lists those it has.

    Example:
        >>> find_layers(torch.nn.Sequential(torch.nn.ReLU()), ["0"])
        [ReLU()]
    """
    modules = {name: module for name, module in unwrapped(network).named_modules() if name}
    unknown = [name for name in names if name not in modules]
    if unknown:
        raise ValueError(f"the network has no layers {unknown}; it has {', '.join(modules)}.")
    return [modules[name] for name in names]


class _Outputs(dict[str, Kept]):
    def __missing__(self, name: str) -> Kept:
        raise ValueError(f"layer {name!r} took no part in the forward pass: name another.")


@contextmanager
def layer_outputs(
    network: torch.nn.Module, names: Sequence[str], keep: Callable[[torch.Tensor], Kept]
) -> Iterator[dict[str, Kept]]:
    """Keep what named layers return in this thread's forward passes, until the dictionary is cleared.

    Args:
        network: a network, which may be wrapped.
        names: as in ``network.named_modules()`` of the network itself.
        keep: what to keep of a tensor (B, ...); the next layer may change it in place.

    Yields:
        What was kept, by name. Asking for a layer that did not run is a ValueError.

    Raises:
        ValueError: when there is no such layer; in the pass, when a layer does not return one tensor, or runs twice.

    Example:
        >>> network = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Flatten())
        >>> with layer_outputs(network, ["0"], torch.clone) as outputs:
        ...     _ = network(torch.tensor([[-1.0, 2.0]]))
        >>> outputs["0"]
        tensor([[0., 2.]])
    """
    outputs: dict[str, Kept] = _Outputs()
    thread = threading.get_ident()

    def see(_: torch.nn.Module, __: Any, output: Any, name: str) -> None:
        if threading.get_ident() != thread:
            return
        if not isinstance(output, torch.Tensor) or name in outputs:
            raise ValueError(f"layer {name!r} must return one tensor, once in a forward pass: name another.")
        outputs[name] = keep(output)

    with ExitStack() as hooks:
        for name, layer in zip(names, find_layers(network, names), strict=True):
            hooks.callback(layer.register_forward_hook(partial(see, name=name)).remove)
        yield outputs


@contextmanager
def evaluating(network: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode, then each module's own mode again: ``train()`` would change those that the user set to eval."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        with suppress(NotImplementedError):  # what torch.export has made has one mode
            network.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode
