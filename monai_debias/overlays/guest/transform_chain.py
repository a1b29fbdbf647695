# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The transforms of a training, sorted by what they do, with the mask transformed along with the image."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pydoc import locate
from typing import Any

import monai.transforms
from monai.transforms import Randomizable
from monai.utils import GridSampleMode, InterpolateMode

from monai_debias.overlays.guest.config_graph import ConfigGraph

__all__ = ["Chain", "Step"]

IMAGE, MASK = "image", "mask"
_SPATIAL = ("monai.transforms.spatial.dictionary", "monai.transforms.croppad.dictionary")
_INTENSITY = "monai.transforms.intensity.dictionary"
_MOVES_TOO = ("RandSmoothDeformd", "Transposed")  # in other modules
_DOES_ANYTHING = ("Lambdad", "RandLambdad", "TorchVisiond", "RandTorchVisiond")  # depending on the arguments
_KEEPS_PLACES = ("RandSimulateLowResolutiond",)  # in these modules, but every pixel stays where it is
_INTERPOLATIONS = {mode.value for kind in (GridSampleMode, InterpolateMode) for mode in kind}
_FOR_EACH_KEY = ("keys", "mode", "anti_aliasing")  # lists with an entry for each key, or single values
_RESERVED = (*_FOR_EACH_KEY, "_target_", "_desc_", "_requires_", "_mode_", "allow_missing_keys")


@dataclass(frozen=True)
class Step:
    """One transform of a training.

    Attributes:
        place: its id in the config.
        written: how it is written there, with ``_target_``; empty for an expression.
        kind: its class; None if that is not known.
    """

    place: str
    written: dict[str, Any]
    kind: type | None

    @classmethod
    def at(cls, graph: ConfigGraph, place: str) -> Step:
        """The transform at an id of a config; nothing is known about an expression."""
        written = graph[place]
        if not isinstance(written, dict) or not isinstance(written.get("_target_"), str):
            return cls(place, {}, None)
        for name in _FOR_EACH_KEY:
            if name in written:
                written = {**written, name: _followed(graph, f"{place}#{name}")}
        found = getattr(monai.transforms, written["_target_"], None) or locate(written["_target_"])
        return cls(place, written, found if isinstance(found, type) else None)

    @property
    def name(self) -> str:
        """The name of its class, or where it is written."""
        return self.kind.__name__ if self.kind else str(self.written.get("_target_", self.place))

    @property
    def keys(self) -> list[str]:
        """The keys that it works on."""
        keys = self.written.get("keys", [])
        return [keys] if isinstance(keys, str) else list(keys)

    @property
    def is_random(self) -> bool:
        """Whether a sample differs from epoch to epoch."""
        return self.kind is not None and issubclass(self.kind, Randomizable)

    @property
    def moves_pixels(self) -> bool:
        """Whether the mask has to be transformed, too."""
        modules = {kind.__module__ for kind in (self.kind.__mro__ if self.kind else ())}
        moves = self.name in _MOVES_TOO or not modules.isdisjoint(_SPATIAL)
        return IMAGE in self.keys and self.name not in _KEEPS_PLACES and moves

    @property
    def is_known(self) -> bool:
        """Whether it is a transform of MONAI or this package whose effect does not depend on its arguments."""
        is_ours = self.kind is not None and self.kind.__module__.startswith(("monai.", "monai_debias."))
        depends = self.name in _DOES_ANYTHING and IMAGE in self.keys
        return is_ours and not depends and not any(key.startswith("$") for key in self.keys)

    @property
    def gives_channels(self) -> bool:
        """Whether the image has its channels first from here on."""
        return self.name == "EnsureChannelFirstd" or bool(self.written.get("ensure_channel_first"))

    @property
    def normalizes(self) -> bool:
        """Whether black is another value than 0 afterwards."""
        return self.name == "NormalizeIntensityd"

    @property
    def changes_intensities(self) -> bool:
        """Whether it is one of MONAI's transforms of intensities, which move no pixel."""
        return self.kind is not None and self.kind.__module__ == _INTENSITY

    @property
    def darkest(self) -> float:
        """The value to which it scales the darkest pixels: 0 unless the config says otherwise."""
        value = next((self.written[name] for name in ("minv", "b_min") if name in self.written), 0)
        return value if IMAGE in self.keys and isinstance(value, int | float) else 0

    @property
    def reference(self) -> str | dict[str, Any]:
        """The step itself by reference, so that changes at its own place take effect here, too."""
        return dict(self.written) if "_disabled_" in self.written else f"@{self.place}"

    @property
    def with_mask(self) -> str | dict[str, Any]:
        """The step for image and mask; the mask is interpolated by nearest neighbour."""
        if not self.moves_pixels or MASK in self.keys:
            return self.reference
        same = {name: f"@{self.place}#{name}" for name in self.written if name not in _RESERVED}
        return {
            "_target_": self.written["_target_"],
            "keys": [*self.keys, MASK],
            **same,
            **self._modes(),
            "allow_missing_keys": True,
        }

    def _modes(self) -> dict[str, Any]:
        changed: dict[str, Any] = {}
        parameter = inspect.signature(self.kind).parameters.get("mode") if self.kind else None
        default = getattr(parameter.default, "value", parameter.default) if parameter else None
        if default in _INTERPOLATIONS:
            changed["mode"] = [*self._for_each_key("mode", default), "nearest"]
        elif "mode" in self.written:
            changed["mode"] = f"@{self.place}#mode"
        if "anti_aliasing" in self.written:
            changed["anti_aliasing"] = [*self._for_each_key("anti_aliasing", False), False]
        return changed

    def _for_each_key(self, name: str, default: Any) -> list[Any]:
        value = self.written.get(name, default)
        return list(value) if isinstance(value, list) else [value] * len(self.keys)


