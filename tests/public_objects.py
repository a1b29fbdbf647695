# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Every public class and function of the package, and example values for their arguments, for test_public_*.py.

Values are looked up by the name of the parameter, since the same word means the same thing everywhere. A new class is
covered by existing as long as its parameters have known names; otherwise the test says which name to add here.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor, list_data_collate
from monai.networks.nets import DenseNet
from pydicom.data import get_testdata_file

import monai_debias
from monai_debias.attached import attach
from monai_debias.data import save_datalist
from monai_debias.losses import ISNetLRPLoss

CLIP_FILE = str(get_testdata_file("examples_ybr_color.dcm"))
VIEWS = ["A2C", "A4C"]

NETWORK = {"_target_": "tests.public_objects.make_network"}
_ISNET_LOSS = [{"_target_": "monai_debias.losses.ISNetLRPLoss"}]

# two heatmaps, each of one map of one channel, and the masks and images that they belong to
_HEATMAP = torch.linspace(-1, 2, 32).reshape(2, 1, 1, 4, 4)
_MASK = torch.eye(4).expand(2, 1, 4, 4)
_IMAGE = torch.linspace(0, 1, 128).reshape(2, 1, 8, 8)
# without clusters, so that k-means depends on its seed
_FEATURES = torch.from_numpy(np.random.default_rng(0).normal(size=(60, 1, 8, 8)))

_LABEL_METRICS = {"roc_auc": [0.9, 0.8, 1.0], "average_precision": [0.7, None, None], "f1": [None, None, None]}
_MIXUP = {"network": [NETWORK], "layers": [["input"], ["features"], ["input", "features"]], "num_classes": [2]}

# arguments, by the qualified name of what takes them, that mean something else in most places or whose usual values or
# defaults take a minute; a constructor's are lists of alternatives, as in configs()
SPECIAL: dict[str, dict[str, Any]] = {
    "BackgroundSwapConsistency": {
        "loader": ["$[{'image': torch.eye(4).reshape(2, 1, 2, 4), 'mask': torch.ones(2, 1, 2, 4)}]"]
    },
    "ClipInferer": {"task": ["softmax", "multi_label", "binary"]},
    "EachImage": {"transforms": [[]]},
    "EachImage.__call__": {"images": _IMAGE},
    "FlowMixupInferer": {"inferer": [None]},
    "FlowMixupInferer.__call__": {"inputs": _IMAGE},
    "MixBatch": _MIXUP,
    "PrepareBatchAttached": {"flag_key": ["has_mask"]},  # as the mixup has it
    "MixupLoss": {"classification_loss": [None, "bce"]},
    "MixupLoss.forward": {"label": torch.eye(2)},
    "MixBatchd": _MIXUP,
    "ISNetInferer.__call__": {
        "inputs": _IMAGE,
        "labels": torch.tensor([0, 1]),
        "masks": torch.eye(8).expand(2, 1, 8, 8),
    },
    "ISNetLRPLoss.forward": {
        "pred": attach(torch.zeros(2, 2), heatmap=_HEATMAP),
        "label": attach(torch.tensor([0, 1]), mask=_MASK),
    },
    "SampleWeightedLoss.forward": {"label": attach(torch.tensor([0, 1]), weight=torch.tensor([0.5, 1.5]))},
    "LRP": {"input_rule": [None, "zb"]},
    "LRP.__call__": {"target": "selective"},
    "LossTerms": {"loss": _ISNET_LOSS},
    "RelevanceCutTuning": {"loss": _ISNET_LOSS},
    "RelevanceWeightSchedule": {"loss": _ISNET_LOSS},
    "UltrasoundSectorMaskd": {"mask_key": ["sector"]},  # it writes a mask, and leaves a sample that has one as it is
    "SpectralDecouplingLoss.forward": {"target": torch.tensor([0, 1])},
    "TaskLoss.forward": {"label": torch.tensor([0, 1])},
    "attention": {"loader": [{"image": _IMAGE, "mask": torch.eye(8).expand(2, 1, 8, 8)}]},
    "background_loss": {"mask": _MASK},
    "background_relevance": {"mask": _MASK},
    "background_swap_consistency": {"loader": [{"image": _FEATURES.float(), "mask": torch.eye(8).expand(60, 1, 8, 8)}]},
    "load_biased_mnist": {"section": "test", "bias": 0.5},
    "method_name": {"methods": {"isnet": True, "backmix": True}},
    "blend_backgrounds": {
        "images": _IMAGE,
        "masks": torch.eye(8).expand(2, 1, 8, 8),
        "amounts": torch.tensor([0.25, 0.5]),
    },
    "build_tmed2_datalist": {"out": None},  # an existing folder, elsewhere one to create
    "build_echo_cohort": {"patients": [1, 1, 1], "frames": 1, "workers": 1},
    "choose_thresholds": {"labels": np.eye(2)[np.arange(24) % 2]},
    "echo_demo_cohort": {"patients": [1, 1, 1], "frames": 1, "workers": 1},
    "cluster_separation": {"layers": ["input", "0"]},
    "corrupt_labels": {"rate": 0.3, "mode": "symmetric", "num_classes": 2},
    "eta": {"classes": torch.tensor([0, 1])},
    "explained_scalars": {"target": "selective"},
    "foreground_loss": {"mask": _MASK},
    "heatmap_overlay": {"image": torch.linspace(0, 1, 32).reshape(2, 1, 4, 4), "mask": _MASK},
    "label_metrics": {"results": {"test": {"labels": {"A2C": {"metrics": _LABEL_METRICS}}}}},
    "load_mnist": {"section": "test"},
    "method_comparison": {
        "results": {"plain": [{"test": {"metrics": {"accuracy": [0.9, 0.85, 0.95]}}}]},
        "splits": {"test": "new site"},
        "examples": {"a clip": (np.zeros((4, 4)), np.eye(4), np.ones((4, 4)))},
    },
    "nested_loss": {"classification_loss": None, "parts": {"isnet": ISNetLRPLoss}},
    "pointing_game": {"mask": _MASK},
    "relevance_focus": {"mask": _MASK},
    "save_datalist": {"labels": VIEWS},
    "stage_names": {"network": DenseNet(2, 1, 2, init_features=4, growth_rate=2, block_config=(1, 1, 1))},
}
# handlers that leave a sound training alone
GUARDS = {"FiniteLoss", "RequireMasks"}


