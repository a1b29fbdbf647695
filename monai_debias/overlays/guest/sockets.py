# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Sockets for a bundle that was not made for this package, derived from its config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monai_debias.constraints import ANY, STRING, MappingOf
from monai_debias.overlays.guest.config_graph import ConfigGraph, target_of
from monai_debias.overlays.guest.data_sets import training_data, validation_data
from monai_debias.overlays.guest.parts import GuestParts
from monai_debias.parameters import expects

__all__ = ["guest_sockets"]

TRAINER, EVALUATOR = "train#trainer", "validate#evaluator"  # where MONAI's workflows look for them
_CLASSES = ("num_classes", "out_channels", "n_classes", "classes")  # names of the number of classes in MONAI's networks
_DIVIDE_BY_WEIGHTS = ("CrossEntropyLoss", "NLLLoss")
_LOSS = {
    "_target_": "monai_debias.losses.nested_loss",
    "classification_loss": "@classification_loss",
    "parts": "@loss_parts",
}
_PREPARE_BATCH = {"_target_": "monai_debias.engines.PrepareBatchAttached", "mixup": "@train#mixups"}
_CONSISTENCY = {
    "_target_": "monai_debias.handlers.BackgroundSwapConsistency",
    "network": "@network",
    "loader": {
        "_target_": "DataLoader",
        "dataset": "@validate#masked_dataset",
        "batch_size": "@batch_size",
        "num_workers": "@num_workers",
    },
    "normalize": "@validate#normalize",
    "task": "@task",
}
_SWAP_METRICS = "${**@key_metric, 'val_swap_consistency': @validate#consistency}"
_CONSISTENT = "${'consistent_' + name: metric * @validate#consistency for name, metric in @key_metric.items()}"
_GUARD = {
    "_target_": "monai_debias.handlers.GuardSwapConsistency",
    "_disabled_": "$not @select_by_swap",
    "evaluator": f"@{EVALUATOR}",
}
_TERMS = {"_target_": "monai_debias.handlers.LossTerms", "_disabled_": "$not @loss_parts", "loss": "@loss"}


@expects(config=MappingOf(ANY, key=STRING))
def guest_sockets(config: Mapping[str, Any]) -> GuestParts:
    """Read a bundle's training config, and collect what it lacks for the overlays.

    The config may use any names, one list of transforms or a sum of several, and any data set of items, as long as
    references lead from ``train#trainer`` to everything else. Nothing is built, and no data are needed.

    Args:
        config: the content of ``train.json``.

    Returns:
        The content of ``sockets.json``, which is loaded right after ``train.json``, with a report about it.

    Raises:
        ValueError: when ``train#trainer`` or something that it needs is missing, or the transforms cannot be read from
            the config.
    """
    parts = GuestParts(ConfigGraph(config))
    parts.component_at(TRAINER, "network", "loss_function", "train_data_loader")
    _names(parts)
    _network(parts)
    _loss(parts)
    _trainer(parts)
    _evaluator(parts)
    training_data(parts, TRAINER)  # last, since it puts another data set in the place of the training's
    return parts


def _names(parts: GuestParts) -> None:
    graph = parts.graph
    parts.import_modules("monai_debias", "monai_debias.overlays", "monai_debias.overlays.guest")
    parts.default("seed", 0)
    parts.default("max_epochs", f"@{TRAINER}#max_epochs")
    parts.default("input_range", None)
    parts.default("method", "$monai_debias.overlays.method_name(@methods)")
    parts["methods"] = {}
    if parts.end("initialize") is not None and isinstance(graph["initialize"], list):
        parts["+initialize"] = ["$@method"]  # refuses methods that cannot be combined
    folders = [name for name in ("ckpt_dir", "output_dir") if name in graph]
    for name in folders:
        parts[name] = f"$str({parts.store(name, graph[name])}) + '/' + @method"
    parts.found["results"] = " and ".join(f"{name}/METHOD" for name in folders) or "where the bundle puts them"


def _network(parts: GuestParts) -> None:
    """``network``, ``stages`` and ``class_names``."""
    parts.expose("network", f"{TRAINER}#network")
    parts.default("stages", "$monai_debias.overlays.guest.stage_names(@network)")
    count = _class_count(parts)
    if "class_names" in parts.graph:
        parts.found["classes"] = "class_names"
    elif count:
        parts["class_names"] = f"$[str(i) for i in range(max(2, @{count}))]"  # one logit stands for two classes
        parts.found["classes"] = f"{count} of them"
    else:
        parts["class_names"] = None
        parts.to_do.append('"class_names": fill in the names of the classes, in the order of the logits.')


