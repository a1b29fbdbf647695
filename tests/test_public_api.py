# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What every public class and function of monai_debias owes its user; see public_objects.py for the example values."""

from __future__ import annotations

import copy
import doctest
import importlib
import inspect
import io
import itertools
import pickle
import random
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from matplotlib.figure import Figure
from monai.config import PathLike
from monai.data import ImageReader, MetaTensor
from monai.inferers import Inferer
from monai.transforms import MapTransform, Randomizable, Transform
from monai.utils import TransformBackends, ensure_tuple
from public_objects import (
    BAD_CALL,
    BAD_CONSTRUCTOR,
    CLIP_FILE,
    SPECIAL,
    bad_arguments,
    build,
    call_values,
    choose,
    configs,
    make_folders,
    make_samples,
    modules,
    parameters,
    parse,
    public_objects,
)
from torch.nn.modules.loss import _Loss

pytestmark = [  # the example values are small and simple, and the parts say so
    pytest.mark.filterwarnings("ignore:.*is taken as the patient"),
    pytest.mark.filterwarnings("ignore:the ultrasound sector was found in a still"),
    pytest.mark.filterwarnings("ignore:an ultrasound region reaches to"),
]

# dictionary transforms that have no array version: they decide about the keys of a sample
NO_ARRAY_VERSION = {"KeepMaskd", "BackMixWeightd"}
# dictionary transforms that are meant for samples without the key, too
NO_KEY_NEEDED = {"BackMixWeightd"}

OBJECTS = public_objects()
CLASSES = {path: value for path, value in OBJECTS.items() if inspect.isclass(value)}
FUNCTIONS = {path: value for path, value in OBJECTS.items() if not inspect.isclass(value)}
TRANSFORMS = {path: value for path, value in CLASSES.items() if issubclass(value, Transform)}
DICTIONARY = {path: value for path, value in TRANSFORMS.items() if "data" in parameters(value.__call__)}
TWINS = {path: OBJECTS[path[:-1]] for path in DICTIONARY if path[:-1] in OBJECTS}


