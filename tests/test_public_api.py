# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What every public class and function of monai_debias promises its user, by the examples of its own test file."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pickle
import re
import shutil
from types import ModuleType
from typing import Any

import pytest
from monai.data import ImageReader
from monai.inferers import Inferer
from monai.transforms import Transform
from torch.nn.modules.loss import _Loss

from tests.public_objects import build, configs, example, modules, packages, parameters, parse
from tests.public_use import (
    CLASSES,
    EXCEPTIONS,
    EXPECTED_WARNINGS,
    FUNCTIONS,
    OBJECTS,
    TWINS,
    each,
    global_state,
    is_handler,
    seeded,
    spoil_global_state,
    train,
    use,
)

pytestmark = EXPECTED_WARNINGS


def test_discovery_finds_the_package():
    assert {"monai_debias.transforms.RandBackMixd", "monai_debias.transforms.backmix"} <= OBJECTS.keys()
    assert {path.rpartition(".")[0] for path in OBJECTS} == {package.__name__ for package in packages()}
    assert "monai_debias.relevance.UncoveredOperationError" in EXCEPTIONS


PARTS_OF_BUNDLES = {"DiceReport", "Untracked"}  # whose configs name the module


def test_every_part_of_monai_is_exported_by_its_sub_package():
    missing = []
    for module in modules():
        for name in set(getattr(module, "__all__", [])) - PARTS_OF_BUNDLES:
            value = getattr(module, name)
            is_part = inspect.isclass(value) and (
                issubclass(value, Transform | _Loss | Inferer | ImageReader) or hasattr(value, "attach")
            )
            if is_part:
                depth = 3 if ".apps." in value.__module__ else 2
                package = importlib.import_module(".".join(value.__module__.split(".")[:depth]))
                missing += [] if getattr(package, name, None) is value else [f"{name} of {module.__name__}"]
    assert missing == []


def test_everything_has_an_example():
    for value in OBJECTS.values():
        assert example(value) or not parameters(value), value


def section(doc: str, title: str) -> str:
    """The text below ``title:`` in a Google-style docstring."""
    found = re.search(rf"^{title}:\n((?:[ \t]+.*\n|\n)*)", inspect.cleandoc(doc) + "\n", flags=re.MULTILINE)
    return found[1] if found else ""


def call_doc(value: Any) -> str:
    method = getattr(value, "forward", None) or value.__call__
    return (method.__doc__ or "") if inspect.isclass(value) else ""


def test_docstrings():
    assert {path: lacking for path, value in OBJECTS.items() if (lacking := lacks(value))} == {}


def lacks(value: Any) -> list[str]:
    """What the docstring of a public class or function does not have."""
    doc = value.__doc__ or ""
    documented = section(doc, "Args")
    lacking = [n for n in parameters(value) if not re.search(rf"^\s+{n}: \S", documented, flags=re.MULTILINE)]
    refuses = inspect.isclass(value) or parameters(value)  # a function without arguments has nothing to refuse
    if refuses and not re.search(r"^\s+\w+(Error|Exception): \S", section(doc, "Raises"), flags=re.MULTILINE):
        lacking.append("Raises:")
    if ">>> " not in section(doc, "Example"):
        lacking.append("an Example: that runs")
    returns = inspect.isfunction(value) and value.__annotations__.get("return") not in (None, "None")
    return lacking if not returns or section(doc, "Returns").strip() else [*lacking, "Returns:"]


@each(EXCEPTIONS)
def test_exception_can_be_raised_in_a_worker(path):
    """A DataLoader pickles the exception of a worker, or makes another with the message."""
    cls = EXCEPTIONS[path]
    assert cls.__doc__
    assert cls.__doc__ != cls.__base__.__doc__
    error = pickle.loads(pickle.dumps(cls("what happened")))  # noqa: S301
    assert type(error) is cls
    assert str(error) == "what happened"


WITH_SHAPES = ("apps", "transforms", "relevance", "losses", "inferers", "metrics")


def test_docstrings_tell_shapes():
    """In words, or as (B, K), (N,), (1, rows, columns), (C, spatial...); a dictionary version may refer to its twin."""
    with_shapes = {
        path: value
        for path, value in OBJECTS.items()
        if path.split(".")[1] in WITH_SHAPES and not path.endswith("_datalist")  # these take and give files only
    }
    del with_shapes["monai_debias.transforms.backmix_weight"]  # numbers only
    del with_shapes["monai_debias.apps.ecg.find_ecgs"]  # files only
    assert [path for path, value in with_shapes.items() if not tells_shapes(path, value)] == []


def tells_shapes(path: str, value: Any) -> bool:
    text = (value.__doc__ or "") + call_doc(value)
    twin = TWINS.get(path)
    if twin is not None and f"`{twin.__name__}`" in text:
        text += (twin.__doc__ or "") + call_doc(twin)
    return bool(re.search(r"\bshapes?\b|\([BCNHWK1], ?[\w. ]*", text))


def with_examples() -> list[ModuleType]:
    return [module for module in modules() if ">>> " in inspect.getsource(module)]


@pytest.mark.parametrize("module", with_examples(), ids=lambda module: module.__name__.removeprefix("monai_debias."))
def test_examples_run(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testmod(module, optionflags=options)
    assert result.failed == 0
    assert not list(tmp_path.iterdir()), "an example left files in the current directory; use tempfile"


@each(CLASSES)
def test_config_and_pickle(path, tmp_path):
    """Each config builds an instance; a pickled copy of it does the same as it."""
    cls = CLASSES[path]
    for config in configs(cls, tmp_path):
        first = seeded(build(cls, config), 0)
        assert type(first) is cls
        second = pickle.loads(pickle.dumps(first))  # noqa: S301
        assert type(second) is cls
        assert vars(second).keys() == vars(first).keys()
        times = 1 if is_handler(first) else 3  # a handler draws nothing
        results = [[use(thing, tmp_path) for _ in range(times)] for thing in (first, second)]
        assert results[0] == results[1]


GUARDS = {"FiniteLoss", "GuardSwapConsistency", "RequireMasks"}  # handlers that leave a sound training alone


@each({path: cls for path, cls in CLASSES.items() if is_handler(cls)})
def test_handler_does_something(path, tmp_path):
    handler = build(CLASSES[path], configs(CLASSES[path], tmp_path)[0])
    same = train(handler, tmp_path) == train(handler, tmp_path, attached=False)
    assert same == (CLASSES[path].__name__ in GUARDS)


def test_functions_in_a_config():
    for path, function in FUNCTIONS.items():
        assert pickle.loads(pickle.dumps(function)) is function  # noqa: S301
        assert parse({"_target_": path, "_mode_": "callable"}) is function


@each(FUNCTIONS)
def test_function_depends_on_its_arguments_only(path, tmp_path):
    function, folder = FUNCTIONS[path], tmp_path / "f"

    def result(seed: int) -> Any:
        shutil.rmtree(folder, ignore_errors=True)
        return use(function, folder, **({"seed": seed} if "seed" in parameters(function) else {}))

    spoil_global_state(1)
    first = result(0)
    spoil_global_state(2)
    before = global_state()
    assert result(0) == first
    assert global_state() == before, "it draws from a global random state"
    if "seed" in parameters(function) and not function.__name__.endswith("_demo_cohort"):  # which finds one
        assert any(result(seed) != first for seed in range(1, 5)), "the seed changes nothing"
