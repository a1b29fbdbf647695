# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The catalogue: every method that is trained here, once, for a training in Python and for one by a bundle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.parts import (
    Step,
    with_background_blend,
    with_background_consistency,
    with_backmix,
    with_few_masks,
    with_flow_mixup,
    with_hidden_layers_alone,
    with_isnet,
    with_manifold_mixup,
    with_masked_images,
    with_mixed_precision,
    with_mixup,
    with_papers_isnet,
    with_spectral_decoupling,
    with_strides,
    with_weights,
)
from benchmarks.rivals.afr import with_feature_reweighting
from benchmarks.rivals.jtt import with_second_training
from benchmarks.rivals.right_reasons import with_right_reasons
from benchmarks.rivals.tea import with_explanations_alone


@dataclass(frozen=True)
class Method:
    """A method, as what it changes in the plain training.

    Args:
        title: in tables.
        settings: in tables: whose settings these are, and which.
        steps: functions that change the parts of a training in Python, see ``parts.py``.
        overlays: names of the overlays that do the same to a bundle's ``train.json``.
        options: entries of the bundle's config that are set after that.
    """

    title: str
    settings: str = ""
    steps: tuple[Step, ...] = ()
    overlays: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


_DOMAIN_BED = "DomainBed: λ 0.2, mean over logits"
_ISNET = "our defaults: backgrounds blended, P rises to 0.2 until the end, d 0.9, E 0.1"
_STAGES = ["stage1", "stage2", "stage3"]
_UNBLENDED = with_papers_isnet(relevance_weight=0.5, background_scale=0.1)
_LIGHT, _HEAVY = "no blend, P 0.5, d 0.9, E 0.1", "no blend, P 0.7, d 0.9, E 0.1"
_STRIDED = "a network without pooling"
METHODS = {
    "plain": Method("plain"),
    "unbiased": Method("plain, trained without bias", "marks of random classes; a reference, no method"),
    "backmix": Method("BackMix", "paper: probability 1", (with_backmix(),), ("backmix",)),
    "wbackmix": Method(
        "wBackMix, 5 % masks",
        "paper: λ 1",
        (with_few_masks(0.05), with_backmix(), with_weights()),
        ("wbackmix",),
    ),
    "background_blend": Method("background blend", "no setting", (with_background_blend,), ("background_blend",)),
    "background_consistency": Method(
        "background consistency", "λ 5", (with_background_consistency(),), ("background_consistency",)
    ),
    "isnet": Method("ISNet, selective", _ISNET, (with_isnet(),), ("isnet",)),
    "spectral_decoupling": Method(
        "spectral decoupling", _DOMAIN_BED, (with_spectral_decoupling(),), ("spectral_decoupling",)
    ),
    "mixup": Method("Mixup", "alpha 1", (with_mixup(),), ("mixup",)),
    "manifold_mixup": Method(
        "Manifold Mixup", "alpha 1, images and the first two stages", (with_manifold_mixup(),), ("manifold_mixup",)
    ),
    "flow_mixup": Method("Flow-Mixup", "alpha 1, the first two stages", (with_flow_mixup(),), ("flow_mixup",)),
    "flow_mixup_replace": Method(
        "Flow-Mixup, mixed rows alone", "alpha 1, the first two stages", (with_flow_mixup(flow="replace"),)
    ),
    "backmix_isnet": Method("BackMix and ISNet", "as each alone", (with_backmix(), with_isnet()), ("backmix", "isnet")),
    "backmix_spectral_decoupling": Method(
        "BackMix and spectral decoupling",
        "as each alone",
        (with_backmix(), with_spectral_decoupling()),
        ("backmix", "spectral_decoupling"),
    ),
    "backmix_flow_mixup": Method("BackMix and Flow-Mixup", "as each alone", (with_backmix(), with_flow_mixup())),
    "isnet_spectral_decoupling": Method(
        "ISNet and spectral decoupling", "as each alone", (with_spectral_decoupling(), with_isnet())
    ),
    "backmix_isnet_spectral_decoupling": Method(
        "BackMix, ISNet and spectral decoupling",
        "as each alone",
        (with_backmix(), with_spectral_decoupling(), with_isnet()),
        ("backmix", "isnet", "spectral_decoupling"),
    ),
    "isnet_paper": Method(
        "ISNet, selective", "the authors': P 0.7, d 0.9, E 1", (with_papers_isnet(),), ("isnet", "isnet_paper")
    ),
    "isnet_bfloat16": Method(
        "ISNet, selective", f"{_ISNET}; autocast to bfloat16", (with_isnet(), with_mixed_precision)
    ),
    "isnet_unblended": Method("ISNet, no blend", _LIGHT, (_UNBLENDED,)),
    "backmix_isnet_unblended": Method("BackMix and ISNet, no blend", _LIGHT, (with_backmix(), _UNBLENDED)),
    "isnet_spectral_decoupling_unblended": Method(
        "ISNet and spectral decoupling", _LIGHT, (with_spectral_decoupling(), _UNBLENDED)
    ),
    "isnet_few_masks_unblended": Method("ISNet, 5 % masks", _LIGHT, (with_few_masks(0.05), _UNBLENDED)),
    "isnet_lds_unblended": Method(
        "ISNet, deep supervision",
        _LIGHT,
        (with_papers_isnet({"layers": _STAGES}, relevance_weight=0.5, background_scale=0.1),),
    ),
    **{
        f"isnet_{stage}_unblended": Method(
            f"ISNet, relevance at {stage} instead of the input", _LIGHT, (_UNBLENDED, with_hidden_layers_alone(stage))
        )
        for stage in _STAGES[:2]
    },
    "isnet_e1": Method("ISNet, selective", "no blend, P 0.5, d 0.9, E 1", (with_papers_isnet(relevance_weight=0.5),)),
    "isnet_original": Method("ISNet, original", _HEAVY, (with_papers_isnet({"target": "all"}, background_scale=0.1),)),
    "isnet_stochastic": Method(
        "ISNet, stochastic",
        _LIGHT,
        (with_papers_isnet({"target": "stochastic"}, relevance_weight=0.5, background_scale=0.1),),
    ),
    "isnet_dual": Method("ISNet, dual", _HEAVY, (with_papers_isnet({"target": "dual"}, background_scale=0.1),)),
    "isnet_strided": Method(
        "ISNet, selective",
        f"{_LIGHT}; {_STRIDED}",
        (with_strides, _UNBLENDED),
    ),
    "isnet_strided_heavier": Method(
        "ISNet, selective", f"{_HEAVY}; {_STRIDED}", (with_strides, with_papers_isnet(background_scale=0.1))
    ),
    "isnet_strided_blended": Method("ISNet, selective", f"{_ISNET}; {_STRIDED}", (with_strides, with_isnet())),
    "isnet_stochastic_strided": Method(
        "ISNet, stochastic",
        f"{_LIGHT}; {_STRIDED}",
        (with_strides, with_papers_isnet({"target": "stochastic"}, relevance_weight=0.5, background_scale=0.1)),
    ),
    "isnet_interval4": Method(
        "ISNet, a heatmap every 4th iteration", _HEAVY, (with_papers_isnet({"interval": 4}, background_scale=0.1),)
    ),
    "isnet_lds": Method(
        "ISNet, deep supervision",
        "as the ISNet",
        (with_isnet(inferer={"layers": _STAGES}),),
        ("isnet", "isnet_lds"),
    ),
    "isnet_few_masks": Method(
        "ISNet, 5 % masks", "as the ISNet", (with_few_masks(0.05), with_isnet()), ("isnet", "few_masks")
    ),
    "masked": Method(
        "masked images", "background 0 in training and tests: takes masks for good", (with_masked_images,)
    ),
    "background_consistency_few_masks": Method(
        "background consistency, 5 % masks",
        "λ 5",
        (with_few_masks(0.05), with_background_consistency()),
        ("background_consistency", "few_masks"),
    ),
    "backmix_background_consistency": Method(
        "BackMix and background consistency",
        "as each alone",
        (with_backmix(), with_background_consistency()),
        ("backmix", "background_consistency"),
    ),
    "isnet_background_consistency": Method(
        "ISNet and background consistency",
        "as each alone",
        (with_isnet(), with_background_consistency()),
        ("isnet", "background_consistency"),
    ),
    "rrr": Method("RRR, input gradients", "weight 1", (with_right_reasons(),)),
    "tea": Method("TEA, a teacher's heatmaps", "the authors', with our budget", (with_explanations_alone,)),
    "jtt": Method("JTT", "first training 1 epoch, λ 5", (with_second_training(),)),
    "afr": Method("AFR", "20 % for the last layer, gamma 1, λ 0.1", (with_feature_reweighting(),)),
    **{
        f"background_{kind}": Method(
            f"background: {kind}",
            "BackMix's ablation",
            (with_backmix(kind),),
            ("backmix",),
            {"background": kind},
        )
        for kind in ("black", "noise", "shuffle", "dim")
    },
}
MAIN = (
    "plain",
    "unbiased",
    "backmix",
    "wbackmix",
    "background_blend",
    "background_consistency",
    "background_consistency_few_masks",
    "isnet",
    "spectral_decoupling",
    "mixup",
    "manifold_mixup",
    "flow_mixup",
    "backmix_isnet",
    "backmix_spectral_decoupling",
    "isnet_unblended",
    "backmix_isnet_unblended",
)


def chosen(names: Iterable[str], settings: Mapping[str, str]) -> dict[str, Method]:
    """Methods of the catalogue by their names, some with the settings of a testbed in place of their own."""
    return {name: replace(METHODS[name], settings=settings.get(name, METHODS[name].settings)) for name in names}


def named(names: str | Iterable[str], methods: Mapping[str, Method]) -> list[str]:
    """The names of methods from a command line, separated by commas.

    Raises:
        ValueError: when there is no method with one of the names.
    """
    asked = names.split(",") if isinstance(names, str) else list(names)
    unknown = [name for name in asked if name not in methods]
    if unknown:
        raise ValueError(f"unknown methods {unknown}; there are {', '.join(methods)}.")
    return asked
