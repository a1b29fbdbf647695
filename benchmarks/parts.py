# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A training in its parts, and the small functions that make a method of the plain one: parts in, changed parts out.

>>> method = (with_few_masks(0.05), with_backmix(), with_weights())  # wBackMix
>>> for change in method:
...     parts = change(parts)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer
from monai.inferers import Inferer, SimpleInferer
from monai.transforms import Compose, CopyItemsd, Lambdad, MaskIntensityd, SelectItemsd
from torch import nn

from monai_debias.attached import attach, attached
from monai_debias.data import keep_mask_fraction, mask_fraction
from monai_debias.engines import PrepareBatchAttached, SwapBackgrounds
from monai_debias.handlers import FiniteLoss, GradientClipping, RelevanceWeightSchedule
from monai_debias.inferers import BackgroundSwapInferer, FlowMixupInferer, ISNetInferer
from monai_debias.losses import (
    BackgroundConsistencyLoss,
    ISNetLRPLoss,
    MixupLoss,
    SampleWeightedLoss,
    SpectralDecouplingLoss,
    nested_loss,
)
from monai_debias.transforms import BackMixWeightd, BlendBackgroundsd, FillMaskd, KeepMaskd, MixBatchd, RandBackMixd
from monai_debias.transforms.mix_batch import INPUT


@dataclass(frozen=True)
class Parts:
    """The parts of a training that a method may change; those with a default are the plain training.

    Args:
        network: what is trained.
        stages: names of its modules whose outputs are its hidden states, in their order.
        n_classes: number of logits.
        samples: the training data: dictionaries of ``image`` (1, rows, columns) in [0, 1], where 0 is black, ``mask``
            and ``label``.
        seed: random seed of the training.
        classification_loss: returns a value for each sample.
        loss_parts: the losses around it, as :func:`monai_debias.losses.nested_loss` takes it.
        transforms: what is done to a sample, in this order.
        normalize: what is done to its image, or to a batch of images, after that; None for nothing.
        input_range: lowest and highest value of the network's input, with which an ISNet takes the zᴮ rule; None if it
            does not take it.
        keys: what of a sample is in a batch.
        mixup: what mixes the rows of a batch.
        swap: what exchanges the backgrounds of a batch.
        blend: what blends them.
        inferer: what runs the network.
        handlers: handlers of the trainer.
        masked: whether the network sees images whose background is 0, in tests as well.
        autocast: whether it is trained in mixed precision, bfloat16.
        first_stage: the first of two stages, if there are two: a function of the parts, the size of a batch, the number
            of epochs and the learning rate that trains what the second needs, and returns the parts of the second.
        part: the part of the network that is trained, if it is not all of it; its input is called the image.
    """

    network: nn.Module
    stages: tuple[str, ...]
    n_classes: int
    samples: Sequence[dict[str, Any]]
    seed: int
    classification_loss: nn.Module = field(default_factory=lambda: nn.CrossEntropyLoss(reduction="none"))
    loss_parts: Mapping[str, Callable[..., nn.Module]] = field(default_factory=dict)
    transforms: tuple[Callable, ...] = ()
    normalize: Callable[[torch.Tensor], torch.Tensor] | None = None
    input_range: tuple[float, float] | None = None
    keys: tuple[str, ...] = ("image", "label")
    mixup: MixBatchd | None = None
    swap: SwapBackgrounds | None = None
    blend: BlendBackgroundsd | None = None
    inferer: Inferer = field(default_factory=SimpleInferer)
    handlers: tuple[Any, ...] = ()
    masked: bool = False
    autocast: bool = False
    first_stage: Callable[[Parts, int, int, float], Parts] | None = None
    part: nn.Module | None = None

    def changed(self, steps: Iterable[Step]) -> Parts:
        """What the steps of a method make of these parts, one after the other."""
        parts = self
        for step in steps:
            parts = step(parts)
        return parts

    def loss(self) -> nn.Module:
        """The classification loss, and what goes around it."""
        return nested_loss(self.classification_loss, self.loss_parts) if self.loss_parts else self.classification_loss

    def trainer_arguments(self) -> dict[str, Any]:
        """The arguments of a MONAI trainer, without data, optimizer and handlers."""
        inferer = self.inferer if self.mixup is None else FlowMixupInferer(self.inferer)
        return {
            "device": torch.device("cpu"),
            "network": self.part or self.network,
            "loss_function": self.loss(),
            "prepare_batch": PrepareBatchAttached(self.mixup, swap=self.swap, blend=self.blend),
            "inferer": inferer if self.swap is None else BackgroundSwapInferer(inferer),
            "decollate": False,
        }

    def fit(
        self, batch: int, epochs: int, learning_rate: float, *handlers: Any, generator: torch.Generator | None = None
    ) -> None:
        """Train by MONAI's own trainer, with Adam and a cosine schedule.

        Args:
            batch: number of samples in a batch.
            epochs: how often all samples are seen.
            learning_rate: at the beginning.
            handlers: further handlers of the trainer.
            generator: draws the order of the samples; None for torch's own.
        """
        if self.first_stage is not None:
            second = self.first_stage(replace(self, first_stage=None), batch, epochs, learning_rate)
            return second.fit(batch, epochs, learning_rate, *handlers, generator=generator)
        size = min(batch, len(self.samples))
        last = [] if self.normalize is None else [Lambdad("image", self.normalize)]
        transforms = Compose([*self.transforms, *last, SelectItemsd(list(self.keys))])
        loader = DataLoader(
            Dataset(self.samples, transforms), batch_size=size, shuffle=True, drop_last=True, generator=generator
        )
        optimizer = torch.optim.Adam((self.part or self.network).parameters(), learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(loader))
        trainer = SupervisedTrainer(
            max_epochs=epochs,
            train_data_loader=loader,
            optimizer=optimizer,
            train_handlers=[*self.handlers, FiniteLoss(), *handlers],
            **self.trainer_arguments(),
        )
        trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: schedule.step())
        # without the cache, which would keep the weights of the first step
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.autocast, cache_enabled=False):
            trainer.run()


