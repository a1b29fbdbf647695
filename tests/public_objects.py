# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Every public class and function of the package, and the examples that its test file declares for it.

``EXAMPLES`` in ``tests/losses/test_isnet.py`` has an entry for each public object of ``monai_debias/losses/isnet.py``:
for a class a list of configs, which are arguments of its constructor, and for what is called (a function, or a class's
``__call__``, ``forward`` or ``read``) its arguments, or a function that makes them in a new folder.

    EXAMPLES = {
        ISNetLRPLoss: [{"cuts": [0.1, 2.5]}, {"reduction": "sum"}],
        ISNetLRPLoss.forward: {"pred": attach(torch.zeros(2, 2), heatmap=HEATMAP), "label": torch.tensor([0, 1])},
    }

In a config ``"$folder"`` is a folder and ``"$donors"`` are samples. Transforms are called with parts of a sample, by
the names of their parameters, and handlers take part in a training: both need their configs only.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from monai.bundle import ConfigParser

import monai_debias
from tests.samples import make_samples

ROOT = Path(__file__).resolve().parents[1]


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


def example(value: Any, called: Callable | None = None) -> Any:
    """What the test file of a public class or function declares for it, or for a method of the class."""
    package, _, module = value.__module__.rpartition(".")
    name = f"{package.replace('monai_debias', 'tests', 1)}.test_{module}"
    file, what = f"{name.replace('.', '/')}.py", called or value
    found = getattr(importlib.import_module(name), "EXAMPLES", {}) if (ROOT / file).exists() else {}
    assert what in found, f"{value.__module__}.{what.__qualname__} has no example: declare it in EXAMPLES of {file}"
    return found[what]


def configs(cls: type, folder: Path) -> list[dict[str, Any]]:
    """JSON configs that construct a class."""
    return json.loads(json.dumps(example(cls)).replace("$folder", str(folder)))


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
