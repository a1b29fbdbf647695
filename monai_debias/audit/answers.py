# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A network as an audit asks it: in evaluation mode, on its own device, in its own precision, and answering in logits.

Networks come as they were trained or exported: with features beside the logits, with a softmax at their end, with one
number for each image of a binary task, in half precision. What is taken for the logits is said in the audit's notes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from monai.utils import convert_to_tensor

from monai_debias.networks import evaluating, unwrapped
from monai_debias.tasks import TASKS

__all__ = ["Answers", "Network", "Normalize", "are_probabilities", "logits_of"]

Network = Callable[[torch.Tensor], Any]
Normalize = Callable[[torch.Tensor], torch.Tensor]

_SUM = 1e-2  # from 1, of probabilities in half precision
_SMALLEST = 1e-9  # probability


class Answers:
    """What a network says of batches of images, as logits (B, K) in single precision on the CPU.

    Args:
        network: maps images (B, C, spatial...) to logits or probabilities (B, K), or (B,) of a binary task, alone, as
            the first of several values, or as the only value or the "logits" of a dictionary.
        normalize: what is done to a batch before the network.
        task: see :mod:`monai_debias.tasks`.

    Raises:
        ValueError: when the network has no weights.

    Example:
        >>> Answers(lambda x: (x.mean((1, 2)), x), None, "binary")(torch.ones(2, 1, 4))
        tensor([[1.],
                [1.]])
    """

    def __init__(self, network: Network, normalize: Normalize | None, task: str) -> None:
        self.network = unwrapped(network) if isinstance(network, torch.nn.Module) else network
        self.normalize, self.task = normalize, task
        self.as_probabilities = False
        """Whether what the network returns are probabilities."""
        self.output: int | str | None = None
        """Which of the values that it returns is its answer, if it returns several or names them."""
        self._n_values = 1
        parameters = self.network.parameters() if isinstance(self.network, torch.nn.Module) else iter(())
        self._like = next((one for one in parameters if one.is_floating_point()), None)
        if self._like is not None and self._like.is_meta:
            raise ValueError("the network is on the device 'meta', without weights: load them onto the CPU or a GPU.")

    @property
    def is_module(self) -> bool:
        """Whether the network is a module of PyTorch whose layers can be seen."""
        return isinstance(self.network, torch.nn.Module) and not isinstance(self.network, torch.jit.ScriptModule)

    @property
    def notes(self) -> list[str]:
        """What is taken for the logits, if that is not plain."""
        notes = []
        if self._n_values > 1:
            which = "the first one" if self.output == 0 else repr(self.output)
            notes.append(f"The network returns {self._n_values} values; {which} is taken for its answer.")
        if self.as_probabilities:
            notes.append("The network returns numbers that are probabilities, and they are taken as such.")
        return notes

    def prepared(self, images: torch.Tensor) -> torch.Tensor:
        """The images as the network gets them."""
        batch = images.clone()  # the network or ``normalize`` may work in place
        if self.normalize is not None:
            batch = convert_to_tensor(self.normalize(batch), track_meta=False)
        return batch if self._like is None else batch.to(self._like)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """The logits of images before ``normalize``.

        Raises:
            ValueError: when the network cannot take the images, or returns something else.
        """
        batch = self.prepared(images)
        try:
            module = self.network if isinstance(self.network, torch.nn.Module) else None
            with torch.no_grad(), nullcontext() if module is None else evaluating(module):
                returned = self.network(batch)
        except Exception as error:
            reason = str(error).strip() or type(error).__name__
            raise ValueError(f"the network fails on images of shape {tuple(batch.shape)}: {reason}") from error
        logits = self._first(returned, len(images)).float().cpu()
        return logits_of(logits, self.task) if self.as_probabilities else logits

    def _first(self, returned: Any, n: int) -> torch.Tensor:
        if isinstance(returned, Mapping):
            self.output = _name_of_logits(returned, n)
        elif isinstance(returned, tuple | list) and returned:
            self.output = 0
        self._n_values = 1 if self.output is None else len(returned)
        first = returned if self.output is None else returned[self.output]
        if not isinstance(first, torch.Tensor | np.ndarray):
            raise ValueError(
                f"the network must return logits of shape ({n}, K), got {type(first).__name__}: wrap it in a function "
                "that returns them alone."
            )
        logits = torch.as_tensor(first)
        if logits.shape == (n,) and self.task == "binary":
            return logits[:, None]
        if logits.ndim != 2 or len(logits) != n or not logits.numel():
            classes = ": of each class its logit or probability, not the class" if logits.shape == (n,) else ""
            raise ValueError(f"the network must return logits of shape ({n}, K), got {tuple(logits.shape)}{classes}.")
        return logits


def _name_of_logits(returned: Mapping[Any, Any], n: int) -> Any:
    """The name of the answer among values that have names."""
    if len(returned) == 1:
        return next(iter(returned))
    if "logits" in returned:
        return "logits"
    found = f"a dictionary of {', '.join(map(repr, returned))}" if returned else "an empty dictionary"
    raise ValueError(
        f"the network must return logits of shape ({n}, K), got {found}: wrap "
        'it in a function that returns them alone, or call them "logits".'
    )


def are_probabilities(outputs: torch.Tensor, task: str) -> bool:
    """Whether the outputs of all images are probabilities: from 0 to 1, and of a softmax with the sum 1.

    Args:
        outputs: what the network returned, (N, K).
        task: see :mod:`monai_debias.tasks`.

    Example:
        >>> are_probabilities(torch.tensor([[0.25, 0.75]]), "softmax"), are_probabilities(torch.eye(2) * 5, "softmax")
        (True, False)
    """
    within = bool(((outputs >= 0) & (outputs <= 1)).all())
    return within and (TASKS[task].has_thresholds or bool(((outputs.sum(1) - 1).abs() < _SUM).all()))


def logits_of(probabilities: torch.Tensor, task: str) -> torch.Tensor:
    """Logits that have these probabilities.

    Args:
        probabilities: shape (B, K).
        task: see :mod:`monai_debias.tasks`.

    Example:
        >>> logits_of(torch.tensor([[0.5]]), "binary")
        tensor([[0.]])
    """
    if TASKS[task].has_thresholds:
        return probabilities.double().logit(_SMALLEST).float()
    return probabilities.clamp_min(_SMALLEST).log()
