# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What each kind of value allows, and the message about one that it does not."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from monai.utils import LossReduction

from monai_debias.constraints import (
    ARRAY,
    BOOL,
    DTYPE,
    FUNCTION,
    KEYS,
    LABELS,
    LOADER,
    NONE,
    NUMBERS,
    PATH,
    STRING,
    Having,
    Instance,
    Integer,
    MappingOf,
    Number,
    OneOf,
    SequenceOf,
)

NAN, INF = math.nan, math.inf


ALLOWED = [
    (Number(), [0, -1.5, np.float32(2), np.int64(3)], [True, np.True_, NAN, INF, "1", None, 1j, torch.tensor(1.0)]),
    (Number("(0, 1]"), [1e-9, 1, np.float64(1)], [0, -0.0, 1.0001, -INF, np.float16("nan")]),
    (Number("(0, inf]"), [INF, 5, np.inf], [0, -INF, NAN]),
    (Integer("[1, inf)"), [1, np.uint8(7), 2**63 - 1], [0, 2**63, 10**400, 1.0, True, NAN]),
    (OneOf("mean", "sum"), ["mean", LossReduction.SUM, np.str_("sum")], ["none", "", None, 1, b"mean", ["mean"]]),
    (OneOf("all") | Integer(), ["all", 3], ["some", 1.5, None]),
    (BOOL, [True, np.False_], [1, 0, None, "True", torch.tensor(True)]),
    (STRING, ["a"], ["", b"a", None, Path("a")]),
    (PATH, ["a", Path("a")], ["", b"a", None, 3]),
    (FUNCTION, [len, lambda: 0, torch.nn.ReLU()], [dict, "len", None]),
    (Instance(torch.nn.Module), [torch.nn.ReLU()], [torch.nn.ReLU, None]),
    (KEYS, ["image", ["a", "b"], ("a",), LossReduction.SUM], [None, [], [None], {}, [["a"]], {"a"}]),
    (
        SequenceOf(Number(), length=2),
        [(0, 1), [1, 2.5], np.zeros(2), torch.ones(2)],
        [[1], "12", {1: 2, 3: 4}, [1, NAN]],
    ),
    (SequenceOf(STRING), [[], ("a",), np.array(["a"])], ["a", [""], [1], None, {"a"}, b"a", torch.tensor(1)]),
    (NONE | SequenceOf(STRING, least=1), [None, ["a"]], [[], [None], "a"]),
    (MappingOf(Number(), key=STRING, least=1), [{"a": 1}], [{}, {"a": "b"}, {1: 1}, [("a", 1)], None]),
    (ARRAY, [np.zeros(2), torch.zeros(2)], [[0.0], 0, None]),
    (
        NUMBERS,
        [[0, 1], np.zeros(2), [], [[True]]],
        [[object()], [[1], [1, 2]], ["a"], "a", 1, None, {}, np.array(["a"])],
    ),
    (LABELS, [[0, 1], ["a", "b"], np.array(["a"])], [[None], "a", {"a"}, [b"a"]]),
    (LOADER, [[], torch.utils.data.DataLoader([1]), iter([1])], ["a", {}, torch.zeros(2), 1, None]),
    (DTYPE, [np.float32, "uint8", np.dtype(bool), float], [None, dict, object, "often", 3]),
    (Having("terms"), [SimpleNamespace(terms=1)], [SimpleNamespace(), None]),
]


@pytest.mark.parametrize(("constraint", "allowed", "refused"), ALLOWED, ids=[str(c) for c, _, _ in ALLOWED])
def test_constraint(constraint, allowed, refused):
    assert [value for value in allowed if not constraint.allows(value)] == []
    assert [value for value in refused if constraint.allows(value)] == []
    for value in refused:
        with pytest.raises((TypeError, ValueError), match=r"^some name(\[.+\])? is .+, expected .+\.$"):
            constraint.check("some name", value)


def test_a_wrong_element_shows_no_other_of_a_container():
    """Items hold names of patients, which a message must not print."""
    constraint = NONE | SequenceOf(MappingOf(STRING, key=STRING))
    with pytest.raises(TypeError, match=r"^items\[1\]\['a'\] is 3, expected a string\.$"):
        constraint.check("items", [{"patient": "Miller"}, {"a": 3, "patient": "Miller"}])
