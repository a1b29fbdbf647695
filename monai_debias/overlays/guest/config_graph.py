# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The references in a bundle's config, read without building anything of it."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from monai.bundle import ConfigParser

from monai_debias.constraints import ANY, STRING, MappingOf
from monai_debias.parameters import expects

__all__ = ["ConfigGraph", "each_text", "target_of"]

_REFERENCE = re.compile(r"@(\w+(?:#\w+)*)")


class ConfigGraph:
    """A bundle's config as it is written: where a reference leads, and which elements make up a list.

    An id is a place in the config, such as ``"train#trainer#network"``. Macros (``"%train#postprocessing"``) and
    relative ids (``"@##loss"``) are resolved; nothing is instantiated and no expression is evaluated.

    Args:
        config: the content of the config files, merged.

    Example:
        >>> graph = ConfigGraph({"a": [1, 2], "b": ["@c", 4], "c": 3, "both": "$@a + @b", "alias": "@both"})
        >>> graph.follow("alias"), graph.elements("alias")
        ('both', ['a#0', 'a#1', 'c', 'b#1'])
        >>> [graph[place] for place in graph.elements("alias")]
        [1, 2, 3, 4]
    """

    @expects(config=MappingOf(ANY, key=STRING))
    def __init__(self, config: Mapping[str, Any]) -> None:
        self._written = dict(config)
        parser = ConfigParser(deepcopy(self._written))
        parser.resolve_macro_and_relative_ids()
        self._parser = ConfigParser(each_text(parser.get(), _with_hashes))

    def __getitem__(self, place: str) -> Any:
        """What is written at an id."""
        return self._parser[place]

    def __contains__(self, place: str) -> bool:
        """Whether anything is written at an id."""
        return place in self._parser

    def follow(self, place: str) -> str:
        """The id at the end of the chain of references that starts at ``place``: where its value is written."""
        seen = {place}
        while place in self and (reference := _only_reference(self[place])):
            if reference in seen:
                raise ValueError(f"{reference!r} refers to itself in the config; break the circle of references.")
            seen.add(reference)
            place = reference
        return place

    def reached(self, place: str) -> list[str]:
        """``place`` itself and all ids that it refers to, directly or through others, near ones first."""
        found = [place]
        for inner in found:
            texts = [text for _, text in _texts("", self[inner])] if inner in self else []
            for reference in (match[1] for text in texts for match in _REFERENCE.finditer(text)):
                if reference not in found:
                    found.append(reference)
        return found

    def mentions(self, inside: str) -> list[str]:
        """The ids of all texts that refer to a part of ``inside`` and are not in it themselves."""
        part = re.compile(rf"[@%]{re.escape(inside)}#")
        texts = ((place, ConfigParser.resolve_relative_ids(place, text)) for place, text in _texts("", self._written))
        return [p for p, text in texts if part.search(_with_hashes(text)) and not p.startswith(f"{inside}#")]

    def elements(self, place: str) -> list[str]:
        """The ids of the elements of a list, which may be a sum of lists, or a ``Compose``, which may be nested.

        Raises:
            ValueError: when it is an expression whose elements cannot be read from it.
        """
        place = self.follow(place)
        value = self[place]
        if target_of(value) == "Compose":
            return self.elements(f"{place}#transforms") if "transforms" in value else []
        if isinstance(value, list):
            return [found for i in range(len(value)) for found in self._element(f"{place}#{i}")]
        if isinstance(value, str) and value.startswith("$"):
            return self._terms(place, value)
        return self._element(place)

    def _element(self, place: str) -> list[str]:
        place = self.follow(place)
        return self.elements(place) if target_of(self[place]) == "Compose" else [place]

    def _terms(self, place: str, expression: str) -> list[str]:
        """The elements of ``"$@a + list(@b) + [@c]"``."""
        names: dict[str, str] = {}

        def as_name(reference: re.Match) -> str:
            names[f"_{len(names)}"] = reference[1]
            return f"_{len(names) - 1}"

        source = _REFERENCE.sub(as_name, expression[1:]).strip()
        try:
            return list(self._of_node(ast.parse(source, mode="eval").body, names))
        except (SyntaxError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"the elements of {place!r} cannot be read from {expression!r}: expected a list, or a sum of lists; "
                "write the list into the config."
            ) from error

    def _of_node(self, node: ast.expr, names: Mapping[str, str]) -> Iterator[str]:
        match node:
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                yield from self._of_node(left, names)
                yield from self._of_node(right, names)
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                for part in parts:
                    if not isinstance(part, ast.Name):
                        raise TypeError(type(part).__name__)
                    yield from self._element(names[part.id])
            case ast.Call(func=ast.Name(id="list" | "tuple"), args=[inner]):
                yield from self._of_node(inner, names)
            case ast.Attribute(value=inner, attr="transforms"):
                yield from self._of_node(inner, names)
            case ast.Subscript(value=inner, slice=ast.Slice() as part):
                first, last, step = (
                    None if end is None else ast.literal_eval(end) for end in (part.lower, part.upper, part.step)
                )
                yield from list(self._of_node(inner, names))[first:last:step]
            case ast.Name(id=name):
                yield from self.elements(names[name])
            case _:
                raise TypeError(type(node).__name__)


def target_of(value: Any) -> str | None:
    """The last part of the ``_target_`` of a component, e.g. ``"Compose"``; None for anything else."""
    target = value.get("_target_") if isinstance(value, Mapping) else None
    return target.rpartition(".")[2] if isinstance(target, str) else None


def _only_reference(value: Any) -> str | None:
    """The id in ``"@id"`` or ``"$@id"``; None for anything else."""
    match = re.fullmatch(rf"\$?\s*{_REFERENCE.pattern}\s*", value) if isinstance(value, str) else None
    return match[1] if match else None


def _texts(place: str, value: Any) -> Iterator[tuple[str, str]]:
    """All texts in dictionaries and lists, with their ids."""
    if isinstance(value, str):
        yield place, value
    inner = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for name, part in inner:
        yield from _texts(f"{place}#{name}" if place else str(name), part)


def each_text(value: Any, change: Callable[[str], str]) -> Any:
    """A copy of nested dictionaries and lists with other texts."""
    if isinstance(value, Mapping):
        return {name: each_text(part, change) for name, part in value.items()}
    if isinstance(value, list):
        return [each_text(part, change) for part in value]
    return change(value) if isinstance(value, str) else value


def _with_hashes(text: str) -> str:
    """``"@train#loss"`` for ``"@train::loss"``, which is the same to MONAI; slices such as ``x[::2]`` stay."""
    return re.sub(r"(?<=[@%])[\w#:]+", lambda match: match[0].replace("::", "#"), text)
