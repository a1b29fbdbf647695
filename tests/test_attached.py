# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
import pickle

import pytest
import torch
from monai.data import MetaTensor, decollate_batch

from monai_debias.attached import attach, attached, take_apart


def test_a_part_that_nobody_has_taken_stops_the_calculation():
    logits, label = torch.zeros(2, 3, requires_grad=True), torch.tensor([0, 2])
    loss = torch.nn.CrossEntropyLoss()
    for pred, target, named in (
        (attach(logits, heatmap=1), label, "'heatmap' was taken: the training lacks ISNetLRPLoss"),
        (
            logits,
            attach(label, weight=1, rows=2),
            "'rows', 'weight' was taken: .* lacks MixupLoss.* and Samp",
        ),
    ):
        with pytest.raises(RuntimeError, match=named):
            loss(pred, target)
        for part in ("heatmap", "weight", "rows"):
            attached(pred, part), attached(target, part)
        assert loss(pred, target).item() == pytest.approx(1.0986, abs=1e-4)


def test_what_is_shown_of_it_is_the_tensor():
    plain = torch.rand(2, 3, requires_grad=True) * 2
    carrier = attach(plain, heatmap=torch.ones(1))
    assert isinstance(carrier, torch.Tensor)
    assert (carrier.shape, carrier.dtype, carrier.device, len(carrier)) == (plain.shape, plain.dtype, plain.device, 2)
    assert carrier.requires_grad
    assert repr(carrier) == repr(plain)
    assert f"{carrier}" == f"{plain}"


def test_every_operation_is_one_on_the_tensor():
    x = torch.rand(2, 3, requires_grad=True)
    carrier = attach(2 * x, heatmap=torch.ones(1))
    attached(carrier, "heatmap")
    for result in (carrier + 1, torch.cat([carrier, carrier]), carrier[0], carrier.detach(), carrier.float()):
        assert type(result) is torch.Tensor
    assert type(copy.deepcopy(carrier.detach())) is torch.Tensor
    assert type(pickle.loads(pickle.dumps(carrier.detach()))) is torch.Tensor  # noqa: S301
    (3 * carrier).sum().backward()
    assert x.grad.tolist() == [[6.0] * 3] * 2


def test_gradients_flow_where_torch_does_not_ask():
    class Triple(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 3 * x

        @staticmethod
        def backward(ctx, gradient):
            return 3 * gradient

    x = torch.ones(2, requires_grad=True)
    carrier = attach(2 * x, heatmap=1)
    attached(carrier, "heatmap")
    Triple.apply(carrier).sum().backward()
    assert x.grad.tolist() == [6.0, 6.0]


def test_a_meta_tensor_stays_one():
    carrier = attach(MetaTensor(torch.rand(2, 3), meta={"filename_or_obj": ["a", "b"]}), mask=torch.ones(2))
    attached(carrier, "mask")
    items = decollate_batch(carrier)
    assert [item.meta["filename_or_obj"] for item in items] == ["a", "b"]
    assert isinstance(carrier + MetaTensor(torch.ones(2, 3)), MetaTensor)


def test_parts_add_up_and_can_be_handed_on():
    label = torch.tensor([1, 0])
    carrier = attach(attach(label, mask=1), weight=2, rows=None)
    plain, parts = take_apart(carrier)
    assert plain is label
    assert parts == {"mask": 1, "weight": 2}
    assert (carrier + 1).tolist() == [2, 1]
    assert attach(carrier, mask=3).shape == (2,)
    assert attached(attach(carrier, mask=3), "mask") == 3
    assert attach(label) is label
    assert take_apart(label) == (label, {})
    for anything in (label, None, {"mask": 1}):
        assert attached(anything, "mask", "none") == "none"
