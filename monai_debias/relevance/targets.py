# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What a relevance map explains: from the logits to the scalars whose relevance is asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import torch

from monai_debias.constraints import FUNCTION, TENSOR, Instance, Integer, Number, OneOf
from monai_debias.parameters import expects
from monai_debias.without_waiting import look, waits

__all__ = ["TARGET", "Target", "checked_rows", "eta", "explained_scalars"]

Target: TypeAlias = "int | torch.Tensor | str | tuple[str, torch.Tensor] | Callable[[torch.Tensor], torch.Tensor]"


TARGET = OneOf("all", "selective", "stochastic") | Integer("[0, inf)") | TENSOR | Instance(tuple) | FUNCTION


@expects(logits=TENSOR, classes=TENSOR, epsilon=Number("[0, inf)"))
def eta(logits: torch.Tensor, classes: torch.Tensor, epsilon: float = 1e-2) -> torch.Tensor:
    r"""The softmax-based quantity that Selective ISNet explains.

    .. math:: \eta_c = \ln(p_c + \varepsilon_s) - \ln(1 - p_c + \varepsilon_s),\quad p = \mathrm{softmax}(z)

    Args:
        logits: shape (B, K), of a network that is trained with softmax.
        classes: the class of each sample, int64 of shape (B,).
        epsilon: :math:`\varepsilon_s`.

    Returns:
        Shape (B,).

    Raises:
        ValueError: when the classes do not fit the logits.

    Reference:
        Bassi et al., IEEE Access 2024 (Faster ISNet).

    Example:
        >>> import torch
        >>> eta(torch.zeros(1, 2), torch.tensor([0]))
        tensor([0.])
    """
    p = logits.softmax(1).gather(1, _labels(classes, logits)[:, None])[:, 0]
    return torch.log(p + epsilon) - torch.log(1 - p + epsilon)


@expects(logits=TENSOR, target=TARGET)
def explained_scalars(logits: torch.Tensor, target: Target) -> torch.Tensor:
    """The scalars to explain, a column for each map.

    Args:
        logits: shape (B, K).
        target: an int or an int64 tensor (B,) of labels, for their logits; ``"all"``, a map for every logit;
            ``"selective"``, :func:`eta` of the class with the lowest logit, or ``("selective", labels)`` of the given
            classes; ``"stochastic"``, for each sample the highest logit with probability ½, else that of another class
            drawn uniformly with torch's generator; or a function of the logits that returns (B,) or (B, maps).

    Returns:
        Shape (B, maps).

    Raises:
        ValueError: when the target is unknown, labels do not fit the logits, or there are too few classes.

    Example:
        >>> import torch
        >>> explained_scalars(torch.tensor([[1.0, 2.0, 4.0]]), 2)
        tensor([[4.]])
    """
    n_classes = logits.shape[1]
    if callable(target):
        scalars = target(logits)
        if not isinstance(scalars, torch.Tensor) or (logits.requires_grad and not scalars.requires_grad):
            got = "a tensor without gradients" if isinstance(scalars, torch.Tensor) else type(scalars).__name__
            raise ValueError(
                f"the target function returned {got}, expected a tensor that depends on the logits by gradients."
            )
        if scalars.ndim not in (1, 2) or len(scalars) != len(logits):
            raise ValueError(
                f"the target function returned shape {tuple(scalars.shape)} for logits {tuple(logits.shape)}: "
                "expected one scalar per sample, (B,), or several, (B, maps)."
            )
        return scalars.reshape(len(scalars), -1)
    if isinstance(target, str) and target == "all":
        return logits
    if isinstance(target, str) and target in ("selective", "stochastic"):
        if n_classes < 2:
            raise ValueError(
                f'target="{target}" compares classes, but the network has one logit: explain it with target=0.'
            )
        if target == "selective":
            return eta(logits, logits.argmin(1))[:, None]
        highest = logits.argmax(1)
        other = (highest + torch.randint(1, n_classes, highest.shape, device=highest.device)) % n_classes
        chosen = torch.where(torch.rand(highest.shape, device=highest.device) < 0.5, highest, other)
        return logits.gather(1, chosen[:, None])
    if isinstance(target, tuple) and len(target) == 2 and target[0] == "selective":
        return eta(logits, target[1])[:, None]
    if isinstance(target, int | torch.Tensor) and not isinstance(target, bool):
        return logits.gather(1, _labels(target, logits)[:, None])
    raise ValueError(
        f'unknown target {target!r}: expected a label, a tensor of labels, "all", "selective", ("selective", labels), '
        '"stochastic", or a function of the logits.'
    )


def checked_rows(rows: torch.Tensor | None, n: int, device: torch.device) -> torch.Tensor | None:
    """The samples of a batch of n whose relevance is asked for, on a device; None for all.

    Args:
        rows: distinct indices of samples, int64 of shape (R,), or None.
        n: number of samples in the batch.
        device: where the indices are needed.

    Raises:
        ValueError: when they are anything else.
    """
    if rows is None:
        return None
    if not isinstance(rows, torch.Tensor) or rows.ndim != 1 or rows.dtype != torch.int64 or len(rows) == 0:
        got = f"{rows.dtype}, {tuple(rows.shape)}" if isinstance(rows, torch.Tensor) else type(rows).__name__
        raise ValueError(f"rows must be indices of samples, int64 of shape (R,), R > 0; got {got}.")
    plain = rows.as_subclass(torch.Tensor)
    look(partial(_refuse_rows, n), plain)
    return plain.to(device, non_blocking=True)


def _refuse_rows(n: int, rows: torch.Tensor) -> None:
    if bool(((rows < 0) | (rows >= n)).any()) or len(rows.unique()) < len(rows):
        raise ValueError(f"rows must be distinct indices from 0 to {n - 1}, got {rows.tolist()}.")


def _labels(labels: int | torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    n, n_classes = logits.shape
    if isinstance(labels, int):
        labels = logits.new_full((), labels, dtype=torch.int64)
    index = labels.as_subclass(torch.Tensor).to(logits.device, non_blocking=True)
    index = index.expand(n) if index.ndim == 0 else index
    if index.shape != (n,) or index.is_floating_point() or index.dtype == torch.bool:
        raise ValueError(f"labels must be integers of shape ({n},), got {index.dtype} of shape {tuple(index.shape)}.")
    look(partial(_refuse_labels, n_classes), index)
    # a GPU ends the program at a class that does not exist, before anybody reads which it was
    return index.long().clamp(0, n_classes - 1) if waits(index) else index.long()


def _refuse_labels(n_classes: int, index: torch.Tensor) -> None:
    if bool(((index < 0) | (index >= n_classes)).any()):
        raise ValueError(f"labels must lie in 0 … {n_classes - 1}, got {index.min().item()} … {index.max().item()}.")