Step = Callable[[Parts], Parts]


def with_few_masks(share: float) -> Step:
    """Masks of a share of the samples only; which ones depends on the seed of the training."""

    def step(parts: Parts) -> Parts:
        items = [{**sample, "patient_id": n} for n, sample in enumerate(parts.samples)]
        kept = map(KeepMaskd("mask"), keep_mask_fraction(items, share, parts.seed))
        return replace(parts, samples=list(kept))

    return step


def with_backmix(background: str = "donor") -> Step:
    """Another background in every sample that has a mask: BackMix, or one of the ablations of its paper."""

    def step(parts: Parts) -> Parts:
        mix = RandBackMixd("image", "mask", donors=parts.samples, background=background)
        return replace(parts, transforms=(*parts.transforms, mix))

    return step


def with_masked_images(parts: Parts) -> Parts:
    """Nothing but the region of interest, in training and in tests: every image needs a mask, also after training."""
    mask = MaskIntensityd("image", mask_key="mask")
    return replace(parts, transforms=(*parts.transforms, mask), masked=True)


def with_weights() -> Step:
    """Samples with a mask count more, as in wBackMix with λ = 1."""

    def step(parts: Parts) -> Parts:
        weigh = BackMixWeightd("mask", mask_fraction=mask_fraction(parts.samples))
        parts = replace(parts, transforms=(*parts.transforms, weigh), keys=(*parts.keys, "weight"))
        return _with_loss(parts, weight=SampleWeightedLoss)

    return step


def with_masks(parts: Parts) -> Parts:
    """Masks in the batches, and which of them are real."""
    if "mask" in parts.keys:
        return parts
    return replace(parts, transforms=(*parts.transforms, FillMaskd()), keys=(*parts.keys, "mask", "has_mask"))


@dataclass(frozen=True)
class RelevanceRamp:
    """A handler that lets P rise from 0 to that of the loss over a share of the epochs."""

    share: float

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.STARTED, self._start)

    def _start(self, engine: SupervisedTrainer) -> None:
        loss: Any = engine.loss_function
        points = {0: 0.0, self.share * engine.state.max_epochs: loss.relevance_weight}
        RelevanceWeightSchedule(loss, points).attach(engine)


def with_isnet(ramp: float = 1.0, inferer: Mapping[str, Any] | None = None, **loss: Any) -> Step:
    """An ISNet, with the package's defaults and the ramp of its overlay.

    Args:
        ramp: share of the epochs in which P rises from 0; with 0 it is there from the first iteration.
        inferer: what is set otherwise in the inferer.
        loss: what is set otherwise in the loss.
    """

    def step(parts: Parts) -> Parts:
        rising = (RelevanceRamp(ramp),) if ramp else ()
        rule = {"input_rule": "zb", "input_range": parts.input_range} if parts.input_range else {}
        parts = replace(
            with_masks(parts),
            inferer=ISNetInferer(**{**rule, **(inferer or {})}),
            handlers=(*parts.handlers, *rising, GradientClipping(parts.network, 100.0)),
        )
        return _with_loss(parts, isnet=partial(ISNetLRPLoss, **loss))

    return step


