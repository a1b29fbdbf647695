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
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from pydicom.data import get_testdata_file

import monai_debias
from monai_debias.data import save_datalist

CLIP_FILE = str(get_testdata_file("examples_ybr_color.dcm"))
VIEWS = ["A2C", "A4C"]

# arguments whose name means something else in most places, whose default takes a minute, or that play no part here
SPECIAL: dict[str, dict[str, Any]] = {
    "UltrasoundSectorMaskd": {"mask_key": ["sector"]},  # it writes a mask, and leaves a sample that has one as it is
    "build_tmed2_datalist": {"out": None},  # an existing folder, elsewhere one to create
    "build_echo_cohort": {"patients": [1, 1, 1], "frames": 1, "workers": 1},
    "echo_demo_cohort": {"bias": 0.95, "seed": 0},  # the directory of the example has a cohort already
    "save_datalist": {"labels": VIEWS},
}


def packages() -> list[ModuleType]:
    """The sub-packages of monai_debias."""
    names = [info.name for info in pkgutil.iter_modules(monai_debias.__path__) if info.ispkg]
    return [importlib.import_module(f"monai_debias.{name}") for name in names]


def modules() -> list[ModuleType]:
    """All modules of monai_debias."""
    found = pkgutil.walk_packages(monai_debias.__path__, "monai_debias.")
    return [importlib.import_module(info.name) for info in found if not info.name.endswith("__main__")]


def public_objects() -> dict[str, Any]:
    """What ``from monai_debias.<package> import *`` gives, by its dotted path; an alias counts once."""
    found = {}
    for package in packages():
        for name in getattr(package, "__all__", None) or [n for n in vars(package) if not n.startswith("_")]:
            value = getattr(package, name)
            is_warning = isinstance(value, type) and issubclass(value, BaseException)
            if (
                isinstance(value, type | FunctionType)
                and value.__module__.startswith("monai_debias.")
                and not is_warning
            ):
                found[f"{package.__name__}.{value.__name__}"] = value
    return found


def parameters(function: Callable) -> dict[str, inspect.Parameter]:
    """Named parameters of a function, or of a class's constructor."""
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {n: p for n, p in inspect.signature(function).parameters.items() if p.kind not in variadic and n != "self"}