def make_network() -> torch.nn.Module:
    """A classifier of images of any size, the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return DenseNet(2, 1, len(VIEWS), init_features=4, growth_rate=2, block_config=(1,))


def saved_network(folder: Path) -> str:
    """A file with other weights of the classifier, beside a folder that may be emptied."""
    path = folder.with_name(f"{folder.name}-weights.pt")
    torch.save({name: value / 2 for name, value in make_network().state_dict().items()}, path)
    return str(path)


@cache
def packages() -> list[ModuleType]:
    """The sub-packages of monai_debias that export something."""
    found = pkgutil.walk_packages(monai_debias.__path__, "monai_debias.")
    every = [importlib.import_module(info.name) for info in found if info.ispkg]
    return [package for package in every if hasattr(package, "__all__")]


@cache
def modules() -> list[ModuleType]:
    """All modules of monai_debias."""
    found = pkgutil.walk_packages(monai_debias.__path__, "monai_debias.")
    return [importlib.import_module(info.name) for info in found if not info.name.endswith("__main__")]


@cache
def public_names() -> dict[str, Any]:
    """What ``from monai_debias.<package> import *`` gives, by its dotted path; an alias counts once."""
    found = {}
    for package in packages():
        for name in package.__all__:
            value = getattr(package, name)
            if isinstance(value, type | FunctionType) and value.__module__.startswith("monai_debias."):
                found[f"{package.__name__}.{value.__name__}"] = value
    return found


@cache
def public_exceptions() -> dict[str, type[BaseException]]:
    """The errors and warnings among them."""
    return {p: v for p, v in public_names().items() if isinstance(v, type) and issubclass(v, BaseException)}


@cache
def public_objects() -> dict[str, Any]:
    """The classes and functions that do something."""
    return {path: value for path, value in public_names().items() if path not in public_exceptions()}


def parameters(function: Callable) -> dict[str, inspect.Parameter]:
    """Named parameters of a function, or of a class's constructor."""
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {n: p for n, p in inspect.signature(function).parameters.items() if p.kind not in variadic and n != "self"}


