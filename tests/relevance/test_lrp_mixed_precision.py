# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Relevance under autocast: which types are used, how near it is to float32, what it keeps, and training with it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from monai.engines import SupervisedTrainer
from monai.networks.nets import DenseNet, DenseNet121, ViT
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from monai_debias.attached import attach
from monai_debias.engines import PrepareBatchAttached
from monai_debias.handlers import GradientClipping
from monai_debias.inferers import ISNetInferer
from monai_debias.losses import ISNetLRPLoss
from monai_debias.relevance import LRP
from monai_debias.relevance.kernels import InFloat32, ReluGradient
from tests.relevance.lrp_helpers import relative_error

BFLOAT16 = torch.bfloat16


def bars(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise with an upright bar, a lying bar or a square: a task that a few steps teach."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.arange(n) % 3
    image = 0.3 * torch.rand(n, 1, 16, 16, generator=generator)
    for picture, kind in zip(image[:, 0], label, strict=True):
        rows, columns = ((slice(4, 12), slice(6, 9)), (slice(6, 9), slice(4, 12)), (slice(5, 11), slice(5, 11)))[kind]
        picture[rows, columns] += 0.6
    return image, label


MASK = torch.zeros(1, 1, 16, 16)
MASK[..., 3:13, 3:13] = 1


def convolutions(
    activation: Callable[[], nn.Module] = nn.ReLU, norm: Callable[[int], nn.Module] = nn.BatchNorm2d
) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in ((1, 8), (8, 16), (16, 16)):
        layers += [nn.Conv2d(before, after, 3, stride=1 + (before == 1), padding=1), norm(after), activation()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 3))


def transformer() -> nn.Module:
    size = {"hidden_size": 24, "mlp_dim": 48, "num_layers": 2, "num_heads": 4, "num_classes": 3}
    return ViT(1, (16, 16), (4, 4), spatial_dims=2, classification=True, post_activation=None, **size)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "convolutions": convolutions,
    "smooth": lambda: convolutions(nn.SiLU, lambda c: nn.GroupNorm(2, c)),
    "densenet121": lambda: DenseNet121(2, 1, 3),
    "slopes": lambda: convolutions(nn.PReLU),
    "dense": lambda: DenseNet(2, 1, 3, init_features=8, growth_rate=4, block_config=(2, 2)),
    "transformer": transformer,
}


def output(network: nn.Module) -> int | None:
    return 0 if isinstance(network, ViT) else None


def plain(network: nn.Module, image: torch.Tensor) -> torch.Tensor:
    logits = network(image)
    return logits[0] if output(network) == 0 else logits


@pytest.fixture(scope="module")
def trained() -> dict[str, nn.Module]:
    networks = {}
    for name in ("convolutions", "slopes", "transformer"):
        torch.manual_seed(0)
        network, (image, label) = NETWORKS[name](), bars(24)
        optimizer = torch.optim.Adam(network.parameters(), 1e-2)
        for _ in range(30):
            loss = nn.functional.cross_entropy(plain(network, image), label)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        networks[name] = network.eval()
    return networks