def each(objects: Mapping[str, Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", sorted(objects), ids=lambda path: path.removeprefix("monai_debias."))


def entry(thing: Any) -> Callable:
    """What does the work of a function or of an instance of a class, and takes the arguments."""
    if isinstance(thing, torch.nn.Module):
        return thing.forward
    return thing if inspect.isfunction(thing) else type(thing).__call__.__get__(thing)


def use(thing: Any, folder: Path, kind: str = "still", **changes: Any) -> Any:
    """Do with an object what MONAI does with its kind; returns what came out, in a form that can be compared."""
    if isinstance(thing, ImageReader):
        return content(thing.get_data(thing.read(CLIP_FILE)))
    if hasattr(thing, "attach"):  # a handler
        engine = Engine(lambda engine, batch: [{"pred": torch.tensor([0.25, 0.75])} for _ in batch])
        thing.attach(engine)
        state = engine.run([make_samples("still", 6)], max_epochs=1)
        names = sorted(file.name for file in folder.iterdir())
        assert names, "the handler wrote nothing"
        return names, state.epoch
    values = {**call_values(folder, kind), **changes}
    if loads_files(thing):
        values["data"] = {**values["data"], "image": CLIP_FILE}
    return content(thing(**choose(entry(thing), values)))


def loads_files(thing: Any) -> bool:
    """Whether a dictionary transform finds file names under its keys."""
    twin = TWINS.get(f"{type(thing).__module__.rsplit('.', 1)[0]}.{type(thing).__name__}")
    return inspect.isclass(twin) and "filename" in parameters(twin.__call__)


def content(value: Any) -> Any:
    """Plain Python that equals another's if all values, types of elements and shapes are the same; files are read."""
    if isinstance(value, torch.Tensor | np.ndarray):
        array = np.asarray(value.detach() if isinstance(value, torch.Tensor) else value)
        return str(array.dtype), array.shape, array.tobytes()
    if isinstance(value, Mapping):
        return {key: content(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [content(item) for item in value]
    if isinstance(value, Figure):
        value.savefig(picture := io.BytesIO(), format="png")
        return picture.getvalue()
    if isinstance(value, PathLike) and str(value) != CLIP_FILE and Path(value).is_file():
        return Path(value).read_bytes()
    if isinstance(value, PathLike) and Path(value).is_dir():
        return {str(file.relative_to(value)): content(file) for file in Path(value).rglob("*") if file.is_file()}
    return "NaN" if value != value else value  # NaN does not equal itself


def seeded(thing: Any, seed: int) -> Any:
    return thing.set_random_state(seed) if isinstance(thing, Randomizable) else thing


def global_state() -> Any:
    return random.getstate(), content(list(np.random.get_state())), content(torch.get_rng_state())  # noqa: NPY002


def spoil_global_state(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


def test_discovery_finds_the_package():
    assert {"monai_debias.transforms.RandBackMixd", "monai_debias.transforms.backmix"} <= OBJECTS.keys()
    assert {path.split(".")[1] for path in OBJECTS} >= {"data", "demo", "handlers", "inferers", "losses", "transforms"}


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.__name__)
def test_every_part_of_monai_is_exported_by_its_sub_package(module):
    for name in getattr(module, "__all__", []):
        value = getattr(module, name)
        is_part = inspect.isclass(value) and (
            issubclass(value, Transform | _Loss | Inferer | ImageReader) or hasattr(value, "attach")
        )
        if is_part:
            package = importlib.import_module(".".join(value.__module__.split(".")[:2]))
            assert getattr(package, name) is value, f"{name} of {module.__name__} is not exported by {package.__name__}"


def section(doc: str, title: str) -> str:
    """The text below ``title:`` in a Google-style docstring."""
    found = re.search(rf"^{title}:\n((?:[ \t]+.*\n|\n)*)", inspect.cleandoc(doc) + "\n", flags=re.MULTILINE)
    return found[1] if found else ""


def call_doc(value: Any) -> str:
    method = getattr(value, "forward", None) or value.__call__
    return (method.__doc__ or "") if inspect.isclass(value) else ""


@each(OBJECTS)
def test_docstring(path):
    value = OBJECTS[path]
    doc = value.__doc__ or ""
    documented = section(doc, "Args")
    missing = [name for name in parameters(value) if not re.search(rf"^\s+{name}: \S", documented, flags=re.MULTILINE)]
    assert not missing, f"Args: of the docstring lacks {missing}"
    assert re.search(r"^\s+\w+(Error|Exception): \S", section(doc, "Raises"), flags=re.MULTILINE), "no Raises:"
    assert ">>> " in section(doc, "Example"), "no Example: that runs"
    if inspect.isfunction(value) and value.__annotations__.get("return") not in (None, "None"):
        assert section(doc, "Returns").strip(), "no Returns:"


@each({p: v for p, v in OBJECTS.items() if p.split(".")[1] in ("transforms", "losses", "inferers", "metrics")})
def test_docstring_tells_shapes(path):
    """In words, or as (B, K), (N,), (1, rows, columns), (C, spatial...); a dictionary version may refer to its twin."""
    value = OBJECTS[path]
    text = (value.__doc__ or "") + call_doc(value)
    twin = TWINS.get(path)
    if twin is not None and f"`{twin.__name__}`" in text:
        text += (twin.__doc__ or "") + call_doc(twin)
    takes_arrays = path != "monai_debias.transforms.backmix_weight"  # numbers only
    assert not takes_arrays or re.search(r"\bshapes?\b|\([BCNHWK1], ?[\w. ]*", text), "no shape is named"


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.__name__)
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
        results = [[use(thing, tmp_path) for _ in range(3)] for thing in (first, second)]
        assert results[0] == results[1]


@each(FUNCTIONS)
def test_function_in_a_config(path):
    function = FUNCTIONS[path]
    assert pickle.loads(pickle.dumps(function)) is function  # noqa: S301
    assert parse({"_target_": path, "_mode_": "callable"}) is function


@each(FUNCTIONS)
def test_function_depends_on_its_arguments_only(path, tmp_path):
    function, folder = FUNCTIONS[path], tmp_path / "f"

    def result(seed: int) -> Any:
        shutil.rmtree(folder, ignore_errors=True)
        make_folders(folder)
        return use(function, folder, seed=seed)

    spoil_global_state(1)
    first = result(0)
    spoil_global_state(2)
    before = global_state()
    assert result(0) == first
    assert global_state() == before, "it draws from a global random state"
    if "seed" in parameters(function) and "seed" not in SPECIAL.get(function.__name__, {}):
        assert any(result(seed) != first for seed in range(1, 5)), "the seed changes nothing"


@each(TRANSFORMS)
def test_transform_draws_from_its_own_random_state_only(path, tmp_path):
    cls = TRANSFORMS[path]
    seed_matters = False
    for kind, config in itertools.product(("still", "clip"), configs(cls, tmp_path)):

        def results(seed: int, kind: str = kind, config: dict = config) -> list:
            transform = seeded(build(cls, config, make_samples(kind, 8)), seed)
            return [use(transform, tmp_path, kind) for _ in range(4)]

        spoil_global_state(1)
        first = results(0)
        spoil_global_state(2)
        before = global_state()
        assert results(0) == first, f"{config}, {kind}: the same seed gave another result"
        assert global_state() == before, f"{config}, {kind}: it draws from a global random state"
        if issubclass(cls, Randomizable):
            seed_matters |= any(results(seed) != first for seed in range(1, 5))
    assert seed_matters == issubclass(cls, Randomizable), "every seed gave the same result"


@each(TRANSFORMS)
def test_backend(path):
    backend = TRANSFORMS[path].backend
    assert backend
    assert all(isinstance(b, TransformBackends) for b in backend)


@each(DICTIONARY)
def test_aliases_and_array_version(path):
    cls = DICTIONARY[path]
    package = importlib.import_module(path.rsplit(".", 1)[0])
    module = importlib.import_module(cls.__module__)
    name = cls.__name__
    assert name.endswith("d")
    for alias in (f"{name[:-1]}D", f"{name[:-1]}Dict"):
        assert getattr(package, alias, None) is cls, f"{alias} is missing from {package.__name__}"
        assert alias in module.__all__
    if name not in NO_ARRAY_VERSION:
        assert issubclass(TWINS[path], Transform), f"{name} has no array version"
        assert issubclass(cls, MapTransform)


@each({path: value for path, value in TRANSFORMS.items() if path not in DICTIONARY})
def test_dictionary_version_exists(path):
    assert f"{path}d" in DICTIONARY


@each(DICTIONARY)
@pytest.mark.parametrize("kind", ["still", "clip"])
def test_input_is_not_modified(path, kind, tmp_path):
    cls = DICTIONARY[path]
    for config in configs(cls, tmp_path):
        donors = make_samples(kind, 6)
        transform, sample = seeded(build(cls, config, donors), 0), make_samples(kind, 1)[0]
        if loads_files(transform):
            sample["image"] = CLIP_FILE
        before, donors_before = content(copy.deepcopy(sample)), content(copy.deepcopy(donors))
        metas = {key: copy.deepcopy(value.meta) for key, value in sample.items() if isinstance(value, MetaTensor)}
        assert transform(sample) is not sample
        assert content(sample) == before
        assert content(donors) == donors_before
        for key, meta in metas.items():
            assert content(sample[key].meta) == content(meta)


@each(DICTIONARY)
def test_missing_key(path, tmp_path):
    cls = DICTIONARY[path]
    config = configs(cls, tmp_path)[0]
    sample = {"label": 0}
    if cls.__name__ in NO_KEY_NEEDED:
        assert build(cls, config)(sample)["label"] == 0
        return
    names = [config[key] for key in config if key.endswith(("keys", "_key"))]
    needed = "|".join(f"['`]{name}['`]" for key in names for name in ensure_tuple(key))
    with pytest.raises(KeyError, match=needed):
        build(cls, config)(sample)
    if "allow_missing_keys" in parameters(cls):
        assert build(cls, {**config, "allow_missing_keys": True})(sample) == sample


@each(TWINS)
@pytest.mark.parametrize("kind", ["still", "clip"])
def test_array_and_dictionary_version_agree(path, kind, tmp_path):
    sample, donor = make_samples(kind, 2)
    array_configs = configs(TWINS[path], tmp_path)
    for i, config in enumerate(configs(DICTIONARY[path], tmp_path)):
        dictionary = seeded(build(DICTIONARY[path], config, [donor]), 0)
        array = seeded(build(TWINS[path], array_configs[i]), 0)
        if loads_files(dictionary):
            sample["image"] = CLIP_FILE
        for _ in range(3):
            result = dictionary(dict(sample))
            changed = [result[key] for key in result if result[key] is not sample.get(key)]
            assert len(changed) <= 1
            one = (changed or [sample["image"]])[0]
            other = array(**choose(array.__call__, call_values(tmp_path, kind)))
            assert content(one) == content(other), config


@each(TRANSFORMS)
@pytest.mark.parametrize("kind", ["still", "clip"])
def test_arrays_tensors_and_metatensors(path, kind, tmp_path):
    """All give the same values, and a MetaTensor keeps its meta data."""
    cls = TRANSFORMS[path]

    def convert(value: Any, to: type) -> Any:
        if isinstance(value, dict):
            return {key: convert(item, to) for key, item in value.items()}
        if not isinstance(value, MetaTensor) or to is MetaTensor:
            return value
        return value.numpy() if to is np.ndarray else value.as_tensor()

    for config in configs(cls, tmp_path):
        values = call_values(tmp_path, kind)
        outputs = {}
        for to in (MetaTensor, torch.Tensor, np.ndarray):
            transform = seeded(build(cls, config, make_samples(kind, 8)), 0)
            arguments = choose(transform.__call__, {name: convert(value, to) for name, value in values.items()})
            if loads_files(transform):
                arguments["data"]["image"] = CLIP_FILE
            outputs[to] = transform(**arguments)
        expected = content(outputs[MetaTensor])
        assert content(outputs[torch.Tensor]) == expected, config
        assert content(outputs[np.ndarray]) == expected, config
        for result in outputs[MetaTensor].values() if path in DICTIONARY else [outputs[MetaTensor]]:
            if isinstance(result, torch.Tensor) and result.ndim > 1:
                assert isinstance(result, MetaTensor)
                assert result.meta["filename_or_obj"] in ("image0", "mask0", CLIP_FILE)


def assert_clear(call: Callable, what: str) -> None:
    """The call must raise one of the usual exceptions with a message that is a sentence."""
    errors = (ValueError, TypeError, KeyError, FileNotFoundError, FileExistsError)
    try:
        with pytest.raises(errors) as caught:
            call()
    except pytest.fail.Exception:
        pytest.fail(f"{what} was accepted")
    assert len(str(caught.value).split()) > 3, f"{what}: the message is not clear: {caught.value!r}"


@each(OBJECTS)
def test_bad_input(path, tmp_path):
    """Whatever tests/public_objects.py knows to be wrong for the parameters of a function or class is refused."""
    value, tried = OBJECTS[path], 0
    promises_nan = "NaN" in (value.__doc__ or "") + call_doc(value)
    make_folders(tmp_path / "f")
    calls: list[tuple[str, Any, Callable]] = []
    values = call_values(tmp_path / "f")
    if inspect.isclass(value):
        config = configs(value, tmp_path)[0]
        for name, bad in bad_arguments(value, BAD_CONSTRUCTOR):
            arguments = parse({**config, name: bad})
            calls.append((name, bad, lambda arguments=arguments: value(**arguments)))
        thing = build(value, config)
        if not (isinstance(thing, ImageReader) or hasattr(thing, "attach")):
            function = entry(thing)
            good = choose(function, values)
            for name, bad in bad_arguments(function, BAD_CALL):
                calls.append((name, bad, lambda name=name, bad=bad: function(**{**good, name: bad})))
        if path in TWINS and not loads_files(thing):
            twin_call = TWINS[path].__call__
            for name, key in (("img", "image"), ("mask", "mask")):
                for bad in BAD_CALL[name] if name in parameters(twin_call) else []:
                    sample = {**values["data"], key: bad}
                    calls.append((key, bad, lambda sample=sample: thing(sample)))
        elif path in TWINS:
            calls.append(("image", "no such file", lambda: thing({"image": "no/such/file"})))
        elif path in DICTIONARY and value.__name__ not in NO_KEY_NEEDED:
            calls.append(("data", {}, lambda: thing({})))
    else:
        good = choose(value, values)
        calls += [(n, b, lambda n=n, b=b: value(**{**good, n: b})) for n, b in bad_arguments(value, BAD_CALL)]
    for name, bad, call in calls:
        is_nan = isinstance(bad, torch.Tensor) and bool(bad.isnan().any())
        if not is_nan or promises_nan:
            assert_clear(call, f"{name}={bad!r:.80}")
            tried += 1
    assert tried, f"nothing bad is known for the parameters of {path}: add a value to BAD_… in tests/public_objects.py"
