# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Logits with relevance maps attached in training, plain logits in evaluation: what an ISNet's loss needs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from monai.inferers import Inferer

from monai_debias.attached import attach, attached
from monai_debias.constraints import BOOL, FUNCTION, NONE, STRING, Integer, Number, OneOf, SequenceOf
from monai_debias.parameters import expects
from monai_debias.relevance import LRP
from monai_debias.relevance.surroundings import logits_of
from monai_debias.relevance.targets import checked_rows
from monai_debias.transforms.blend import blend_rows
from monai_debias.without_waiting import look, training_step
from monai_debias.z_scores import look_for_z_scores

__all__ = ["ISNetInferer"]

_NO_HEATMAP = (
    "no heatmap is made, since the network is in evaluation mode, although gradients are recorded and masks, labels or "
    "rows are given: call network.train() to train, and evaluate within torch.no_grad()."
)
_TARGETS = ("selective", "selective_label", "label", "all", "stochastic", "dual")


class ISNetInferer(Inferer):
    """Run a classifier and explain it, for ``ISNetLRPLoss``; the network itself stays a plain one.

    The result is the logits that ``SimpleInferer`` gives; in training the heatmap is attached to them (see
    :mod:`monai_debias.attached`), in evaluation (``network.eval()``, or without gradients) nothing, at the same cost.

    A small heatmap outside the mask is not enough: a mark can decide by switching units off, where relevance is 0. So
    an image that is explained has its background blended with that of another image of the batch, by an amount t that
    is drawn for each (:func:`monai_debias.transforms.blend_backgrounds`): with probability ½ it is 1, a whole exchange,
    else uniform in [0, 1]. Both classification and heatmap are of that image. Then the background says little, and
    what it still says is penalised. Rows without a mask, and steps without a heatmap, are left
    alone, and so is the only row of a batch that has a mask: use large batches if masks are few.

    Normalise by fixed numbers, such as a window to [0, 1], and not by the mean and deviation of each image: these
    depend on the background, which then stands in the values of the region of interest, where neither blend nor heatmap
    finds it. One warning tells of images whose mean is 0 and whose standard deviation is 1, each by itself.

    With ``interval`` n only every n-th training iteration, beginning with the first, carries a heatmap: the others
    train the classification alone and cost what a plain step costs. An attribute ``active`` that is set to False
    switches heatmaps off, as ``RelevanceCutTuning`` does in its plain epochs; such calls do not count for ``interval``.

    Args:
        target: what is explained, as in :class:`monai_debias.relevance.LRP`: ``"selective"``, ``"all"``,
            ``"stochastic"``, ``"dual"``, a class index, or a function of the logits; or, with the labels of the batch,
            ``"label"`` (the logit of each sample's label) or ``"selective_label"`` (its η).
        epsilon: ε of the rule for activations, 0 or more.
        input_rule: None, or ``"zb"`` for inputs within ``input_range``.
        layers: names of modules whose relevance is returned too, for deep supervision.
        interval: how many training iterations there are for one with a heatmap.
        input_range: lowest and highest value of an input, for the zᴮ rule.
        allow: names of operations without a relevance rule whose ordinary gradient is accepted.
        output: which of several outputs of the network the logits are, as in :class:`monai_debias.relevance.LRP`:
            a place in a tuple, or a name. Training and evaluation go on with them alone.
        blend: whether the backgrounds of explained images are blended; False for the ISNet of the papers.

    Raises:
        ValueError: when ``target`` is unknown or needs labels that are not given, ``blend`` lacks masks or these do not
            fit, ``interval`` is below 1, ``LRP`` refuses another argument, the input is not of shape (B, C,
            spatial...), or the labels are those of a multi-label task and the target is a selective one, which explains
            softmax probabilities.
        TypeError: when ``layers`` or ``allow`` is a string instead of a sequence, or the network is not a module.

    Reference:
        Bassi et al., Nature Communications 2024 (ISNet) and IEEE Access 2024 (Faster ISNet); taking the maps of some
        rows or iterations only, and the blend, are extensions of this project.

    Example:
        >>> import torch
        >>> network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.Flatten())
        >>> inferer, image, masks = ISNetInferer(), torch.rand(4, 1, 8, 8), torch.ones(4, 1, 8, 8)
        >>> logits = inferer(image, network.train(), rows=torch.tensor([1, 3]), masks=masks)
        >>> logits.shape, attached(logits, "heatmap").shape
        (torch.Size([4, 72]), torch.Size([2, 1, 1, 8, 8]))
        >>> inferer(image, network.eval()).shape
        torch.Size([4, 72])
    """

    scheduled = ("calls", "_seen")  # attributes that do not count among the settings of a recorded step

    @expects(
        target=OneOf(*_TARGETS) | Integer("[0, inf)") | FUNCTION,
        epsilon=Number("[0, inf)"),
        input_rule=NONE | OneOf("zb"),
        layers=SequenceOf(STRING),
        interval=Integer("[1, inf)"),
        input_range=SequenceOf(Number(), length=2),
        allow=SequenceOf(STRING),
        output=NONE | Integer() | STRING,
        blend=BOOL,
    )
    def __init__(
        self,
        target: str | int | Callable[[torch.Tensor], torch.Tensor] = "selective",
        epsilon: float = 1e-2,
        input_rule: str | None = None,
        layers: Sequence[str] = (),
        interval: int = 1,
        input_range: Sequence[float] = (0.0, 1.0),
        allow: Sequence[str] = (),
        output: int | str | None = None,
        blend: bool = True,
    ) -> None:
        super().__init__()
        self.target = target
        self.rules: dict[str, Any] = {
            "epsilon": epsilon,
            "input_rule": input_rule,
            "input_range": tuple(input_range),
            "allow": tuple(allow),
            "output": output,
        }
        LRP(torch.nn.Identity(), **self.rules)  # refuses a bad range now, and not in the first iteration
        self.layers = tuple(layers)
        self.interval = interval
        self.blend = blend
        self.active = True
        self.calls = 0  # training iterations while it was active
        self._seen = False  # whether the images were looked at

    @property
    def explains_next(self) -> bool:
        """Whether the next training iteration carries a heatmap, if it has masks."""
        return self.active and self.calls % self.interval == 0

    def __call__(
        self,
        inputs: torch.Tensor,
        network: torch.nn.Module,
        rows: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        masks: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Classify, and explain in training.

        Args:
            inputs: shape (B, C, spatial...); in a trainer ``rows``, ``labels`` and ``masks`` are attached.
            network: classifier that returns logits of shape (B, K), or several outputs with them.
            rows: indices (R,) of the samples to explain, int64; None for all.
            labels: class indices (B,) or (B, 1), integers, or a row for each sample, (B, K); a target that asks for
                labels explains the indices, and a selective one refuses rows of several labels.
            masks: shape (B, 1, spatial...), 1 = region of interest, for the blend; only those of ``rows`` count.

        Returns:
            Logits (B, K). In training ``"heatmap"`` is attached, (R, maps, C, spatial...), with ``layers`` the mapping
            ``{"input": ..., name: (R, maps, C_l, spatial_l...)}``; not when ``rows`` is empty, it is not the
            iteration's turn, or the inferer is not active.
        """
        if not isinstance(network, torch.nn.Module):
            raise TypeError(f"network must be a torch.nn.Module, got {type(network).__name__}.")
        if inputs.ndim < 3:
            raise ValueError(f"expected an input of shape (B, C, spatial...), got {tuple(inputs.shape)}.")
        is_training = network.training and torch.is_grad_enabled()
        with training_step(self, is_training):
            if not is_training:
                if torch.is_grad_enabled() and any(part is not None for part in (rows, labels, masks)):
                    warnings.warn(_NO_HEATMAP, stacklevel=2)
                return self._logits(inputs, network)
            return self._explained(inputs, network, rows, labels, masks)

    def _explained(
        self,
        inputs: torch.Tensor,
        network: torch.nn.Module,
        rows: torch.Tensor | None,
        labels: torch.Tensor | None,
        masks: torch.Tensor | None,
    ) -> torch.Tensor:
        """Logits in training, with a heatmap if it is time for one."""
        given = attached(inputs, "explain", {"rows": rows, "labels": labels, "masks": masks})
        rows, labels, masks = given["rows"], given["labels"], given["masks"]
        # a MetaTensor's bookkeeping would follow every operation of the relevance pass
        inputs = inputs.as_subclass(torch.Tensor)
        turn = self.explains_next
        self.calls += self.active
        if not turn or (rows is not None and len(rows) == 0):
            return self._logits(inputs, network)
        self._refuse_sigmoid_task(labels)
        rows = checked_rows(rows, len(inputs), inputs.device)
        if not self._seen:
            self._seen = True
            look_for_z_scores(inputs)
        if self.blend:
            inputs = _blended(inputs, rows, masks)
        # made for this call, so that the inferer neither keeps the network alive nor puts it into a checkpoint
        lrp = LRP(network, **self.rules)
        logits, heatmap = lrp(inputs, self._target(labels), layers=self.layers, rows=rows, create_graph=True)
        return attach(logits, heatmap=heatmap)

    def _logits(self, inputs: torch.Tensor, network: torch.nn.Module) -> torch.Tensor:
        return logits_of(network(inputs), self.rules["output"], network)

    def _refuse_sigmoid_task(self, labels: torch.Tensor | None) -> None:
        if self.target not in ("selective", "selective_label") or labels is None or labels.shape[1:] in ((), (1,)):
            return
        look(partial(_refuse_several_labels, self.target), labels)

    def _target(self, labels: torch.Tensor | None) -> Any:
        if self.target not in ("label", "selective_label"):
            return self.target
        if not isinstance(labels, torch.Tensor):
            raise ValueError(
                f"target {self.target!r} explains the label of each sample: expected a tensor of labels (B,), got "
                f"{labels!r}; in a trainer: prepare_batch=PrepareBatchAttached()."
            )
        labels = labels.as_subclass(torch.Tensor)
        labels = labels.flatten() if labels.shape[1:] == (1,) else labels
        if labels.is_floating_point():
            raise ValueError(
                f"target {self.target!r} explains the class index of each sample, but the labels are rows of "
                f"{labels.dtype}, as Flow-Mixup makes them: choose another target."
            )
        return labels if self.target == "label" else ("selective", labels)


def _refuse_several_labels(target: str, labels: torch.Tensor) -> None:
    rows = labels.float()
    whole = ((rows >= 0) & (rows <= 1)).all(1)  # of others a label is missing, or it is for the loss to refuse
    totals = rows[whole].sum(1)
    if not bool(((totals - 1).abs() < 1e-3).all()):
        raise ValueError(
            f"target {target!r} explains softmax probabilities, but the labels of shape {tuple(labels.shape)} have "
            'rows that do not add up to 1, as in a multi-label task: use target="all" or "stochastic".'
        )


def _blended(inputs: torch.Tensor, rows: torch.Tensor | None, masks: torch.Tensor | None) -> torch.Tensor:
    """The images of a batch, those of the rows with blended backgrounds, by amounts from torch's generator."""
    if not isinstance(masks, torch.Tensor):
        got = None if masks is None else type(masks).__name__
        raise ValueError(
            f"backgrounds are blended by the masks of the batch, expected a tensor (B, 1, spatial...), got {got}: in a "
            "trainer take prepare_batch=PrepareBatchAttached() and batches with masks, elsewhere give masks=...; or "
            "take blend=False."
        )
    rows = torch.arange(len(inputs), device=inputs.device) if rows is None else rows
    return blend_rows(inputs, masks, rows, torch.rand(len(rows), device=inputs.device))