def step(
    network: nn.Module, target: Any, dtype: torch.dtype | None, rules: dict[str, Any] | None = None, **more: Any
) -> tuple[torch.Tensor, Any, torch.Tensor]:
    """Logits, relevance, and the gradient of a loss of both, all in one."""
    network, (image, label) = copy.deepcopy(network), bars(6, seed=1)
    torch.manual_seed(0)
    with torch.autocast("cpu", dtype=dtype or BFLOAT16, enabled=dtype is not None):
        lrp = LRP(network, output=output(network), **(rules or {}))
        logits, found = lrp(image, target, create_graph=True, **more)
    maps = found if isinstance(found, dict) else {"input": found}
    outside = [
        (m * (1 - MASK[..., :: 16 // m.shape[-2], :: 16 // m.shape[-1]])).abs().sum() / m.abs().sum()
        for m in maps.values()
    ]
    (nn.functional.cross_entropy(logits, label) + sum(outside)).backward()
    gradient = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
    return logits.detach(), found, gradient


def cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    return nn.functional.cosine_similarity(one.double(), other.double(), 0).item()


CASES = [("convolutions", t) for t in ("selective", "all", torch.arange(6) % 3, "stochastic", "dual")]
CASES += [(name, target) for name in ("slopes", "transformer") for target in ("selective", "all")]


@pytest.mark.parametrize(("name", "target"), CASES)
def test_heatmaps_and_gradients_are_near_those_of_float32(trained, name, target) -> None:
    """Rounding moves units across 0 and maxima to other places; in float16, eight times as fine, it moves few."""
    _, expected, gradient = step(trained[name], target, None)
    logits, found, _ = step(trained[name], target, BFLOAT16)
    assert logits.dtype == found.dtype == torch.float32
    errors = [relative_error(one, other) for one, other in zip(found, expected, strict=True)]
    assert sorted(errors)[3] < 3e-2  # half of the images
    _, found, of_half = step(trained[name], target, torch.float16)
    assert relative_error(found, expected) < 3e-2
    assert cosine(of_half, gradient) > 0.99


@pytest.mark.parametrize("dtype", [BFLOAT16, torch.float16])
def test_layers_rows_and_the_zb_rule(trained, dtype) -> None:
    for more in ({"layers": ["2", "5"]}, {"rows": torch.tensor([4, 1])}, {"rules": {"input_rule": "zb"}}):
        _, expected, gradient = step(trained["convolutions"], "all", None, **more)
        _, found, of_half = step(trained["convolutions"], "all", dtype, **more)
        pairs = [(found[k], expected[k]) for k in expected] if isinstance(expected, dict) else [(found, expected)]
        for one, other in pairs:
            assert one.dtype == torch.float32
            assert relative_error(one, other) < 3e-2, more
        assert cosine(of_half, gradient) > 0.95, more


class Seen(TorchDispatchMode):
    """Which types the convolutions and products of a step have, and how many there are."""

    def __init__(self) -> None:
        super().__init__()
        self.types: list[torch.dtype] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        name = function.overloadpacket.__name__
        if name in ("convolution", "convolution_backward", "mm", "addmm", "bmm", "_scaled_dot_product_flash_attention"):
            self.types += [a.dtype for a in args if isinstance(a, torch.Tensor)]
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(("name", "target"), [("convolutions", "selective"), ("dense", "dual"), ("transformer", "all")])
def test_convolutions_and_products_of_both_passes_are_of_half_precision(name, target) -> None:
    network, (image, label) = NETWORKS[name](), bars(6)
    with Seen() as seen:
        with torch.autocast("cpu", dtype=BFLOAT16):
            logits, relevance = LRP(network, output=output(network))(image, target, create_graph=True)
        forward = len(seen.types)
        (nn.functional.cross_entropy(logits, label) + relevance.abs().sum()).backward()
    assert set(seen.types) == {BFLOAT16}
    assert len(seen.types) > forward > 20


def saved_bytes(compute: Callable[[], torch.Tensor], network: nn.Module) -> int:
    """What a step keeps for its backward pass, without the parameters, in bytes; shared memory counts once."""
    kept: dict[int, torch.UntypedStorage] = {}
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        compute()
    return sum(storage.nbytes() for pointer, storage in kept.items() if pointer not in own)


@pytest.mark.parametrize("name", ["smooth", "densenet121", "transformer"])
def test_memory_beside_a_plain_step_of_the_same_precision(name) -> None:
    network, size = NETWORKS[name]().train(), 64 if name == "densenet121" else 16
    image, label, masks = torch.rand(4, 1, size, size), torch.arange(4) % 3, torch.ones(4, 1, size, size)
    inferer, loss = ISNetInferer(output=output(network)), ISNetLRPLoss()
    with torch.autocast("cpu", dtype=BFLOAT16):
        alone = saved_bytes(lambda: nn.functional.cross_entropy(plain(network, image), label), network)
        both = saved_bytes(
            lambda: loss(inferer(image, network, masks=masks), attach(label, mask=masks)),
            network,
        )
    # of a small network the maps of the input are a large share, float32 in either precision
    assert both - 6 * 4 * image.numel() < 2.3 * alone


def test_training_with_a_gradient_scaler_that_skips_steps() -> None:
    torch.manual_seed(0)
    network, (image, label) = convolutions().train(), bars(6)
    inferer, loss, masks = ISNetInferer(), ISNetLRPLoss(), MASK.expand(6, -1, -1, -1)
    optimizer = torch.optim.SGD(network.parameters(), 0.05)
    scaler = torch.amp.GradScaler("cpu", init_scale=1e38, backoff_factor=1e-12)
    skipped, losses = [], []
    for _ in range(12):
        before = [p.detach().clone() for p in network.parameters()]
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=BFLOAT16):
            value = loss(inferer(image, network, masks=masks), attach(label, mask=masks))
        scale = scaler.get_scale()
        scaler.scale(value).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(value.item())
        skipped.append(scaler.get_scale() < scale)
        assert skipped[-1] == all(torch.equal(p, b) for p, b in zip(network.parameters(), before, strict=True))
    assert skipped[0]
    assert not skipped[-1]
    assert losses[-1] < losses[0]


def test_a_trainer_of_monai(trained) -> None:
    """``amp=True`` is CUDA's; on a CPU a training runs in mixed precision within ``torch.autocast``."""
    network, (image, label) = copy.deepcopy(trained["convolutions"]), bars(12)
    batch = {"image": image, "label": label, "mask": MASK.expand(12, -1, -1, -1)}
    trainer = SupervisedTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=[batch] * 3,
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), 0.01),
        loss_function=ISNetLRPLoss(),
        inferer=ISNetInferer(layers=["5"]),
        prepare_batch=PrepareBatchAttached(),
        train_handlers=[GradientClipping(network, 10.0)],
        decollate=False,
    )
    with torch.autocast("cpu", dtype=BFLOAT16, cache_enabled=False):
        trainer.run()
    assert trainer.state.iteration == 3
    assert trainer.state.output["loss"].isfinite()
    assert {m.dtype for m in trainer.state.output["pred"].parts["heatmap"].values()} == {torch.float32}


