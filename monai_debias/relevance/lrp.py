# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Layer-wise relevance propagation through any classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch

from monai_debias.constraints import MODULE, NONE, STRING, Integer, Number, OneOf, SequenceOf
from monai_debias.networks import layer_outputs, unwrapped
from monai_debias.parameters import expects
from monai_debias.relevance import rules
from monai_debias.relevance.dual import DualMode, dual_starts
from monai_debias.relevance.layers import HANDLERS
from monai_debias.relevance.layers_z_plus import Z_PLUS_HANDLERS
from monai_debias.relevance.operands import widened
from monai_debias.relevance.passes import Backward, Passes
from monai_debias.relevance.propagation import RelevanceMode
from monai_debias.relevance.some_rows import Taken
from monai_debias.relevance.surroundings import eager_operations, logits_of, outermost_eager
from monai_debias.relevance.tags import Role, Stem, UncoveredOperationError
from monai_debias.relevance.targets import TARGET, Target, checked_rows, explained_scalars
from monai_debias.without_waiting import look

__all__ = ["LRP"]

_TARGET = OneOf("dual") | TARGET


class LRP:
    r"""Layer-wise relevance propagation (LRP-ε) through any classifier, differentiable if asked for.

    The relevance of the input is :math:`R = x \circ G`, where :math:`G` is the gradient of the explained scalar with
    the rules of :mod:`monai_debias.relevance.rules` in place of the derivatives of activations, normalisations, gates.
    The network is not changed: its modules, parameters, buffers and logits stay what they are without it.

    Args:
        network: maps (B, C, spatial...) with 1, 2 or 3 spatial dimensions to logits (B, K). Its activations may be
            modules or functions, reused or in place. It may be wrapped in ``DistributedDataParallel``, compiled or
            checkpointed (it then runs eagerly, without checkpoints), and its weights may be of half precision (it then
            runs in float32).
        epsilon: ε of the rules, 0 or more; 1e-2 for training, 1e-5 … 1e-1 for explaining. 0 is Gradient × Input.
        input_rule: None, or ``"zb"`` for the zᴮ rule at the first layer, for inputs within ``input_range``; the network
            must begin with a convolution or dense layer, an optional batch norm, and an activation.
        input_range: lowest and highest value that an input can have.
        allow: names of operations without a rule whose ordinary gradient is accepted, as the error about them says.
        output: which of several outputs the logits are: None where the network returns one tensor, an index into a
            tuple (0 for MONAI's ``ViT``), or the name of a dictionary's entry or of an attribute.

    Raises:
        ValueError: when ``epsilon`` is negative, the input rule is unknown, or the range is not (lowest, highest).
        TypeError: when ``allow`` is a string instead of a sequence.

    Reference:
        Bach et al., PLoS ONE 2015 (LRP-ε, Eq. 58); Montavon et al., Pattern Recognition 2017 (zᴮ and z⁺ rules);
        Bassi et al., IEEE Access 2024 (LRP-Flex).

    Example:
        >>> import torch
        >>> from monai.networks.nets import DenseNet121
        >>> network = DenseNet121(spatial_dims=2, in_channels=1, out_channels=3).eval()
        >>> logits, relevance = LRP(network)(torch.rand(2, 1, 64, 64), target="all")
        >>> logits.shape, relevance.shape
        (torch.Size([2, 3]), torch.Size([2, 3, 1, 64, 64]))
    """

    @expects(
        network=MODULE,
        epsilon=Number("[0, inf)"),
        input_rule=NONE | OneOf("zb"),
        input_range=SequenceOf(Number(), length=2),
        allow=SequenceOf(STRING),
        output=NONE | Integer() | STRING,
    )
    def __init__(
        self,
        network: torch.nn.Module,
        epsilon: float = 1e-2,
        input_rule: str | None = None,
        input_range: tuple[float, float] = (0.0, 1.0),
        allow: Sequence[str] = (),
        output: int | str | None = None,
    ) -> None:
        if not input_range[0] < input_range[1]:
            raise ValueError(f"input_range must be (lowest, highest), got {tuple(input_range)}.")
        self.network = network
        self.epsilon = epsilon
        self.input_rule = input_rule
        self.input_range = (float(input_range[0]), float(input_range[1]))
        self.allow = tuple(allow)
        self.output = output

    def __call__(
        self,
        x: torch.Tensor,
        target: Target = "selective",
        layers: Sequence[str] = (),
        rows: torch.Tensor | None = None,
        create_graph: bool = False,
    ) -> tuple[torch.Tensor, Any]:
        """Compute logits and relevance; also within ``torch.no_grad()``, ``inference_mode`` and autocast.

        Under autocast convolutions and products run in its type, in the forward and in the relevance pass; the rules of
        activations and normalisations, zᴮ, and the maps are calculated in float32.

        Args:
            x: inputs (B, C, spatial...), of a floating-point type.
            target: what is explained: as in :func:`monai_debias.relevance.explained_scalars`, or ``"dual"`` for two
                maps that explain all logits together, each by its own value: by LRP-z⁺, which is for networks of ReLUs,
                and by LRP-ε.
            layers: names of modules whose outputs' relevance is returned too, as in ``network.named_modules()``.
            rows: indices of the samples whose relevance is asked for, int64 of shape (R,); None for all. With rows the
                network may return more logits than it has samples: those that Flow-Mixup appends are not explained.
            create_graph: whether logits and relevance can be differentiated with respect to the parameters.

        Returns:
            Logits (B, K), and the relevance (R, maps, C, spatial...); with ``layers`` a dictionary of the relevance of
            the ``"input"`` and of each layer, (R, maps, C_layer, spatial_layer...). They are float32 where network or
            input are of half precision.

        Raises:
            TypeError: when ``x`` is not of a floating-point type, ``layers`` is a string, or the network returns no
                tensor (see ``output``).
            ValueError: when the logits are not (B, K) or do not depend on the input, a layer or output does not exist,
                ``x`` lies outside ``input_range`` or the network does not begin as the zᴮ rule needs it, the target
                does not fit, ``rows`` are not distinct indices of samples, or the network is wrapped in
                ``DistributedDataParallel(static_graph=True)``.
            UncoveredOperationError: when relevance would get lost between input and logits: at an operation without a
                rule, a tensor without gradients (``detach``, ``torch.no_grad``), a softmax or sigmoid as last layer.
        """
        self._check_input(x)
        _TARGET.check("LRP: target", target)
        if isinstance(layers, str):
            raise TypeError(f"layers must be a sequence of names, e.g. [{layers!r}], got a string.")
        dual = isinstance(target, str) and target == "dual"
        if dual and self.input_rule is not None:
            raise ValueError('target="dual" has rules of its own at the first layer: use it with input_rule=None.')
        device = x.device.type
        with ExitStack() as undo, torch.inference_mode(False), torch.enable_grad():
            plain = x.as_subclass(torch.Tensor).detach()
            leaf = plain.clone().to(torch.promote_types(x.dtype, torch.float32)).requires_grad_()
            image = leaf.clone()  # the network may change it in place
            autocast = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
            passes = Passes(self.epsilon, checked_rows(rows, len(leaf), leaf.device), len(leaf), autocast)
            mode: RelevanceMode = RelevanceMode(passes, image, HANDLERS, self.allow)
            if dual:
                mode = DualMode(passes, image, HANDLERS, Z_PLUS_HANDLERS, self.allow)
            network = outermost_eager(self.network)
            with eager_operations(), mode, layer_outputs(network, layers, mode.keep) as outputs:
                returned = network(image)
            logits = mode.current(logits_of(returned, self.output, network))
            _check_logits(logits, mode, network)
            # the threads of a backward pass do not know autocast's type: the rules have it from their tensors
            undo.enter_context(torch.autocast(device, enabled=False))
            stem = _stem(mode, image) if self.input_rule == "zb" else None
            sources = {"input": leaf if stem is None else stem.output}
            sources |= {name: _unchanged(name, mode, *outputs[name]) for name in layers}
            if isinstance(mode, DualMode):
                starts = dual_starts(logits, mode, self.epsilon)
            else:
                scalars = explained_scalars(widened(logits), target)
                starts = [(Backward.EPSILON, column, torch.ones_like(column)) for column in scalars.unbind(1)]
            gradients = _gradients(starts, sources, passes, create_graph)
            relevance = {
                name: torch.stack(
                    [self._relevance(name, g[name], source, leaf, passes.rows, stem) for g in gradients], 1
                )
                for name, source in sources.items()
            }
            logits = widened(logits)
        if not create_graph:
            logits, relevance = logits.detach(), {name: maps.detach() for name, maps in relevance.items()}
        return logits, relevance if layers else relevance["input"]

    def _check_input(self, x: torch.Tensor) -> None:
        if not isinstance(x, torch.Tensor) or not x.is_floating_point():
            got = x.dtype if isinstance(x, torch.Tensor) else type(x).__name__
            raise TypeError(f"relevance needs a floating-point input, got {got}: convert it, e.g. with x.float().")
        if x.ndim < 2 or len(x) == 0:
            raise ValueError(f"expected a batch (B, C, spatial...), got shape {tuple(x.shape)}.")
        if self.input_rule == "zb":
            look(partial(_refuse_out_of_range, self.input_range), *x.detach().aminmax())

    def _relevance(
        self,
        name: str,
        g: torch.Tensor,
        source: torch.Tensor,
        leaf: torch.Tensor,
        rows: torch.Tensor | None,
        stem: Stem | None,
    ) -> torch.Tensor:
        """The map of the input or of a layer from the gradient of its source, which is the stem's output for zᴮ."""
        x = leaf.detach()
        if rows is not None:
            g, source, x = (Taken.apply(t, rows) for t in (g, source, x))
        if name != "input":
            return widened(source) * g
        if stem is None:
            return x * g
        layer = stem.layer.fused()
        r = widened(source) * g
        return rules.zb_relevance(r, x, layer.linear, layer.weight, layer.bias, self.input_range, self.epsilon)


