# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The methods that evidence.py compares: what each changes in the training of the plain network, and no more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from ignite.engine import Events
from monai.data import DataLoader
from monai.engines import SupervisedTrainer
from monai.inferers import Inferer
from torch import nn

from monai_debias.data import keep_mask_fraction, mask_fraction
from monai_debias.engines import PrepareBatchFlowMixup, PrepareBatchISNet, PrepareBatchTargets
from monai_debias.handlers import FiniteLoss, GradientClipping
from monai_debias.inferers import ISNetInferer
from monai_debias.losses import FlowMixupLoss, ISNetLRPLoss, SampleWeightedLoss, SpectralDecouplingLoss
from monai_debias.transforms import BackMixWeightd, FillMaskd, FlowMixupd, KeepMaskd, RandBackMixd

__all__ = ["MAIN", "METHODS", "Method", "fit", "sample_transforms", "trainer_parts", "training_samples"]


@dataclass(frozen=True)
class Method:
    """What a method differs in from the plain training.

    Args:
        title: in tables.
        settings: in tables: whose settings these are, and which.
        background: what RandBackMixd puts into the background; None leaves it.
        masks: share of the training images that have a mask.
        weighted: whether samples with a mask count more (wBackMix, λ = 1).
        isnet: options of ISNetInferer; None for no heatmap.
        relevance_weight: P of the ISNet, the weight of the heatmap's loss against that of the classification.
        background_scale: E of the ISNet's background loss.
        rank_decay: d of the ISNet's background loss.
        penalty_weight: λ of spectral decoupling with ``class_reduction="mean"``.
        mixing: "mixup", "manifold_mixup", "flow_mixup", or "flow_mixup_replace" for one without un-mixed rows.
        rrr: weight of the input gradients outside the mask.
        pooling: whether the network has max-pooling, or else convolutions with a stride in its place.
    """

    title: str
    settings: str = ""
    background: str | None = None
    masks: float = 1.0
    weighted: bool = False
    isnet: dict[str, Any] | None = None
    relevance_weight: float = 0.5
    background_scale: float = 0.1
    rank_decay: float = 0.9
    penalty_weight: float = 0.0
    mixing: str | None = None
    rrr: float = 0.0
    pooling: bool = True


def _isnet(title: str, note: str = "", **options: Any) -> Method:
    """An ISNet, selective unless its options say otherwise, with its settings written out."""
    method = Method(title, **{"isnet": {}, **options})
    settings = f"P {method.relevance_weight:g}, d {method.rank_decay:g}, E {method.background_scale:g}{note}"
    return replace(method, settings=settings)


_STRIDED = "; a network without pooling"
METHODS = {
    "plain": Method("plain"),
    "unbiased": Method("plain, trained without bias", "marks of random classes; a reference, no method"),
    "backmix": Method("BackMix", "paper: probability 1", background="donor"),
    "wbackmix": Method("wBackMix, 5 % masks", "paper: λ 1", background="donor", masks=0.05, weighted=True),
    "isnet": _isnet("ISNet, selective"),
    "spectral_decoupling": Method("spectral decoupling", "DomainBed: λ 0.2, mean over logits", penalty_weight=0.2),
    "mixup": Method("Mixup", "alpha 1", mixing="mixup"),
    "manifold_mixup": Method("Manifold Mixup", "alpha 1, images and the first two stages", mixing="manifold_mixup"),
    "flow_mixup": Method("Flow-Mixup", "alpha 1, the first two stages", mixing="flow_mixup"),
    "flow_mixup_replace": Method(
        "Flow-Mixup, mixed rows alone", "alpha 1, the first two stages", mixing="flow_mixup_replace"
    ),
    "backmix_isnet": _isnet("BackMix and ISNet", background="donor"),
    "backmix_spectral_decoupling": Method(
        "BackMix and spectral decoupling", "as each alone", background="donor", penalty_weight=0.2
    ),
    "backmix_flow_mixup": Method("BackMix and Flow-Mixup", "as each alone", background="donor", mixing="flow_mixup"),
    "isnet_spectral_decoupling": Method("ISNet and spectral decoupling", "as each alone", isnet={}, penalty_weight=0.2),
    "isnet_e1": _isnet("ISNet, selective", " (the authors' E)", background_scale=1.0),
    "isnet_original": _isnet("ISNet, original", isnet={"target": "all"}, relevance_weight=0.7),
    "isnet_stochastic": _isnet("ISNet, stochastic", isnet={"target": "stochastic"}),
    "isnet_dual": _isnet("ISNet, dual", isnet={"target": "dual"}, relevance_weight=0.7),
    "isnet_strided": _isnet("ISNet, selective", _STRIDED, pooling=False),
    "isnet_strided_heavier": _isnet("ISNet, selective", _STRIDED, pooling=False, relevance_weight=0.7),
    "isnet_stochastic_strided": _isnet("ISNet, stochastic", _STRIDED, pooling=False, isnet={"target": "stochastic"}),
    "isnet_interval4": _isnet("ISNet, a heatmap every 4th iteration", isnet={"interval": 4}, relevance_weight=0.7),
    "isnet_lds": _isnet("ISNet, deep supervision", isnet={"layers": ["stage1", "stage2", "stage3"]}),
    "isnet_few_masks": _isnet("ISNet, 5 % masks", masks=0.05),
    "rrr": Method("RRR, input gradients", "weight 1", rrr=1.0),
    **{
        f"background_{kind}": Method(f"background: {kind}", "BackMix's ablation", background=kind)
        for kind in ("black", "noise", "shuffle", "dim")
    },
}