def _class_count(parts: GuestParts) -> str | None:
    """The id of the network's number of logits, once ``network`` is where it is."""
    places = [f"{place}#{name}" for place in parts.graph.reached(f"{TRAINER}#network") for name in _CLASSES]
    found = next((place for place in places if place in parts.graph), None)
    return found and found.replace(f"{TRAINER}#network#", "network#")  # where one that is written there was moved


def _loss(parts: GuestParts) -> None:
    """``classification_loss``, ``loss`` and ``task``."""
    place = parts.graph.follow(f"{TRAINER}#loss_function")
    written, name = parts.graph[place], target_of(parts.graph[place])
    parts["classification_loss"] = written if name is None else {**written, "reduction": "none"}
    parts["loss"] = _LOSS
    parts["loss_parts"] = {}
    parts[f"{TRAINER}#loss_function"] = "@loss"
    parts.found["loss"] = f"{place}, {name or written}"
    if name is None:
        parts.to_do.append('"classification_loss": it must return a loss for each sample, not their mean.')
    elif written.get("reduction") == "sum":
        parts.to_do.append(f"The learning rate: {place} was the sum over the batch, and becomes the mean.")
    if name in _DIVIDE_BY_WEIGHTS and written.get("weight") is not None:
        parts.to_do.append(
            f"{place}#weight: the mean was over the weights of the batch's classes, and is now over the number of "
            "samples. Weights whose mean over the training samples is 1 keep the scale of the loss."
        )
    task = _task(name, written, _class_count(parts))
    parts.default("task", task)
    if task is None and "task" not in parts.graph:
        parts.to_do.append('"task": fill in "softmax", "binary" (one logit) or "multi_label".')


def _task(name: str | None, loss: Any, count: str | None) -> str | None:
    if name in ("CrossEntropyLoss", "NLLLoss") or (name == "FocalLoss" and loss.get("use_softmax")):
        return "softmax"
    if name in ("BCEWithLogitsLoss", "MultiLabelSoftMarginLoss", "FocalLoss") and count:
        return f"$'binary' if @{count} == 1 else 'multi_label'"
    return None


def _trainer(parts: GuestParts) -> None:
    """The sockets of the trainer: batches, inferer and handlers."""
    if f"{TRAINER}#prepare_batch" in parts.graph:
        parts.to_do.append(f"{TRAINER}#prepare_batch: PrepareBatchAttached replaces it, for image and label.")
    parts["train#prepare_batch"] = _PREPARE_BATCH
    parts[f"{TRAINER}#prepare_batch"] = "@train#prepare_batch"
    parts.move_to("train#inferer", f"{TRAINER}#inferer", {"_target_": "SimpleInferer"})
    parts["train#mixups"] = {}
    parts["train#method_handlers"] = {"loss_terms": _TERMS}
    handlers = (
        parts.store("handlers", parts.graph[f"{TRAINER}#train_handlers"])
        if f"{TRAINER}#train_handlers" in parts.graph
        else "[]"
    )
    parts[f"{TRAINER}#train_handlers"] = f"$list(@train#method_handlers.values()) + list({handlers})"


def _evaluator(parts: GuestParts) -> None:
    """The sockets of the evaluator, which ``select_by_swap`` and ``background_consistency`` need."""
    parts["select_by_swap"] = False
    if EVALUATOR not in parts.graph:
        parts.to_do.append(f"select_by_swap and background_consistency cannot be used: there is no {EVALUATOR}.")
        return
    validation_data(parts, EVALUATOR)
    if f"{EVALUATOR}#key_val_metric" not in parts.graph:
        parts.to_do.append(
            f'{EVALUATOR}#key_val_metric: give it the metric of a good model, {{"val_accuracy": {{...}}}}, for '
            "select_by_swap, and delete this file to have it written again."
        )
        return
    parts.expose("key_metric", f"{EVALUATOR}#key_val_metric")
    parts.move_to("validate#additional_metrics", f"{EVALUATOR}#additional_metrics", {})
    parts["validate#consistency"] = _CONSISTENCY
    parts["validate#swap_metrics"] = _SWAP_METRICS
    parts["validate#consistent_metric"] = _CONSISTENT
    parts[f"{EVALUATOR}#key_val_metric"] = "$@validate#consistent_metric if @select_by_swap else @key_metric"
    parts[f"{EVALUATOR}#additional_metrics"] = (
        "${**@validate#additional_metrics, **(@validate#swap_metrics if @select_by_swap else {})}"
    )
    parts["train#method_handlers#guard_swap_consistency"] = _GUARD