def _refuse_out_of_range(input_range: tuple[float, float], lowest: torch.Tensor, highest: torch.Tensor) -> None:
    if not (input_range[0] <= lowest and highest <= input_range[1]):  # neither is a NaN
        raise ValueError(
            f"the zB rule is for inputs in {input_range}, got values in [{lowest:g}, {highest:g}]: scale them, or give "
            "their range as input_range."
        )


def _stem(mode: RelevanceMode, image: torch.Tensor) -> Stem:
    """The first layer and activation, if the zᴮ rule fits them."""
    stem = mode.stem
    if stem is None or stem.layer.x is not image or image._version or any(uses.count != 1 for uses in stem.path):
        raise ValueError(
            "the zB rule needs a network that begins with one convolution or dense layer, an optional batch norm "
            "and an activation, and nothing else that uses the input; use input_rule=None for this one."
        )
    return stem


def _gradients(
    starts: Sequence[tuple[Backward, torch.Tensor, torch.Tensor]],
    sources: Mapping[str, torch.Tensor],
    passes: Passes,
    create_graph: bool,
) -> list[dict[str, torch.Tensor]]:
    """One relevance pass for each map: what to explain, and the gradient to start from."""
    maps = []
    for i, (backward, explained, start) in enumerate(starts):
        with passes.explaining(backward):
            found = torch.autograd.grad(
                explained if passes.rows is None else explained[passes.rows],
                list(sources.values()),
                passes.scale * (start if passes.rows is None else start[passes.rows]),
                create_graph=create_graph,
                retain_graph=create_graph or i + 1 < len(starts),
                allow_unused=True,
            )
        missing = [name for name, g in zip(sources, found, strict=True) if g is None]
        if missing:
            raise ValueError(
                f"no relevance reaches {missing}: there is no path of gradients from there to the logits (a detach, a "
                "rounding, or nothing but gates between them)."
            )
        maps.append({name: widened(g) / passes.scale for name, g in zip(sources, found, strict=True)})
    return maps