MAIN = (
    "plain",
    "unbiased",
    "backmix",
    "wbackmix",
    "isnet",
    "spectral_decoupling",
    "mixup",
    "manifold_mixup",
    "flow_mixup",
    "backmix_isnet",
    "backmix_spectral_decoupling",
)


def training_samples(method: Method, items: Sequence[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """The training images, of which some lose their masks where the method has few; which ones depends on the seed."""
    if method.masks == 1.0:
        return list(items)
    flagged = keep_mask_fraction([{**item, "patient_id": n} for n, item in enumerate(items)], method.masks, seed)
    return [KeepMaskd("mask")(item) for item in flagged]


def sample_transforms(method: Method, samples: Sequence[dict[str, Any]]) -> list[Callable]:
    """What a method does to a sample, while 0 is still black."""
    chosen: list[Callable] = []
    if method.background is not None:
        chosen.append(RandBackMixd("image", "mask", donors=samples, background=method.background))
    if method.weighted:
        chosen.append(BackMixWeightd("mask", mask_fraction=mask_fraction(samples)))
    if method.isnet is not None or method.rrr:
        chosen.append(FillMaskd())
    return chosen


class InputGradients(Inferer):
    """Logits, and in training the gradient of the sum of all log-probabilities with respect to the image."""

    def __call__(self, inputs: torch.Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Any:
        """Run the network."""
        if not (network.training and torch.is_grad_enabled()):
            return network(inputs)
        image = inputs.detach().requires_grad_()
        logits = network(image)
        (gradient,) = torch.autograd.grad(logits.log_softmax(1).sum(), image, create_graph=True)
        return {"logits": logits, "gradient": gradient}


class RightForTheRightReasons(nn.Module):
    """Cross-entropy plus the squared input gradients outside the mask (Ross, Hughes and Doshi-Velez, IJCAI 2017).

    The squares are summed over the image and averaged over the batch; the original sums over the batch, too.
    """

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, pred: dict[str, torch.Tensor], target: dict[str, torch.Tensor]) -> torch.Tensor:
        """The loss of a batch."""
        outside = pred["gradient"] * (1 - target["mask"].as_subclass(torch.Tensor).float())
        right = nn.functional.cross_entropy(pred["logits"], target["label"])
        return right + self.weight * outside.square().flatten(1).sum(1).mean()


@dataclass
class TrainerParts:
    """Arguments of a SupervisedTrainer, and the keys of a batch that they need."""

    loss_function: nn.Module
    keys: list[str] = field(default_factory=lambda: ["image", "label"])
    inferer: Inferer | None = None
    prepare_batch: Callable | None = None
    handlers: list[Any] = field(default_factory=list)

    def arguments(self) -> dict[str, Any]:
        """Those that are not the trainer's own defaults."""
        optional = {"inferer": self.inferer, "prepare_batch": self.prepare_batch}
        given = {name: value for name, value in optional.items() if value is not None}
        return {"loss_function": self.loss_function, "train_handlers": self.handlers, **given}


def trainer_parts(
    method: Method,
    network: nn.Module,
    n_classes: int,
    stages: Sequence[str],
    plain_loss: type[nn.Module] = nn.CrossEntropyLoss,
) -> TrainerParts:
    """What turns the training of the plain network into that of a method."""
    reduction = "mean" if not method.weighted and method.isnet is None and method.mixing is None else "none"
    loss: nn.Module = plain_loss(reduction=reduction)
    if method.penalty_weight:
        loss = SpectralDecouplingLoss(loss, method.penalty_weight, class_reduction="mean", reduction=reduction)
    parts = TrainerParts(loss)
    if method.weighted:
        parts.keys = [*parts.keys, "weight"]
        parts.loss_function = SampleWeightedLoss(loss)
        parts.prepare_batch = PrepareBatchTargets(["label", "weight"])
    if method.isnet is not None:
        parts.keys = [*parts.keys, "mask", "has_mask"]
        parts.loss_function = ISNetLRPLoss(
            loss, method.relevance_weight, method.rank_decay, background_scale=method.background_scale
        )
        parts.inferer = ISNetInferer(**method.isnet)
        parts.prepare_batch = PrepareBatchISNet()
        parts.handlers = [GradientClipping(network, 100.0)]
    if method.rrr:
        parts.keys = [*parts.keys, "mask"]
        parts.loss_function = RightForTheRightReasons(method.rrr)
        parts.inferer = InputGradients()
        parts.prepare_batch = PrepareBatchTargets(["label", "mask"])
    if method.mixing is not None:
        options: dict[str, Any] = {"num_classes": n_classes}
        if method.mixing == "mixup":
            mixup = FlowMixupd.mixup("image", **options)
        elif method.mixing == "manifold_mixup":
            mixup = FlowMixupd.manifold_mixup("image", network, ["input", *stages[:2]], **options)
        else:
            flow = "append" if method.mixing == "flow_mixup" else "replace"
            mixup = FlowMixupd("image", network=network, layers=stages[:2], flow=flow, **options)
        parts.loss_function = FlowMixupLoss(mixup.groups, loss)
        parts.prepare_batch = PrepareBatchFlowMixup(mixup)
    return parts


def fit(
    network: nn.Module, loader: DataLoader, parts: TrainerParts, epochs: int, learning_rate: float, *handlers: Any
) -> None:
    """Train by MONAI's own trainer with Adam and a cosine schedule, in what a method makes of them."""
    optimizer = torch.optim.Adam(network.parameters(), learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(loader))
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=epochs,
        train_data_loader=loader,
        network=network,
        optimizer=optimizer,
        decollate=False,
        **parts.arguments(),
    )
    for handler in (FiniteLoss(), *handlers):
        handler.attach(trainer)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: schedule.step())
    trainer.run()