@dataclass(frozen=True)
class Chain:
    """All transforms of a training, in the order in which BackMix and masks need them.

    A mask is loaded after ``load``; the results of ``load`` and ``prepare`` can be cached; the background is exchanged
    after ``move``, where 0 is black. So z-scores are moved to the beginning of ``finish``, wherever they were written,
    and changes of intensities that came after them still do.

    Attributes:
        load: up to where the image has its channels first.
        prepare: the other deterministic ones, without z-scores and the changes of intensities after them.
        move: those that move pixels, from the first random one on.
        finish: z-scores and those changes, and all others from the first random one on.
    """

    load: list[Step]
    prepare: list[Step]
    move: list[Step]
    finish: list[Step]

    @classmethod
    def of(cls, graph: ConfigGraph, place: str) -> Chain:
        """The transforms of the ``Compose`` or list at an id of a config."""
        steps = [Step.at(graph, found) for found in graph.elements(place)]
        first = next((i for i, step in enumerate(steps) if step.is_random), len(steps))
        fixed, later = steps[:first], steps[first:]
        start = next((i + 1 for i, step in enumerate(fixed) if step.gives_channels), None)
        if start is None:
            start = next((i for i, step in enumerate(fixed) if step.moves_pixels), len(fixed))
        last = max((i for i, step in enumerate(later) if step.moves_pixels), default=-1)
        z_score = next((i for i, step in enumerate(fixed) if step.normalizes), len(fixed))
        after = [step for step in fixed[z_score:] if step.normalizes or step.changes_intensities]
        return cls(
            load=fixed[:start],
            prepare=[step for step in fixed[start:] if step not in after],
            move=[step for step in later[: last + 1] if step.moves_pixels],
            finish=after + [step for step in later[: last + 1] if not step.moves_pixels] + later[last + 1 :],
        )

    @property
    def steps(self) -> list[Step]:
        """All transforms."""
        return self.load + self.prepare + self.move + self.finish


def _followed(graph: ConfigGraph, place: str) -> Any:
    """A value, or a list, with its references replaced by what they lead to."""
    value = graph[graph.follow(place)]
    if not isinstance(value, list):
        return value
    return [graph[graph.follow(f"{graph.follow(place)}#{i}")] for i in range(len(value))]
