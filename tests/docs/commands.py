# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The commands and options that a page shows, and whether they exist: parsed as their program would, and not run."""

from __future__ import annotations

import ast
import configparser
import contextlib
import functools
import importlib
import importlib.util
import inspect
import io
import json
import pydoc
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import fire
import monai.bundle.__main__
from monai.bundle import ComponentLocator, ConfigComponent, ConfigParser

from monai_debias.__main__ import COMMANDS
from monai_debias.overlays import NAMES
from tests.docs.guides import ROOT

BUNDLES = tuple(sorted(path.parents[1] for path in ROOT.glob("bundles/*/configs/metadata.json")))
OF_MONAI = dict(inspect.getmembers(monai.bundle.__main__, inspect.isfunction))
PROGRAMS = ("monai-debias", "python", "torchrun", "make", "pip")

_LOCATOR = ComponentLocator()
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)\n\1```$", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?<=\n\n)(?: {4}.*\n+)+")
_CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")


def commands(page: str) -> Iterator[list[str]]:
    """The words of each command of a page, in blocks and in the text, from the program on."""
    blocks = [body for _, language, body in _FENCE.findall(page) if language in ("", "bash", "dockerfile")]
    prose = _FENCE.sub("", page)
    shell = "\n".join([*blocks, *_INDENTED.findall(prose)]).replace("\\\n", " ")
    inline = "\n".join(" ".join(code.split()) for code in _CODE.findall(_INDENTED.sub("", prose)))
    for line in f"{shell}\n{inline}".replace(" && ", "\n").splitlines():
        with contextlib.suppress(ValueError):  # an apostrophe, in what a command prints
            words = shlex.split(line, comments=True)
            places = [n for n, word in enumerate(words) if word.rpartition("/")[2] in PROGRAMS]
            if places and (places[0] == 0 or words[0] in ("RUN", "srun", "docker")) and words[places[0] + 1 :]:
                yield [words[places[0]].rpartition("/")[2], *words[places[0] + 1 :]]


def options(page: str) -> set[str]:
    """The options that the text of a page names without their command."""
    codes = _CODE.findall(_INDENTED.sub("", _FENCE.sub("", page)))
    return {name for code in codes if code.startswith("--") for name in re.findall(r"(?:^| )--([\w#-]+)", code)}


def check_command(words: Sequence[str], bundles: Sequence[Path]) -> None:
    """Raise what is wrong with a command that is given in the folder of one of the bundles."""
    program, *rest = words
    if program == "make":
        _check_name(rest[0], re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    elif program == "pip":
        for name in re.findall(r"[\w-]+", " ".join(re.findall(r"\[(.+?)\]", " ".join(rest)))):
            _check_name(name, _extras())
    elif program == "monai-debias":
        parse(COMMANDS, rest)
    elif "-m" in rest:
        module, *rest = rest[rest.index("-m") + 1 :]
        if module == "monai_debias":
            parse(COMMANDS, rest)
        elif module == "monai.bundle":
            _check_configs(parse(OF_MONAI, rest), bundles)
        elif module.startswith("benchmarks"):
            parse(entry_point(module), rest)
        elif importlib.util.find_spec(module) is None:
            raise ValueError(f"there is no module {module}.")


def known_options(page: str, bundles: Sequence[Path]) -> set[str]:
    """Those of all commands and of the programs that the page names, and the top keys of the bundles' configs.

    So are those of other programs that a block of the page shows.
    """
    of_benchmarks = (words[2] for words in commands(page) if words[1] == "-m" and words[2].startswith("benchmarks"))
    functions = [*_functions(COMMANDS), *_functions(OF_MONAI)]
    functions += [one for module in of_benchmarks for one in _functions(entry_point(module))]
    known = {"debug", "help"}.union(*(inspect.signature(one).parameters for one in functions))
    known |= {
        key for bundle in bundles for path in bundle.glob("configs/*.json") for key in json.loads(path.read_text())
    }
    blocks = [*(body for _, _, body in _FENCE.findall(page)), *_INDENTED.findall(page)]
    return known | {name for block in blocks for name in re.findall(r" --([\w-]+)", block)}


def of_trainings(bundle: Path) -> list[ConfigParser]:
    """The config of a bundle's inference, and of its training plainly and with each of the overlays."""
    found = {path.stem: path for path in bundle.glob("configs/*.json")}
    train = [found[name] for name in ("train", "sockets") if name in found]
    configs = [merged(*train), *(merged(*train, found[name]) for name in NAMES if name in found)]
    return [*configs, *(merged(found[name]) for name in ("inference",) if name in found)]


def parse(component: Any, words: Sequence[str]) -> dict[str, Any]:
    """The arguments that Fire would call a function with; raises what Fire or a declaration of ``expects`` says."""
    group, rest = component, list(words)
    while rest and isinstance(group, Mapping) and rest[0] in group:
        group = group[rest.pop(0)]
    if not rest or "…" in rest:  # only named
        return {}
    called: list[tuple[Callable, dict[str, Any]]] = []

    def recording(one: Any) -> Any:
        if isinstance(one, Mapping):
            return {name: recording(part) for name, part in one.items()}

        @functools.wraps(one)
        def record(*args: Any, **kwargs: Any) -> None:
            called.append((one, inspect.signature(one).bind(*args, **kwargs).arguments))

        return record

    with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(io.StringIO()):
        try:
            fire.Fire(recording(component), command=list(words))
        except SystemExit as end:
            if end.code:
                raise ValueError(f"{words}: {said.getvalue()}") from end
    ((function, arguments),) = called
    for name, constraint in getattr(function, "_constraints", {}).items():
        if name in arguments:
            constraint.check(name, arguments[name])
    return arguments


def entry_point(module: str) -> Any:
    """What a program of the repository calls: what it gives to Fire, or its main function, which takes no words."""
    spec = importlib.util.find_spec(module)
    if spec is not None and spec.submodule_search_locations:
        spec = importlib.util.find_spec(f"{module}.__main__")
    if spec is None or spec.origin is None:
        raise ValueError(f"there is no module {module}.")
    *_, last = ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body
    match last:
        case ast.If(body=[ast.Expr(value=ast.Call(func=called, args=[*given]))]):
            source = ast.unparse(given[0] if ast.unparse(called) == "fire.Fire" else called)
            return eval(source, vars(importlib.import_module(spec.name)))  # of our own repository
    raise ValueError(f"{spec.origin} does not end with a call of its main function.")


def _check_configs(arguments: Mapping[str, Any], bundles: Sequence[Path]) -> None:
    """Raise what is wrong with the files and the keys of a command, if it is wrong in each of the bundles."""
    problems: list[str] = []
    for bundle in bundles:
        problem = _problem(arguments, bundle)
        if problem is None:
            return
        problems.append(problem)
    raise ValueError("; ".join(problems))


def _problem(arguments: Mapping[str, Any], bundle: Path) -> str | None:
    given = arguments.get("config_file", [])
    files = [given] if isinstance(given, str) else list(given)
    others = [str(arguments[name]) for name in ("meta_file", "logging_file") if arguments.get(name)]
    if missing := [name for name in (*files, *others) if not (bundle / name).is_file()]:
        return f"{bundle.name} has no {', '.join(missing)}"
    config = merged(*(bundle / name for name in files))
    unknown = [key for key in arguments.get("override", {}) if not has_key(config, key)]
    return f"{', '.join(files)} of {bundle.name} have no {', '.join(unknown)}" if unknown else None


def merged(*files: Path) -> ConfigParser:
    """Config files as MONAI reads several."""
    config = ConfigParser()
    config.read_config([str(file) for file in files])
    return config


def has_key(config: ConfigParser, key: str) -> bool:
    """Whether a config has the key, or the part that it belongs to has an argument of this name."""
    if key in config:
        return True
    part, _, name = key.rpartition("#")
    if not part or part not in config or "_target_" not in config[part]:
        return False
    target = pydoc.locate(str(ConfigComponent(config[part], locator=_LOCATOR).resolve_module_name()))
    parameters = inspect.signature(target).parameters
    return name in parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values())


def _check_name(name: str, known: Sequence[str] | Mapping[str, Any]) -> None:
    if name not in known:
        raise ValueError(f"there is no {name}, but {', '.join(known)}.")


def _extras() -> list[str]:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    return list(setup["options.extras_require"])


def _functions(component: Any) -> Iterator[Callable]:
    if isinstance(component, Mapping):
        for one in component.values():
            yield from _functions(one)
    else:
        yield component
