# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The declared parameters: what each constraint allows, and that every public class and function keeps to its own."""

from __future__ import annotations

import copy
import inspect
import linecache
import math
import pickle
import re
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
import torch

from monai_debias.constraints import (
    NONE,
    Constraint,
)
from monai_debias.parameters import constraints_of, expects
from monai_debias.transforms import RandBackMix
from tests.public_objects import configs, parameters, parse
from tests.public_use import EXPECTED_WARNINGS, OBJECTS, arguments, each, use

pytestmark = EXPECTED_WARNINGS

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"prob": "often"}, TypeError, "RandBackMix: prob is 'often', expected a number in [0, 1]."),
        ({"prob": 2}, ValueError, "RandBackMix: prob is 2, expected a number in [0, 1]."),
        ({"prob": True}, TypeError, "RandBackMix: prob is True, expected a number in [0, 1]."),
        (
            {"noise_range": (0, NAN)},
            ValueError,
            "RandBackMix: noise_range[1] is nan, expected a finite number.",
        ),
        (
            {"noise_range": [0]},
            ValueError,
            "RandBackMix: noise_range is of type list and length 1, expected a sequence of 2, each a finite number.",
        ),
        (
            {"dim_factor": torch.ones(2)},
            TypeError,
            "RandBackMix: dim_factor is of type Tensor and shape (2,), expected a number in [0, inf).",
        ),
        ({"prob": dict}, TypeError, "RandBackMix: prob is the class dict, expected a number in [0, 1]."),
        ({"prob": 10**400}, ValueError, "RandBackMix: prob is an integer of 1329 bits, expected a number in [0, 1]."),
    ],
)
def test_message(arguments, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        RandBackMix(**arguments)


def test_a_parameter_is_told_by_position_too():
    with pytest.raises(TypeError, match=r"^RandBackMix: background is 3, expected 'donor', 'black', "):
        RandBackMix(1.0, 3)


def test_the_decorated_keeps_its_signature_pickles_and_can_be_a_parent():
    assert list(inspect.signature(RandBackMix).parameters) == ["prob", "background", "noise_range", "dim_factor"]
    assert inspect.signature(RandBackMix).parameters["prob"].default == 1.0

    class Child(RandBackMix):
        def __init__(self, prob: float, extra: int) -> None:
            super().__init__(prob)
            self.extra = extra

    assert Child(0.5, 1).prob == 0.5
    with pytest.raises(ValueError, match=r"prob is 1\.5"):
        Child(1.5, 1)
    assert pickle.loads(pickle.dumps(RandBackMix(0.25))).prob == 0.25  # noqa: S301


def test_every_parameter_must_be_declared_and_nothing_else():
    with pytest.raises(TypeError, match=r"^test.*f: \['b', 'c'\] in the signature or in expects\(\) only"):

        @expects(a=NONE, b=NONE)
        def f(a, c=1, *args, **kwargs):
            pass


# what papers and meaning allow, whichever class or function has the parameter
RANGES = {
    "(0, 1)": ["confidence", "test_fraction", "validation_fraction"],
    "(0, 1]": ["fraction", "fractions", "mask_fraction", "quantile"],
    "[0, 1)": ["relevance_weight", "schedule"],
    "[0, 1]": ["chance", "decay", "layer_rank_decay", "prob", "rank_decay", "rate"],
    "(0, 100]": ["percentile"],
    "(0, inf)": ["alpha", "background_scale"],
    "(0, inf]": ["max_norm"],
    "[0, inf)": [
        *["background_weight", "delay", "dim_factor", "epsilon", "foreground_weight", "penalty_weight", "strength"],
        "weights",
    ],
    "[1, inf)": ["epochs", "frame_batch_size", "interval", "n_swaps", "num_classes"],
    "[1, 3]": ["spatial_dims"],
    "[2, inf)": ["n_clusters"],
}


def test_one_word_has_one_range():
    declared = [(path, name, str(c)) for path, value in OBJECTS.items() for name, c in constraints_of(value).items()]
    for allowed, names in RANGES.items():
        assert set(names) <= {name for _, name, _ in declared}
        wrong = [(path, name) for path, name, constraint in declared if name in names and allowed not in constraint]
        assert wrong == [], f"expected {allowed}"


WRONG: dict[str, Any] = {
    "None": None,
    "word": "often",
    "empty string": "",
    "bytes": b"often",
    "object": object(),
    "NaN": NAN,
    "inf": INF,
    "-1": -1,
    "True": True,
    "10 ** 400": 10**400,
    "list": [],
    "list of objects": [object()],
    "dict": {},
    "class": dict,
    "function": lambda *args, **kwargs: args[0],
    "tensor": torch.zeros(2, 3),
}


def raised_by_us(traceback: TracebackType | None) -> bool:
    """Whether a traceback ends with a ``raise`` of the package or of MONAI, and not in what Python or torch says."""
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    assert traceback is not None
    frame = traceback.tb_frame
    line = linecache.getline(frame.f_code.co_filename, traceback.tb_lineno)
    return frame.f_globals["__name__"].startswith(("monai_debias.", "monai.")) and line.lstrip().startswith("raise")


@each(OBJECTS)
def test_wrong_values(path, tmp_path, monkeypatch):
    """For each parameter each wrong value is refused by name, or it is declared to be a right one and then works."""
    monkeypatch.chdir(tmp_path)  # where a folder named by a wrong value may be made
    value = OBJECTS[path]
    declared = constraints_of(value)
    assert declared.keys() == parameters(value).keys(), "decorate it with monai_debias.parameters.expects"
    good = parse(configs(value, tmp_path)[0]) if inspect.isclass(value) else arguments(value, tmp_path / "f")
    for name, parameter in parameters(value).items():
        if parameter.default is not inspect.Parameter.empty:
            assert declared[name].allows(parameter.default), f"the default of {name}"
        for kind, wrong in WRONG.items():
            try_wrong(value, good, name, kind, copy.copy(wrong), declared[name], tmp_path)


def try_wrong(
    value: Any, good: dict[str, Any], name: str, kind: str, wrong: Any, declared: Constraint, folder: Path
) -> None:
    what, allowed, error = f"{name}: {kind}", declared.allows(wrong), None
    try:
        made = value(**{**good, name: wrong})
        if inspect.isclass(value) and not hasattr(made, "attach"):
            use(made, folder / "f")
    except (TypeError, ValueError, KeyError, OSError) as raised:
        error = raised
    assert allowed or error is not None, f"{what} was accepted"
    fine = error is None or isinstance(error, OSError) or raised_by_us(error.__traceback__)  # an OSError names its file
    assert fine, f"{what} gave {error!r}"
    assert allowed or str(error).startswith(f"{value.__qualname__}: {name}"), f"{what} gave {error!r}"
