# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks as they come: compiled, checkpointed, distributed, with logits among other outputs."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.autograd import Function
from torch.nn.parallel import DistributedDataParallel
from torch.nn.parameter import is_lazy
from torch.overrides import handle_torch_function, has_torch_function
from torch.utils import checkpoint

from monai_debias.networks import unwrapped, without_compiler
from monai_debias.relevance.operands import tensors_in

__all__ = ["eager_operations", "logits_of", "outermost_eager"]


def outermost_eager(network: torch.nn.Module) -> torch.nn.Module:
    """The module to call: with ``DistributedDataParallel`` around it, which has work to do, but not ``torch.compile``.

    Raises:
        ValueError: for ``DistributedDataParallel(static_graph=True)``, or where layers have no parameters yet.
    """
    network = without_compiler(network)
    lazy = [name for name, parameter in network.named_parameters() if is_lazy(parameter)]
    if lazy:
        raise ValueError(
            f"{', '.join(lazy)} of {type(unwrapped(network)).__name__} will be made in the first forward pass: call "
            "the network once before, on a batch like those to come."
        )
    if isinstance(network, DistributedDataParallel) and network.static_graph:
        raise ValueError(
            "DistributedDataParallel(static_graph=True) averages the gradients in the first backward pass, which here "
            "is the relevance pass, and not those of the loss: use static_graph=False."
        )
    return network


def logits_of(returned: Any, output: int | str | None, network: torch.nn.Module) -> torch.Tensor:
    """The logits among what a network returns.

    Args:
        returned: what it returned.
        output: None for a tensor; an index into a sequence; a key of a mapping or the name of an attribute.
        network: named by the error.

    Raises:
        TypeError: when that is not a tensor.
        ValueError: when there is no such output.
    """
    name = type(unwrapped(network)).__name__
    if output is None:
        if not isinstance(returned, torch.Tensor):
            raise TypeError(
                f"{name} returned {type(returned).__name__}, expected a tensor of logits (B, K): say which of its "
                f"outputs they are, e.g. {_advice(returned)}, or wrap it in a module that returns the logits alone."
            )
        return returned
    try:
        found = _selected(returned, output)
    except (LookupError, AttributeError, TypeError):
        raise ValueError(
            f"{name} returned {type(returned).__name__} without an output {output!r}; e.g. {_advice(returned)}."
        ) from None
    if not isinstance(found, torch.Tensor):
        raise TypeError(f"output {output!r} of {name} is {type(found).__name__}, expected a tensor of logits (B, K).")
    return found


def _selected(returned: Any, output: int | str) -> Any:
    if isinstance(returned, torch.Tensor):
        raise TypeError
    if isinstance(output, str) and not isinstance(returned, Mapping):
        return getattr(returned, output)
    return returned[output]


def _advice(returned: Any) -> str:
    if isinstance(returned, torch.Tensor):
        return "output=None for a tensor"
    if isinstance(returned, Mapping) and returned:
        return " or ".join(f"output={key!r}" for key in returned)
    return "output=0"


class _Shared:
    """A change to the whole process that lasts while any thread needs it."""

    def __init__(self, change: Callable[[ExitStack], None]) -> None:
        self.change, self.users, self.lock, self.undo = change, 0, threading.Lock(), ExitStack()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self.lock:
            if self.users == 0:
                self.change(self.undo)
            self.users += 1
        try:
            yield
        finally:
            with self.lock:
                self.users -= 1
                if self.users == 0:
                    self.undo.close()


_ABOVE_FUNCTION: Any = Function.__mro__[1]
_here = threading.local()  # .explaining: whether this thread's forward pass runs in a relevance mode


def _without_compiler_and_checkpoints(undo: ExitStack) -> None:
    # compiled code would be traced, and cached, with the rules in it; importing the compiler would take seconds
    if "torch._dynamo" in sys.modules:
        undo.enter_context(torch.compiler.set_stance("force_eager"))
    # the rules keep what a checkpoint throws away, and do not run again when it is computed anew
    _replace_while(undo, checkpoint.CheckpointFunction, "apply", _apply_at_once)
    _replace_while(undo, checkpoint, "_checkpoint_without_reentrant_generator", _no_checkpoint)
    # below Function.apply, which a network may have kept as an attribute
    _ABOVE_FUNCTION.apply = classmethod(_seen_function)
    undo.callback(delattr, _ABOVE_FUNCTION, "apply")


_shared = _Shared(_without_compiler_and_checkpoints)


def _replace_while(undo: ExitStack, owner: Any, name: str, replacement: Callable) -> None:
    original = getattr(owner, name)

    def either(*args: Any, **kwargs: Any) -> Any:
        return (replacement if getattr(_here, "explaining", False) else original)(*args, **kwargs)

    inherited = name not in vars(owner)
    setattr(owner, name, either)
    undo.callback(delattr, owner, name) if inherited else undo.callback(setattr, owner, name, original)


def _apply_at_once(function: Callable, _: bool, *args: Any) -> Any:
    return function(*args)


def _seen_function(cls: type[Function], *args: Any, **kwargs: Any) -> Any:
    """Call a custom autograd function as an operation that the mode sees, under the name of its class."""

    def apply(*args: Any, **kwargs: Any) -> Any:
        return super(_ABOVE_FUNCTION, cls).apply(*args, **kwargs)

    tensors = tensors_in((args, kwargs))
    if not getattr(_here, "explaining", False) or not has_torch_function(tensors):  # such as the rules' own
        return apply(*args, **kwargs)
    apply.__name__ = cls.__name__
    return handle_torch_function(apply, tensors, *args, **kwargs)


def _no_checkpoint(*_: Any, **__: Any) -> Iterator[None]:
    yield


@contextmanager
def eager_operations() -> Iterator[None]:
    """Let the mode see each operation of this thread's forward pass once: no compiled code, no checkpoints."""
    with _shared():
        outer, _here.explaining = getattr(_here, "explaining", False), True
        try:
            yield
        finally:
            _here.explaining = outer