def _check_logits(logits: torch.Tensor, mode: RelevanceMode, network: torch.nn.Module) -> None:
    name = type(unwrapped(network)).__name__
    n = mode.passes.batch_size
    if logits.ndim != 2 or len(logits) < n or (len(logits) > n and mode.passes.rows is None):
        raise ValueError(
            f"{name} returned shape {tuple(logits.shape)}, expected logits (B, K) for the {n} "
            "samples. Where rows are appended to those of the input (Flow-Mixup), name the rows to explain."
        )
    tag = mode.tag(logits, "the explanation of the logits")
    if tag is not None and tag.role is Role.FACTOR:
        raise UncoveredOperationError(
            f"{name} does not return logits: {tag.error} If the network ends with softmax or sigmoid, let it return "
            "logits: losses take logits, and target=lambda z: z.softmax(1) explains probabilities."
        )
    if tag is not None and tag.error is not None:
        raise tag.error
    if tag is None or tag.role is not Role.FLOWS:
        raise ValueError(f"the logits of {name} do not depend on the input: there is nothing to explain.")


def _unchanged(name: str, mode: RelevanceMode, output: torch.Tensor, version: int) -> torch.Tensor:
    """A layer's output, if what came after it left it as it was."""
    if output._version != version or not mode.flows(output):
        raise ValueError(
            f"the output of layer {name!r} is changed in place after it, or does not depend on the input: name another."
        )
    if mode.passes.rows is not None and not mode.tags[output].batch_first:
        raise ValueError(
            f"the first dimension of the output of layer {name!r} is not known to be the batch: explain all rows, or "
            "with Flow-Mixup name a layer before the states that are mixed."
        )
    return output
