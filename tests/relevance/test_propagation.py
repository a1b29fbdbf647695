# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Networks written in every way that torch allows, each against a plain formulation of the same network.

The plain formulation uses an activation of this file, whose backward is the rule, and torch's gradients for all else.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from monai_debias.relevance import LRP
from tests.relevance.lrp_helpers import Activation, Functional, check, conv, head, relative_error, without_biases


def batch_norm(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels)
    norm.weight.data.uniform_(0.5, 2)
    norm.bias.data.normal_()
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.3, 3)
    return norm


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def inplace_method(u: torch.Tensor) -> torch.Tensor:
    u.relu_()
    return u


def inplace_function(u: torch.Tensor) -> torch.Tensor:
    F.relu(u, inplace=True)
    return u


def inplace_on_a_view(u: torch.Tensor) -> torch.Tensor:
    u.flatten(1).relu_()
    return u


def inplace_seen_by_a_view(u: torch.Tensor) -> torch.Tensor:
    view = u.flatten(1)
    u.relu_()
    return view.view_as(u)


def inplace_by_index(u: torch.Tensor) -> torch.Tensor:
    F.relu_(u[:, :2])
    u[:, 2:] = torch.relu(u[:, 2:])
    return u


RELU = {
    "F.relu": F.relu,
    "torch.relu": torch.relu,
    "tensor.relu": torch.Tensor.relu,
    "tensor.relu_": torch.Tensor.relu_,
    "tensor.relu_ without its result": inplace_method,
    "torch.relu_": torch.relu_,
    "F.relu_": F.relu_,
    "F.relu inplace": partial(F.relu, inplace=True),
    "F.relu inplace without its result": inplace_function,
    "keyword": lambda u: F.relu(input=u),
    "keyword of torch.relu": lambda u: torch.relu(input=u),
    "module": nn.ReLU(),
    "module inplace": nn.ReLU(inplace=True),
    "in place on a view": inplace_on_a_view,
    "in place and seen by a view": inplace_seen_by_a_view,
    "in place by index": inplace_by_index,
    "on the parts of a chunk": lambda u: torch.cat([p.relu() for p in u.chunk(2, 1)], 1),
}