def choose(function: Callable, table: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a function that the table knows; it must know the required ones."""
    special = SPECIAL.get(function.__qualname__, {})
    table, known = {**table, **special}, {}
    for name, parameter in parameters(function).items():
        if name in table:
            known[name] = table[name]
        elif parameter.default is inspect.Parameter.empty:
            raise AssertionError(
                f"{function.__qualname__} needs {name!r}, which tests/public_objects.py has no example for: add one."
            )
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in inspect.signature(function).parameters.values()):
        known |= special
    return known


def configs(cls: type, folder: Path) -> list[dict[str, Any]]:
    """JSON configs that construct a class: the i-th takes the i-th of the alternatives of each parameter."""
    alternatives = {
        "background": ["donor", "noise", "shuffle", "black", "dim"],
        "ckpt_dir": [str(folder)],
        "class_names": [VIEWS],
        "class_reduction": ["sum", "mean"],
        "classification_loss": [None, {"_target_": "torch.nn.CrossEntropyLoss", "reduction": "none"}],
        "color": ["grey", "rgb"],
        "cuts": [[0.1, 2.5], {"input": [[0.1, 2.5]]}],
        "donors": ["$donors"],
        "epochs": [1],
        "epsilon": [0.01, 0.0],
        "flag_key": ["use_mask"],
        "flow": ["append", "replace"],
        "foreground_penalty": ["hybrid", "l2"],
        "frame": ["middle", "first", -1],
        "frame_batch_size": [3],
        "frames": [1],
        "groups": [["unmixed", "mixed"]],
        "ignore_value": [None, -1, [-1, -100]],
        "inferer": [{"_target_": "monai_debias.inferers.ISNetInferer"}],
        "interval": [1, 2],
        "keys": [["image"]],
        "label_key": ["label"],
        "layers": [[], ["0"]],
        "logit_target": [0.0, [0.44, 2.5]],
        "mask_fraction": [0.25],
        "mask_key": ["mask"],
        "max_norm": [0.01],
        "metric": ["accuracy", "roc_auc"],
        "mixup": [{"_target_": "monai_debias.transforms.MixBatchd.mixup", "keys": "image", "num_classes": 2}],
        "n_resamples": [20],
        "network": [NETWORK],
        "normalization": ["absRoIMean", "RoIMean"],
        "path": [saved_network(folder)],
        "objects": [{"network": {"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 2}}],
        "output": [None],
        "output_dir": [str(folder)],
        "overwrite": [True],
        "penalty_weight": [0.1, [0.1, 0.2]],
        "prob": [1.0, 0.5],
        "ramp": [True, False],
        "reduction": ["mean", "sum", "none"],
        "schedule": [{"0": 0.1, "1": 0.3}],
        "select": ["all", "random"],
        "source": ["auto", "still"],
        "target": ["selective", "all", "label", 1],
        "task": ["softmax"],
    }
    chosen = choose(cls, alternatives)
    rounds = max((len(values) for values in chosen.values()), default=1)
    return [{name: values[i % len(values)] for name, values in chosen.items()} for i in range(rounds)]


def parse(config: Mapping[str, Any], donors: Sequence[dict] = ()) -> Any:
    """Read a config as a bundle does, after a journey through JSON; it may refer to the donors as ``$donors``."""
    text = json.dumps({"object": config})
    donors = make_samples("still", 8) if "$donors" in text and not donors else donors
    parser = ConfigParser(json.loads(text), globals={"donors": donors})
    return parser.get_parsed_content("object")


def build(cls: type, config: Mapping[str, Any], donors: Sequence[dict] = ()) -> Any:
    """Construct an object from a bundle config."""
    path = next(path for path, value in public_objects().items() if value is cls)
    return parse({"_target_": path, **config}, donors)


def make_samples(kind: str, n: int) -> list[dict[str, Any]]:
    """Small ultrasound: a fan of moving speckle below a line of still text, a mask of the fan, a label, …

    Args:
        kind: ``"still"``, image and mask (1, 96, 128); ``"clip"``, both (1, 96, 128, 6); or ``"batch of stills"``,
            ``"batch of clips"``, four of them collated.
        n: how many.
    """
    if kind.startswith("batch of "):
        return [list_data_collate(make_samples(kind[9:-1], 4)) for _ in range(n)]
    return [copy.deepcopy(_make_sample(kind, i)) for i in range(n)]


@cache
def _make_sample(kind: str, i: int) -> dict[str, Any]:
    rows, columns = np.mgrid[:96, :128]
    depth, angle = np.hypot(rows - 8, columns - 64), np.arctan2(columns - 64, rows - 8)
    fan = (depth > 4) & (depth < 84) & (abs(angle) < 0.7)
    frames = np.where(fan[..., None], np.random.default_rng(i).rayleigh(40, (96, 128, 6)), 0.0)
    frames[2:7, 2:40:2] = 100 + i  # burned-in text: bright, and the same in every frame
    image, mask = frames.clip(0, 255).astype(np.float32), np.repeat(fan[..., None], 6, axis=2).astype(np.uint8)
    sample: dict[str, Any] = {"label": i % 2, "patient_id": f"p{i // 2}", "split": "test", "use_mask": False}
    for key, array in (("image", image), ("mask", mask)):
        pixels = torch.from_numpy(np.ascontiguousarray(array[None] if kind == "clip" else array[None, ..., 0]))
        sample[key] = MetaTensor(pixels, meta={"filename_or_obj": f"{key}{i}"})
    return sample


def make_folders(folder: Path) -> None:
    """A data set with a folder per class and its datalist, another in the layout of TMED-2, and a bundle."""
    (folder / "bundle" / "configs").mkdir(parents=True)
    items = []
    for label, view in enumerate(VIEWS):
        (folder / "classes" / view).mkdir(parents=True)
        for patient in range(10):
            file = folder / "classes" / view / f"p{patient}_0.npy"
            np.save(file, np.full((4, 4), patient, dtype=np.uint8))
            items.append({"image": str(file), "label": label, "patient_id": f"p{patient}"})
    save_datalist(folder / "classes", {"training": items, "test": [dict(i, patient_id="q") for i in items]}, VIEWS, "")
    for part in ("images", "masks"):
        (folder / "tmed" / part).mkdir(parents=True)
        for number in range(10):
            for view in VIEWS:
                np.save(folder / "tmed" / part / f"{number:04d}_{view}.npy", np.ones((4, 4), dtype=np.uint8))


def call_values(folder: Path, kind: str = "still") -> dict[str, Any]:
    """Arguments of functions and of ``__call__``, ``forward`` and the like."""
    sample, donor = make_samples(kind, 2)
    probabilities = np.random.default_rng(0).dirichlet([1, 1], 24)
    items = [{"image": f"{i}.png", "mask": f"m{i}.png", "label": i % 2, "patient_id": f"p{i // 3}"} for i in range(60)]
    label = torch.tensor([0, 1])
    run = {"test": {"metrics": {"accuracy": [0.9, 0.85, 0.95]}}}
    return {
        "background": donor["image"],
        "bundle": str(folder / "bundle"),
        "batchdata": {"image": _IMAGE, "label": label, "mask": _MASK, "use_mask": label == 1, "weight": torch.ones(2)},
        "class_names": VIEWS,
        "curves": {"Mixup": {"input": [0.2, 0.3, 0.2]}, "Flow-Mixup": {"input": [[0.2, 0.4, 0.3], [0.3, 0.3, 0.4]]}},
        "cuts": [0.1, 2.5],
        "data": sample,
        "datalist": str(folder / "classes"),
        "dataset_dir": str(folder / "classes"),
        "decay": 0.9,
        "description": "two views",
        "directory": str(folder / "classes"),
        "donor_image": donor["image"],
        "donor_img": donor["image"],
        "donor_mask": donor["mask"],
        "features": _FEATURES,
        "filename": CLIP_FILE,
        "first": [0.9, 0.8, 0.95, 0.7],
        "fraction": 0.3,
        "groups": [f"p{i // 2}" for i in range(24)],
        "has_mask": True,
        "heatmap": _HEATMAP,
        "image": sample["image"],
        "image_dir": str(folder / "tmed" / "images"),
        "image_shape": sample["image"].shape,
        "img": sample["image"],
        "inputs": torch.arange(2 * 64 * 5.0).reshape(2, 1, 8, 8, 5),
        "label": sample["label"],
        "iterations": [0, 50, 100],
        "items": [{**item, "use_mask": True} for item in items],
        "labels": np.arange(24) % 2,
        "loader": [{"image": _FEATURES[:20]}, {"image": _FEATURES[20:]}],
        "logits": torch.tensor([[1.0, 2.0], [0.5, -1.0]]),
        "mask": sample["mask"],
        "mask_dir": str(folder / "tmed" / "masks"),
        "mask_fraction": 0.25,
        "matrices": {"test": [[8, 2], [1, 9]]},
        "n_clusters": 8,
        "n_resamples": 20,
        "network": torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten()),  # four logits
        "out": str(folder / "out"),
        "overwrite": True,
        "path": str(folder / "classes"),
        "patient_regex": "^(p[0-9]+)_",
        "pred": torch.tensor([[1.0, 2.0], [0.5, -1.0]]),
        "predictions": np.arange(24) % 3 % 2,
        "probabilities": probabilities,
        "progress": False,
        "relevance": _HEATMAP,
        "results": {"baseline": [run], "BackMix": [run]},
        "rows": torch.tensor([1]),
        "second": [0.8, 0.85, 0.75, 0.65],
        "section": "training",
        "sections": {"training": make_items(folder, 0), "test": make_items(folder, 5)},
        "seed": 0,
        "splits": {name: [{"image": _IMAGE, "label": label}] for name in ("same", "reversed")},
        "strength": 1.0,
        "target": label,
        "titles": VIEWS,
        "values": _HEATMAP.abs(),
        "x": _IMAGE,
    }


def make_items(folder: Path, first: int) -> list[dict[str, Any]]:
    """Items of the classes of :func:`make_folders`: five patients from the given one."""
    return [
        {"image": str(folder / "classes" / view / f"p{p}_0.npy"), "label": label, "patient_id": f"p{p}"}
        for label, view in enumerate(VIEWS)
        for p in range(first, first + 5)
    ]