class _HiddenLayersAlone(ISNetInferer):
    """Takes the map of the input away, so that the heatmap loss is that of the hidden layers."""

    def __call__(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Classify, and explain in training."""
        logits = super().__call__(*args, **kwargs)
        maps = attached(logits, "heatmap", {})
        return attach(logits, heatmap={name: maps[name] for name in self.layers} if maps else None)


def with_hidden_layers_alone(*layers: str) -> Step:
    """Let the relevance of an ISNet, a step before this one, end at hidden layers; masks are pooled to their size."""

    def step(parts: Parts) -> Parts:
        inferer = _HiddenLayersAlone(layers=layers, blend=getattr(parts.inferer, "blend", True))
        return replace(parts, inferer=inferer)

    return step


def with_mixed_precision(parts: Parts) -> Parts:
    """Autocast to bfloat16 in the whole training."""
    return replace(parts, autocast=True)


def with_papers_isnet(inferer: Mapping[str, Any] | None = None, **loss: Any) -> Step:
    """The ISNet of the papers, without blend and ramp; P = 0.7 and E = 1 are the authors'."""
    return with_isnet(
        0.0, {"blend": False, **(inferer or {})}, **{"relevance_weight": 0.7, "background_scale": 1.0, **loss}
    )


def with_background_blend(parts: Parts) -> Parts:
    """Backgrounds faded into those of other images of the batch."""
    return replace(with_masks(parts), blend=BlendBackgroundsd("image"))


def with_background_consistency(weight: float = 5.0) -> Step:
    """A penalty on what another image's background changes in a prediction."""

    def step(parts: Parts) -> Parts:
        keys = ("swap_image", "swap_mask", "has_swap_mask")
        copies = (
            CopyItemsd(["image", "mask"], names=keys[:2], allow_missing_keys=True),
            FillMaskd(*keys[1::-1], keys[2]),
        )
        parts = replace(
            parts,
            transforms=(*copies, *parts.transforms),
            keys=(*parts.keys, *keys),
            swap=SwapBackgrounds(parts.normalize),
        )
        return _with_loss(parts, consistency=partial(BackgroundConsistencyLoss, consistency_weight=weight))

    return step


def with_spectral_decoupling(penalty_weight: float = 0.2) -> Step:
    """A penalty on the squared logits, λ/2 times their mean."""
    penalty = partial(SpectralDecouplingLoss, penalty_weight=penalty_weight, class_reduction="mean")
    return lambda parts: _with_loss(parts, penalty=penalty)


def with_mixup(alpha: float = 1.0) -> Step:
    """Mixed images."""
    return lambda parts: _mixed(parts, MixBatchd.mixup("image", alpha=alpha, num_classes=parts.n_classes))


def with_manifold_mixup(alpha: float = 1.0, images: bool = True) -> Step:
    """Mixed states, drawn for each batch among the first two stages and, as its authors have it, the images."""

    def step(parts: Parts) -> Parts:
        layers = ["input"] * images + list(parts.stages[:2])
        options: dict[str, Any] = {"alpha": alpha, "num_classes": parts.n_classes}
        return _mixed(parts, MixBatchd.manifold_mixup("image", parts.network, layers, **options))

    return step


def with_flow_mixup(
    alpha: float = 1.0, flow: str = "append", states: slice = slice(1, 3), weights: Sequence[float] | None = None
) -> Step:
    """Mixed states, whose rows are appended to those that are there, or replace them.

    Args:
        alpha: of the Beta distribution.
        flow: ``"append"`` or ``"replace"``.
        states: which are mixed, of the images and all stages; by default the first two stages.
        weights: of the un-mixed rows and of those of each state in the loss; None for equal ones.
    """

    def step(parts: Parts) -> Parts:
        options: dict[str, Any] = {"alpha": alpha, "num_classes": parts.n_classes, "flow": flow}
        layers = (INPUT, *parts.stages)[states]
        mixup = MixBatchd("image", network=parts.network, layers=layers, **options)
        return _mixed(parts, mixup, weights=weights)

    return step


def _mixed(parts: Parts, mixup: MixBatchd, **options: Any) -> Parts:
    loss = partial(MixupLoss, groups=mixup.groups, **options)
    return _with_loss(replace(parts, mixup=mixup), mixup=loss)


def _with_loss(parts: Parts, **more: Callable[..., nn.Module]) -> Parts:
    return replace(parts, loss_parts={**parts.loss_parts, **more})


def with_strides(parts: Parts) -> Parts:
    """Convolutions with a stride of 2 where a stage of the network ends in max-pooling, with the same weights."""
    network = deepcopy(parts.network)
    for stage in parts.stages:
        convolution, *others, last = network.get_submodule(stage)
        if isinstance(last, nn.MaxPool2d):
            convolution.stride = (2, 2)
            network.set_submodule(stage, nn.Sequential(convolution, *others))
    return replace(parts, network=network)
