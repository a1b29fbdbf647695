# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What is collected while a bundle's config is read: sockets, what was found, and what is left to the user."""

from __future__ import annotations

from typing import Any

from monai_debias.overlays.guest.config_graph import ConfigGraph, each_text, target_of

__all__ = ["GuestParts"]


class GuestParts:
    """The sockets of a guest bundle, as they are written down one after another.

    Args:
        graph: the bundle's config.

    Attributes:
        sockets: the content of ``sockets.json``.
        found: parts of the bundle, with where they were found or what becomes of them.
        to_do: what a person has to fill in or check.
    """

    def __init__(self, graph: ConfigGraph) -> None:
        self.graph = graph
        self.sockets: dict[str, Any] = {"guest": {}}
        self.found: dict[str, str] = {}
        self.to_do: list[str] = []

    def __setitem__(self, socket: str, value: Any) -> None:
        """Write a socket."""
        self.sockets[socket] = value

    def import_modules(self, *names: str) -> None:
        """Write imports for the expressions of the sockets, after those of the bundle."""
        self["+imports" if "imports" in self.graph else "imports"] = [f"$import {name}" for name in names]

    def default(self, socket: str, value: Any) -> None:
        """Write a socket, unless the bundle has it already."""
        if socket not in self.graph:
            self[socket] = value

    def store(self, name: str, value: Any) -> str:
        """Write a value under a name of ``guest``, where nothing of the bundle is, and return the reference to it."""
        self.sockets["guest"][name] = value
        return f"@guest#{name}"

    def end(self, place: str) -> str | None:
        """The id where the value of ``place`` is written; None if there is nothing."""
        return self.graph.follow(place) if place in self.graph else None

    def component_at(self, place: str, *needs: str) -> str:
        """The id where the component of ``place`` is written.

        Args:
            place: the id.
            needs: arguments that it must have.

        Raises:
            ValueError: when there is none, or it lacks an argument.
        """
        end = self.end(place)
        written = {} if end is None else self.graph[end]
        if end is None or target_of(written) is None or not set(needs) <= set(written):
            wanted = " and ".join(["a component with a _target_", *needs])
            raise ValueError(f"expected {wanted} at {place!r} of the training's config, got {str(written)[:80]}.")
        return end

    def expose(self, socket: str, place: str) -> None:
        """Make what the bundle uses at a place available as a socket; a value that is written there moves to it."""
        end = self.graph.follow(place)
        if end == place:
            self.move_to(socket, place, None)
        elif end != socket and socket not in self.graph:
            self[socket] = f"@{end}"
        elif end != socket and socket not in self.graph.reached(end):
            self.to_do.append(f'"{socket}" is not what {place} uses: give it another name in train.json.')

    def move_to(self, socket: str, place: str, otherwise: Any) -> None:
        """Write the value of a place to a socket, ``otherwise`` if there is none, and make the place refer to it."""
        end = self.end(place)
        if end != socket:
            self[socket] = otherwise if end is None else self.graph[end]
        self[place] = f"@{socket}"

    def overwrite(self, place: str, value: Any) -> None:
        """Write to a place of the bundle, and store the old value if anything refers to parts of it."""
        old, new = f"@{place}#", f"@guest#{place.replace('#', '_')}#"
        mentions = self.graph.mentions(place)
        rebased = each_text(self.sockets, lambda text: text.replace(old, new))
        if mentions or rebased != self.sockets:
            self.sockets = rebased
            self.store(place.replace("#", "_"), self.graph[place])
        for mention in mentions:
            self[mention] = each_text(self.graph[mention], lambda text: text.replace(old, new))
        self[place] = each_text(value, lambda text: text.replace(old, new))

    def __str__(self) -> str:
        """A table of what was found, and a list of what is left to do."""
        width = max(map(len, self.found))
        lines = [f"  {name:{width}}  {where}" for name, where in self.found.items()]
        return "\n".join([*lines, *(["left to you:"] if self.to_do else []), *(f"  - {text}" for text in self.to_do)])