def choose(function: Callable, table: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a function that the table knows; it must know the required ones."""
    table = {**table, **SPECIAL.get(function.__name__, {})}
    known = {}
    for name, parameter in parameters(function).items():
        if name in table:
            known[name] = table[name]
        elif parameter.default is inspect.Parameter.empty:
            raise AssertionError(
                f"{function.__qualname__} needs {name!r}, which tests/public_objects.py has no example for: add one."
            )
    return known


def configs(cls: type, folder: Path) -> list[dict[str, Any]]:
    """JSON configs that construct a class: the i-th takes the i-th of the alternatives of each parameter."""
    alternatives = {
        "background": ["donor", "noise", "shuffle", "black", "dim"],
        "ckpt_dir": [str(folder)],
        "class_names": [VIEWS],
        "color": ["grey", "rgb"],
        "donors": ["$donors"],
        "flag_key": ["use_mask"],
        "frame": ["middle", "first", -1],
        "frame_batch_size": [3],
        "frames": [1],
        "keys": [["image"]],
        "loss": [{"_target_": "torch.nn.CrossEntropyLoss", "reduction": "none"}],
        "mask_fraction": [0.25],
        "mask_key": ["mask"],
        "n_resamples": [20],
        "objects": [{"network": {"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 2}}],
        "output_dir": [str(folder)],
        "overwrite": [True],
        "prob": [1.0, 0.5],
        "reduction": ["mean", "sum", "none"],
        "source": ["auto", "still"],
        "target_keys": [["label", "weight"]],
    }
    chosen = choose(cls, alternatives)
    rounds = max((len(values) for values in chosen.values()), default=1)
    return [{name: values[i % len(values)] for name, values in chosen.items()} for i in range(rounds)]


def parse(config: Mapping[str, Any], donors: Sequence[dict] = ()) -> Any:
    """Read a config as a bundle does, after a journey through JSON; it may refer to the donors as ``$donors``."""
    text = json.dumps({"object": config})
    parser = ConfigParser(json.loads(text), globals={"donors": donors or make_samples("still", 8)})
    return parser.get_parsed_content("object")


def build(cls: type, config: Mapping[str, Any], donors: Sequence[dict] = ()) -> Any:
    """Construct an object from a bundle config."""
    path = next(path for path, value in public_objects().items() if value is cls)
    return parse({"_target_": path, **config}, donors)


def make_samples(kind: str, n: int) -> list[dict[str, Any]]:
    """Small ultrasound: a fan of moving speckle below a line of still text, a mask of the fan, a label, …

    Args:
        kind: ``"still"``, image and mask (1, 96, 128); or ``"clip"``, both (1, 96, 128, 6).
        n: how many.
    """
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
    """A data set with a folder per class and its datalist, and another in the layout of TMED-2."""
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
    run = {"test": {"metrics": {"accuracy": [0.9, 0.85, 0.95]}}}
    return {
        "background": donor["image"],
        "batchdata": {"image": torch.ones(2, 1, 8, 8), "label": torch.tensor([0, 1]), "weight": torch.ones(2)},
        "class_names": VIEWS,
        "data": sample,
        "dataset_dir": str(folder / "classes"),
        "description": "two views",
        "directory": str(folder / "classes"),
        "donor_image": donor["image"],
        "donor_img": donor["image"],
        "donor_mask": donor["mask"],
        "filename": CLIP_FILE,
        "fraction": 0.3,
        "groups": [f"p{i // 2}" for i in range(24)],
        "has_mask": True,
        "image": sample["image"],
        "image_dir": str(folder / "tmed" / "images"),
        "image_shape": sample["image"].shape,
        "img": sample["image"],
        "inputs": torch.arange(2 * 64 * 5.0).reshape(2, 1, 8, 8, 5),
        "items": [{**item, "use_mask": True} for item in items],
        "labels": np.arange(24) % 2,
        "mask": sample["mask"],
        "mask_dir": str(folder / "tmed" / "masks"),
        "mask_fraction": 0.25,
        "matrices": {"test": [[8, 2], [1, 9]]},
        "n_resamples": 20,
        "network": torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten()),  # four logits
        "out": str(folder / "out"),
        "overwrite": True,
        "path": str(folder / "classes"),
        "patient_regex": "^(p[0-9]+)_",
        "pred": torch.tensor([[1.0, 2.0], [0.5, -1.0]]),
        "probabilities": probabilities,
        "progress": False,
        "results": {"baseline": [run], "BackMix": [run]},
        "section": "training",
        "sections": {"training": make_items(folder, 0), "test": make_items(folder, 5)},
        "seed": 0,
        "strength": 1.0,
        "target": {"label": torch.tensor([0, 1]), "weight": torch.tensor([0.5, 1.5])},
    }


def make_items(folder: Path, first: int) -> list[dict[str, Any]]:
    """Items of the classes of :func:`make_folders`: five patients from the given one."""
    return [
        {"image": str(folder / "classes" / view / f"p{p}_0.npy"), "label": label, "patient_id": f"p{p}"}
        for label, view in enumerate(VIEWS)
        for p in range(first, first + 5)
    ]


# What must be refused. A wrong shape is one that no image, mask or batch has.
_WRONG_SHAPE = torch.zeros(5)
_NAN = torch.full((1, 96, 128), float("nan"))
_NO_FILE = "no/such/file"

BAD_CONSTRUCTOR: dict[str, list[Any]] = {
    "background": ["blur"],
    "class_names": [["one"]],
    "color": ["blue"],
    "confidence": [0.0, 1.5],
    "donors": [[]],
    "frame": ["last", 0.5],
    "frame_batch_size": [0],
    "frames": ["some", 0.5],
    "keys": [[]],
    "loss": [{"_target_": "torch.nn.CrossEntropyLoss"}],
    "mask_fraction": [-0.1, 0.0, 1.5],
    "n_resamples": [0],
    "noise_range": [[1.0, 0.0], [0.0]],
    "objects": [{}],
    "prob": [-0.1, 1.5],
    "reduction": ["median"],
    "source": ["guess"],
    "strength": [-1.0, 100.0],
    "target_keys": [[]],
}
BAD_CALL: dict[str, list[Any]] = {
    "background": [_WRONG_SHAPE],
    "batchdata": [{}],
    "bias": [0.0, 1.5],
    "class_names": [["one"]],
    "confidence": [0.0, 1.5],
    "dataset_dir": [_NO_FILE],
    "directory": [CLIP_FILE],
    "donor_image": [_WRONG_SHAPE, _NAN],
    "donor_img": [_WRONG_SHAPE, _NAN],
    "donor_mask": [_WRONG_SHAPE, torch.zeros(1, 96, 128), torch.full((1, 96, 128), 0.5), _NAN],
    "filename": [_NO_FILE],
    "fraction": [0.0, 1.5],
    "groups": [["p1"]],
    "image": [_WRONG_SHAPE, _NAN],
    "image_dir": [_NO_FILE],
    "image_shape": [(1, 4)],
    "img": [_WRONG_SHAPE, _NAN],
    "inputs": [_WRONG_SHAPE],
    "items": [[]],
    "labels": [[0, 1], np.zeros(24, dtype=int)],
    "mask": [_WRONG_SHAPE, torch.zeros(1, 96, 128), torch.full((1, 96, 128), 0.5), _NAN],
    "mask_dir": [_NO_FILE],
    "mask_fraction": [-0.1, 0.0, 1.5],
    "matrices": [{}, {"test": [[1, 2, 3]]}],
    "n_resamples": [0],
    "path": [_NO_FILE],
    "probabilities": [np.full((24, 2), np.nan), np.zeros(24)],
    "results": [{}],
    "section": ["no such section"],
    "sections": [{"training": [{"image": "a.png"}]}],
    "strength": [-1.0, 100.0],
    "target": [{}, torch.zeros(2)],
}


def bad_arguments(function: Callable, table: Mapping[str, list[Any]]) -> Iterator[tuple[str, Any]]:
    """Each parameter of a function with each value that must be refused."""
    special = SPECIAL.get(function.__name__, {})
    for name in parameters(function):
        for value in table.get(name, []) if name not in special else []:
            yield name, value