@pytest.mark.parametrize("with_norm", [False, True])
@pytest.mark.parametrize("relu", RELU.values(), ids=RELU)
def test_relu_in_every_form(relu: Activation, with_norm: bool) -> None:
    def forward(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        return head(m, act(m.norm2(m.conv2(act(m.norm1(m.conv1(x)))))))

    norms = (batch_norm(4), batch_norm(4)) if with_norm else (nn.Identity(), nn.Identity())
    layers = {"conv1": conv(2, 4), "conv2": conv(4, 4), "norm1": norms[0], "norm2": norms[1], "fc": nn.Linear(4, 3)}
    check(lambda m, x: forward(m, x, relu), forward, **layers)


def test_one_module_used_everywhere() -> None:
    def forward(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        x = act(m.norm(m.shared(act(m.norm(m.first(x))))))
        return head(m, act(m.norm(m.shared(x))))

    layers = {"first": conv(2, 4), "shared": conv(4, 4), "norm": batch_norm(4), "fc": nn.Linear(4, 3)}
    check(lambda m, x: forward(m, x, m.act), forward, act=nn.ReLU(inplace=True), **layers)


def test_residual_added_in_place() -> None:
    def block(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        out = m.norm2(m.conv2(act(m.norm1(m.conv1(x)))))
        return out

    def fancy(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        x = m.stem(x)
        x.relu_()
        out = block(m, x, F.relu_)
        out += x
        m.act(out)
        return head(m, out)

    def plain(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        x = act(m.stem(x))
        return head(m, act(block(m, x, act) + x))

    layers = {"stem": conv(2, 4), "conv1": conv(4, 4), "conv2": conv(4, 4), "norm1": batch_norm(4)}
    check(fancy, plain, norm2=batch_norm(4), act=nn.ReLU(inplace=True), fc=nn.Linear(4, 3), **layers)


@pytest.mark.parametrize("kernel", [1, 3])
def test_convolution_that_its_norm_does_not_own(kernel: int) -> None:
    """The scale of a norm is folded into a convolution only if nothing else uses the convolution's output."""

    def forward(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        y = m.conv(x)
        z = m.conv2(act(m.norm(y) - 0.3 * m.norm2(y) + y))
        return head(m, act(m.norm(z)) + z)

    layers = {"conv": conv(2, 4, kernel), "conv2": conv(4, 4), "norm": batch_norm(4), "norm2": batch_norm(4)}
    check(lambda m, x: forward(m, x, F.relu), forward, fc=nn.Linear(4, 3), **layers)


@pytest.mark.parametrize("size", [2, 8])
def test_two_norms_after_a_convolution(size: int) -> None:
    def forward(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        return head(m, act(m.norm2(m.norm(m.conv(x)))))

    layers = {"conv": conv(2, 4), "norm": batch_norm(4), "norm2": batch_norm(4), "fc": nn.Linear(4, 3)}
    check(lambda m, x: forward(m, x, F.relu), forward, shape=(3, 2, size, size), **layers)


def test_two_norms_after_a_convolution_are_no_stem_of_the_zb_rule() -> None:
    layers = {"conv": conv(2, 4), "norm": batch_norm(4), "norm2": batch_norm(4), "fc": nn.Linear(4, 3)}
    network = Functional(lambda m, x: head(m, F.relu(m.norm2(m.norm(m.conv(x))))), **layers).eval()
    with pytest.raises(ValueError, match="zB rule needs a network that begins with"):
        LRP(network, input_rule="zb")(torch.rand(2, 2, 8, 8))


def test_norm_before_a_convolution() -> None:
    def forward(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        return head(m, m.conv2(act(m.norm2(torch.cat([x, m.conv(act(m.norm(x)))], 1)))))

    layers = {"conv": conv(2, 4), "conv2": conv(6, 4), "norm": batch_norm(2), "norm2": batch_norm(6)}
    check(lambda m, x: forward(m, x, F.relu), forward, fc=nn.Linear(4, 3), **layers)


def test_batch_norm_with_statistics_of_the_batch_is_a_fixed_map() -> None:
    def plain(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        y = m.conv(x)
        variance, mean = (t.detach()[:, None, None] for t in torch.var_mean(y, (0, 2, 3), correction=0))
        y = (y - mean) / (variance + m.norm.eps).sqrt() * m.norm.weight[:, None, None] + m.norm.bias[:, None, None]
        return head(m, act(y))

    layers = {"conv": conv(2, 4), "norm": batch_norm(4), "fc": nn.Linear(4, 3)}
    check(lambda m, x: head(m, F.relu(m.norm(m.conv(x)))), plain, training=True, **layers)


GEOMETRY = {
    "strided": conv(4, 6, stride=2),
    "dilated": conv(4, 6, padding=2, dilation=2),
    "grouped": conv(4, 6, groups=2),
    "depthwise": conv(4, 4, groups=4),
    "same": conv(4, 6, padding="same", dilation=2),
    "valid": conv(4, 6, padding="valid"),
    "asymmetric": nn.Conv2d(4, 6, (3, 1), stride=(1, 2), padding=(0, 1)),
    "reflect": conv(4, 6, padding_mode="reflect"),
    "circular even kernel": nn.Conv2d(4, 6, 2, padding="same", padding_mode="circular"),
    "replicate": conv(4, 6, padding_mode="replicate"),
    "transposed": nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
    "transposed, dilated": nn.ConvTranspose2d(4, 6, 3, dilation=2, bias=False),
    "weight norm": nn.utils.parametrizations.weight_norm(conv(4, 6)),
}


@pytest.mark.parametrize(
    ("name", "with_norm"), [(name, True) for name in GEOMETRY] + [("grouped", False), ("transposed", False)]
)
def test_convolutions(name: str, with_norm: bool) -> None:
    def forward(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        return head(m, act(m.norm(m.layer(act(m.first(x))))))

    layer = GEOMETRY[name]
    width = layer.out_channels
    layers = {"first": conv(2, 4), "norm": batch_norm(width) if with_norm else nn.Identity(), "fc": nn.Linear(width, 3)}
    check(lambda m, x: forward(m, x, F.relu), forward, layer=layer, **layers)


@pytest.mark.parametrize("dimensions", [1, 3])
@pytest.mark.parametrize("transposed", [False, True])
def test_convolutions_of_other_dimensions(dimensions: int, transposed: bool) -> None:
    def forward(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        return m.fc(act(m.norm(m.layer(act(m.first(x))))).flatten(2).mean(2))

    make = getattr(nn, f"Conv{'Transpose' if transposed else ''}{dimensions}d")
    norm = getattr(nn, f"BatchNorm{dimensions}d")(6)
    nn.init.uniform_(norm.weight)
    layers = {"first": getattr(nn, f"Conv{dimensions}d")(2, 4, 3), "layer": make(4, 6, 3, stride=2), "norm": norm}
    check(lambda m, x: forward(m, x, F.relu), forward, (2, 2, *[9] * dimensions), fc=nn.Linear(6, 3), **layers)


def _written(x: torch.Tensor) -> torch.Tensor:
    out = torch.zeros_like(x)
    out.narrow(1, 1, 3).copy_(x[:, :3])
    return out


BETWEEN = {
    "F.pad": lambda x: F.pad(x, (1, 2, 0, 1)),
    "F.pad with a value": lambda x: F.pad(x, (1, 2), value=0.7),
    "F.pad reflect": lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"),
    "cat and chunk": lambda x: torch.cat([x.chunk(2, 1)[1], 2 * x.chunk(2, 1)[0], x], 1)[:, :4],
    "cat by numpy's name": lambda x: torch.cat([2 * x, x], axis=1)[:, 2:6],
    "cat with nothing": lambda x: torch.cat([torch.tensor([], dtype=x.dtype), x], 1),
    "split and stack": lambda x: torch.stack(x.split(2, 1), 1).sum(1).repeat(1, 2, 1, 1),
    "unbind": lambda x: torch.stack([2 * t for t in x.unbind(1)], 1),
    "avg_pool": lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "max_pool": lambda x: F.max_pool2d(x, 3, stride=2, padding=1),
    "max_pool module": nn.MaxPool2d(2),
    "adaptive_avg_pool": lambda x: F.adaptive_avg_pool2d(x, (3, 5)),
    "adaptive_max_pool": nn.AdaptiveMaxPool2d(3),
    "interpolate": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False),
    "upsample": nn.Upsample(scale_factor=2),
    "pixel shuffle": lambda x: F.pixel_shuffle(x, 2).repeat(1, 4, 1, 1),
    "transpose": lambda x: x.transpose(2, 3).permute(0, 1, 3, 2).mT,
    "views": lambda x: x.flatten(1).view(len(x), 4, -1).reshape(x.shape).contiguous().clone(),
    "roll and flip": lambda x: x.roll(1, 2).flip(3),
    "where": lambda x: torch.where(torch.ones(8, 8).triu() > 0, x, 0.5 * x),
    "masked_fill": lambda x: x.masked_fill(torch.ones(8, 8).triu() > 0, 0.0),
    "arithmetic": lambda x: (2 * x / 3 - 0.1) + (1 - x) * 0.5 + -x,
    "in-place arithmetic": lambda x: x.mul(2).add_(0.1).div_(3).sub_(0.2).mul_(-1.5),
    "mean and expand": lambda x: x.mean((2, 3), keepdim=True).expand_as(x) + x,
    "max over channels": lambda x: 0.5 * x + x.max(1, keepdim=True).values,
    "min over channels": lambda x: x + x.min(dim=1, keepdim=True)[0],
    "topk": lambda x: x.topk(4, 1).values,
    "sort": lambda x: torch.sort(x, 1)[0],
    "median": lambda x: x + x.median(1, keepdim=True)[0],
    "pooled with indices": lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2),
    "as_tensor": lambda x: torch.as_tensor(x),
    "asarray": lambda x: torch.asarray(x),
    "attributes": lambda x: x.flatten(2).mT.reshape(x.shape),
    "turned": lambda x: x.rot90(1, (2, 3)).fliplr() + x.flipud(),
    "ravel": lambda x: x.ravel().view(x.shape),
    "taken": lambda x: x.take_along_dim(x.argsort(2), 2) + x.gather(3, x.argmax(3, keepdim=True)),
    "where and masks": lambda x: torch.where(x > 0.3, x, 0.1 * x).masked_fill(x > 0.7, 0.0),
    "scatter_add": lambda x: torch.zeros_like(x).scatter_add(
        1, torch.tensor([0, 0, 3, 1]).view(1, 4, 1, 1).expand(x.shape), x
    ),
    "addmm": lambda x: torch.addmm(x.flatten(1), x.flatten(1), torch.eye(256, dtype=x.dtype)).view_as(x),
    "lerp": lambda x: torch.lerp(x, x.flip(1), 0.3),
    "grid_sample": lambda x: F.grid_sample(
        x, torch.linspace(-0.9, 0.9, 128, dtype=x.dtype).view(1, 8, 8, 2).expand(4, 8, 8, 2)
    ),
    "shapes alone": lambda x: x + torch.ones_like(x) * 0.1 + x.new_full((1, 4, 1, 1), 0.2),
    "written into a buffer": lambda x: _written(x),
    "dropout": lambda x: F.dropout(x, 0.3, training=True),
    "dropout2d": lambda x: F.dropout2d(x, 0.3, training=True),
}


def differentiates_twice(operation: Callable[[torch.Tensor], torch.Tensor]) -> bool:
    """Whether this version of torch does: 2.10 takes the gradient off asarray, and has no second one of grid_sample."""
    x = torch.rand(4, 4, 8, 8, requires_grad=True)
    try:
        (gradient,) = torch.autograd.grad(operation(x).square().sum(), x, create_graph=True)
        gradient.sum().backward()
    except RuntimeError:
        return False
    return True


@pytest.mark.parametrize("name", BETWEEN)
def test_operations_that_are_linear_or_choose(name: str) -> None:
    between = BETWEEN[name]
    if name in ("asarray", "grid_sample") and not differentiates_twice(between):
        pytest.skip(f"torch {torch.__version__} itself does not differentiate it twice")

    def forward(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        return head(m, act(m.conv2(between(act(m.conv1(x))))))

    layers = {"conv1": conv(2, 4), "conv2": conv(4, 4), "fc": nn.Linear(4, 3)}
    check(lambda m, x: forward(m, x, F.relu), forward, **layers)


def test_dropout_in_place_in_training() -> None:
    def forward(m: nn.Module, x: torch.Tensor, act: Activation, inplace: bool = False) -> torch.Tensor:
        return head(m, act(m.conv2(F.dropout(m.conv1(x), 0.3, training=True, inplace=inplace))))

    layers = {"conv1": conv(2, 4), "conv2": conv(4, 4), "fc": nn.Linear(4, 3)}
    check(lambda m, x: forward(m, x, F.relu, True), forward, training=True, **layers)


def test_linear_on_tokens() -> None:
    def forward(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        return m.fc(act(m.second(act(m.first(x.flatten(2).transpose(1, 2))))).mean(1))

    layers = {"first": nn.Linear(2, 7), "second": nn.Linear(7, 5), "fc": nn.Linear(5, 3)}
    check(lambda m, x: forward(m, x, F.relu), forward, **layers)


def test_dense_layers_with_batch_norm() -> None:
    def forward(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        return m.fc(act(m.norm(m.first(x.flatten(1)))))

    norm = nn.BatchNorm1d(7)
    nn.init.uniform_(norm.weight)
    check(lambda m, x: forward(m, x, F.relu), forward, first=nn.Linear(128, 7), norm=norm, fc=nn.Linear(7, 3))


def test_matrix_product_with_a_parameter() -> None:
    def forward(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        return act(m.first(x.flatten(1))) @ m.fc.weight.t() + m.fc.bias

    check(lambda m, x: forward(m, x, F.relu), forward, first=nn.Linear(128, 7), fc=nn.Linear(7, 3))


def test_gates_and_attention_weights_are_constants() -> None:
    def fancy(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(m.conv1(x))
        x = x * torch.sigmoid(m.gate(F.relu(m.squeeze(x.mean((2, 3)))))[:, :, None, None])
        q, k, v = m.qkv(x.flatten(2).transpose(1, 2)).chunk(3, -1)
        return m.fc(((q @ k.transpose(1, 2) / 2).softmax(-1) @ v).mean(1))

    def plain(m: nn.Module, x: torch.Tensor, act: Activation) -> torch.Tensor:
        x = act(m.conv1(x))
        x = x * torch.sigmoid(m.gate(F.relu(m.squeeze(x.mean((2, 3)))))[:, :, None, None]).detach()
        q, k, v = m.qkv(x.flatten(2).transpose(1, 2)).chunk(3, -1)
        return m.fc(((q @ k.transpose(1, 2) / 2).softmax(-1).detach() @ v).mean(1))

    def fused(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(m.conv1(x))
        x = x * F.sigmoid(m.gate(F.relu(m.squeeze(x.mean((2, 3)))))[:, :, None, None])
        q, k, v = m.qkv(x.flatten(2).transpose(1, 2)).chunk(3, -1)
        return m.fc(F.scaled_dot_product_attention(q, k, v, scale=0.5).mean(1))

    layers = {"conv1": conv(2, 4), "squeeze": nn.Linear(4, 2), "gate": nn.Linear(2, 4), "qkv": nn.Linear(4, 12)}
    check(fancy, plain, fc=nn.Linear(4, 3), **layers)
    check(fused, plain, fc=nn.Linear(4, 3), **layers)


ACTIVATIONS = {
    "LeakyReLU": nn.LeakyReLU(0.2),
    "PReLU": nn.PReLU(4),
    "ELU": nn.ELU(0.7),
    "SiLU": nn.SiLU(),
    "GELU": nn.GELU(),
    "GELU tanh": nn.GELU("tanh"),
    "Mish": nn.Mish(),
    "Hardswish": nn.Hardswish(),
    "LeakyReLU inplace": nn.LeakyReLU(0.2, inplace=True),
    "SiLU inplace": nn.SiLU(inplace=True),
    "SELU": nn.SELU(),
    "Tanh": nn.Tanh(),
}


@pytest.mark.parametrize("epsilon", [0.0, 0.05])
@pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_activations_by_the_stated_formula(activation: nn.Module, epsilon: float) -> None:
    """g f(u) / (u + ε sign u), for a convolution, the activation, and a dense layer."""
    network = Functional(lambda m, x: m.fc(m.act(m.conv(x)).flatten(1)), conv=conv(2, 4), act=activation).double()
    network.fc = nn.Linear(4 * 36, 3).double()
    x = torch.randn(3, 2, 6, 6, dtype=torch.double)
    logits, relevance = LRP(network, epsilon)(x, 1)
    u = network.conv(x).detach()
    g = network.fc.weight[1].reshape(1, 4, 6, 6) * network.act(u.clone()) / (u + epsilon * u.sign())
    expected = x * F.conv_transpose2d(g, network.conv.weight, padding=1)
    assert torch.equal(logits, network(x.clone()))
    assert relative_error(relevance[:, 0], expected) < 1e-10


NORMS = {
    "layer": nn.LayerNorm([8, 6, 6]),
    "layer of the last dimension": nn.LayerNorm(6),
    "group": nn.GroupNorm(2, 8),
    "instance": nn.InstanceNorm2d(8, affine=True),
    "instance without weights": nn.InstanceNorm2d(8),
}


@pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS)
def test_norms_of_a_sample(norm: nn.Module) -> None:
    """Their denominators are constants; with biases off and ε → 0 relevance is conserved."""
    network = Functional(lambda m, x: head(m, m.norm(m.conv(x).relu()).relu()), conv=conv(2, 8), norm=norm)
    network.fc = nn.Linear(8, 3)
    network = without_biases(network.double())
    norm.eps = 1e-12
    if norm.weight is not None:
        nn.init.uniform_(norm.weight, 0.5, 2)
    x = torch.randn(3, 2, 6, 6, dtype=torch.double)
    logits, relevance = LRP(network, 0)(x, "all")
    assert torch.equal(logits, network(x))
    torch.testing.assert_close(relevance.sum((2, 3, 4)), logits, rtol=1e-6, atol=1e-9)

    y = network.conv(x.requires_grad_()).relu()  # the same with a plain formulation of the norm
    grouped, over = y, (2, 3)
    if isinstance(norm, nn.GroupNorm):
        grouped, over = y.reshape(3, 2, -1), (2,)
    elif isinstance(norm, nn.LayerNorm):
        over = tuple(range(4 - len(norm.normalized_shape), 4))
    variance, mean = torch.var_mean(grouped, over, correction=0, keepdim=True)
    z = ((grouped - mean) / variance.detach().sqrt()).reshape(y.shape)
    weight = 1 if norm.weight is None else norm.weight
    if norm.weight is not None and not isinstance(norm, nn.LayerNorm):
        weight = norm.weight[:, None, None]
    plain = head(network, (z * weight).relu())
    for k in range(3):
        expected = x * torch.autograd.grad(plain[:, k].sum(), x, retain_graph=True)[0]
        assert relative_error(relevance[:, k], expected) < 1e-6


@pytest.mark.parametrize("operation", [F.silu, F.leaky_relu, F.gelu, nn.PReLU()])
def test_output_of_an_activation_changed_in_place(operation) -> None:
    """These activations do without their output in the backward pass, so torch allows to change it."""

    def fancy(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        out = operation(m.conv1(x))
        out += m.conv2(x)
        return head(m, out.relu())

    def plain(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return head(m, (operation(m.conv1(x)) + m.conv2(x)).relu())

    layers = {"conv1": conv(2, 4), "conv2": conv(2, 4), "fc": nn.Linear(4, 3)}
    x = torch.rand(2, 2, 8, 8)
    network = Functional(fancy, **layers)
    network(x).sum().backward()
    _, relevance = LRP(network)(x, "all")
    _, expected = LRP(Functional(plain, **layers))(x, "all")
    assert relative_error(relevance, expected) < 1e-6


@pytest.mark.parametrize("change", [torch.Tensor.relu_, lambda x: x.sub_(0.5)])
def test_network_that_changes_its_input_in_place(change) -> None:
    network = Functional(lambda m, x: head(m, F.relu(m.conv(change(x)))), conv=conv(2, 4), fc=nn.Linear(4, 3))
    twin = Functional(lambda m, x: head(m, F.relu(m.conv(change(x.clone())))), conv=network.conv, fc=network.fc)
    x = torch.randn(2, 2, 8, 8)
    network(x.clone()).sum().backward()
    _, expected = LRP(twin)(x, "all")
    _, relevance = LRP(network)(x.clone(), "all")
    assert relative_error(relevance, expected) < 1e-6


def test_activation_in_place_seen_by_a_detached_alias() -> None:
    def forward(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        out = m.conv(x)
        alias = out.detach()
        m.act(out)
        return head(m, out + alias)

    x = torch.randn(2, 2, 8, 8)
    for act, target in (
        (nn.ReLU(inplace=True), "all"),
        (nn.ReLU(inplace=True), "dual"),
        (nn.SiLU(inplace=True), "all"),
    ):
        network = Functional(forward, conv=conv(2, 4), act=act, fc=nn.Linear(4, 3))
        assert torch.equal(LRP(network, allow=["detach"])(x, target)[0], network(x)), (act, target)


def test_positive_pass_adds_nothing_negative_of_a_constant() -> None:
    """A positional embedding of either sign: the companion of x + p is x⁺ + p⁺, by hand for one weight of 2."""
    embedding = nn.Parameter(torch.tensor([[-1.0, 3.0]]))
    network = Functional(lambda m, x: m.fc((x + m.p).relu()), fc=nn.Linear(2, 1, bias=False))
    network.p = embedding
    with torch.no_grad():
        network.fc.weight.fill_(2.0)
    _, relevance = LRP(network, epsilon=0)(torch.tensor([[2.0, 1.0]]), "dual")
    # activations 1 and 4 explain 2 + 8; of these x has the shares 2/2 of 2 and 1/(1 + 3) of 8
    assert torch.allclose(relevance[0, 0], torch.tensor([2.0, 2.0]))