@pytest.mark.parametrize("dtype", [BFLOAT16, torch.float16])
def test_formulas_are_calculated_in_float32_and_rounded_once(dtype) -> None:
    torch.manual_seed(0)
    g, a, scale = torch.randn(3, 4, 5).to(dtype), torch.rand(3, 4, 5).to(dtype), torch.rand(4)
    formulas: dict[str, Callable[..., torch.Tensor]] = {
        "relu": lambda g, a, scale: ReluGradient.apply(g, a, 0.01, torch.zeros(1)),
        "any": lambda g, a, scale: InFloat32.apply(lambda g, a, s: g * a.sigmoid() * s[:, None], g, a, scale),
    }
    for name, formula in formulas.items():
        low = [t.clone().requires_grad_() for t in (g, a, scale)]
        wide = [t.float().requires_grad_() for t in (g, a, scale)]
        result, expected = formula(*low), formula(*wide)
        assert torch.equal(result, expected.to(dtype)), name
        cotangent = torch.randn(g.shape).to(dtype)
        found = torch.autograd.grad(result, low, cotangent, allow_unused=True, create_graph=True)
        right = torch.autograd.grad(expected, wide, cotangent.float(), allow_unused=True, create_graph=True)
        for one, other in zip(found, right, strict=True):
            assert (one is None) == (other is None)
            assert one is None or torch.allclose(one.float(), other, rtol=2 * torch.finfo(dtype).eps), name
        once_more = torch.autograd.grad(found[0].float().square().sum(), low[1])[0]
        expected = torch.autograd.grad(right[0].square().sum(), wide[1])[0]
        assert relative_error(once_more, expected) < 10 * torch.finfo(dtype).eps
