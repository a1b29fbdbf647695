# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Mixup, Manifold Mixup and Flow-Mixup: three settings of one transform that mixes a batch and its labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from monai.config import NdarrayOrTensor
from monai.transforms import Randomizable, Transform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_tensor

from monai_debias.constraints import MODULE, NONE, STRING, Integer, Number, OneOf, SequenceOf
from monai_debias.labels import IGNORE_VALUE, check_batch, ignored_values, label_rows
from monai_debias.parameters import expects
from monai_debias.pixels import native
from monai_debias.transforms.hidden_states import arm, disarm, find_states
from monai_debias.transforms.mixtures import Mixture, mix_known_rows, mix_rows

__all__ = ["INPUT", "MixBatch"]

INPUT = "input"


class MixBatch(Randomizable, Transform):
    r"""Mix a batch of images or of hidden states, and their labels.

    For a state h with the samples of the batch as rows, and labels y as rows of one value for each class:

    .. math:: h' = \lambda h + (1 - \lambda) h[\pi], \quad y' = \lambda y + (1 - \lambda) y[\pi]

    with :math:`\lambda \sim \mathrm{Beta}(\alpha, \alpha)` and a random permutation π, both drawn for each state and
    batch. The state ``"input"`` is the image itself; a hidden state is mixed in the network's next training pass, in
    training mode and with gradients. Evaluation passes and the network itself are not changed.

    ======================= =================== =============== ============== =========================
    method                  layers              ``flow``        ``select``     constructor
    ======================= =================== =============== ============== =========================
    Mixup                   ``"input"``         ``"replace"``   ``"all"``      :meth:`mixup`
    Manifold Mixup          several             ``"replace"``   ``"random"``   :meth:`manifold_mixup`
    Flow-Mixup              several             ``"append"``    ``"all"``      :meth:`flow_mixup`
    ======================= =================== =============== ============== =========================

    With ``flow="append"`` the un-mixed rows come first, then the rows mixed at each state in turn; a later state mixes
    the un-mixed rows again. Un-mixed and mixed rows go through the network together, and only the layers after a state
    see its rows. The paper does not say how rows are passed on; this is our reading. Its loss is the mean over the
    groups of rows, see ``MixupLoss``.

    A layer is suitable if everything that the network computes later depends on its output alone: a stage, but not a
    branch of a skip connection, nor a part that is computed again in the backward pass (checkpointing).

    Args:
        network: the classifier whose hidden states are mixed; not needed for ``"input"`` alone.
        layers: states by their names in ``network.named_modules()``, in the order in which they are computed, and
            ``"input"`` first.
        alpha: α of the Beta distribution, above 0: a small α leaves most rows nearly un-mixed, 1 is uniform. The papers
            use 0.1 to 2.
        flow: ``"append"`` mixed rows to the un-mixed ones, or ``"replace"`` these.
        select: ``"all"`` states in each batch, or one at ``"random"``.
        num_classes: number of classes K, for labels that are class indices; 1 for a single logit.
        ignore_value: the value of a missing label, e.g. -1, -100 or NaN, or several such numbers; None if no label is
            missing. A mixed label is missing if one of the two is, unless that one's share is exactly 0: then the
            mixture is the other sample. Give the same value to the loss.

    Raises:
        ValueError: when an argument is out of its range; in a call, when the labels do not fit the images, are class
            indices without ``num_classes``, or are neither missing nor in [0, 1]; and in the pass, when the network is
            given other rows, or a state is not computed exactly once, in the given order and with the batch first.
        TypeError: when ``layers`` is a string, the network is scripted, compiled or in ``DataParallel``, or in the
            pass, when a state is not a tensor.

    Reference:
        Zhang et al., mixup, ICLR 2018; Verma et al., Manifold Mixup, ICML 2019; Chen et al., Flow-Mixup, BIBM 2020.

    Example:
        >>> import torch
        >>> mixup = MixBatch.mixup(num_classes=3).set_random_state(0)
        >>> image, label = mixup(torch.eye(2), torch.tensor([0, 2]))
        >>> bool((label.sum(1) == 1).all()), image.shape, label.shape
        (True, torch.Size([2, 2]), torch.Size([2, 3]))
        >>> network = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
        >>> flow_mixup = MixBatch.flow_mixup(network, ["1"], num_classes=3)
        >>> image, label = flow_mixup(torch.rand(5, 4), torch.tensor([0, 1, 2, 0, 1]))
        >>> image.shape, label.shape, network(image).shape, network(image).shape
        (torch.Size([5, 4]), torch.Size([10, 3]), torch.Size([10, 3]), torch.Size([5, 3]))
    """

    backend = [TransformBackends.TORCH, TransformBackends.NUMPY]

    @expects(
        network=NONE | MODULE,
        layers=SequenceOf(STRING, least=1),
        alpha=Number("(0, inf)"),
        flow=OneOf("append", "replace"),
        select=OneOf("all", "random"),
        num_classes=NONE | Integer("[1, inf)"),
        ignore_value=IGNORE_VALUE,
    )
    def __init__(
        self,
        network: torch.nn.Module | None = None,
        layers: Sequence[str] = (INPUT,),
        alpha: float = 1.0,
        flow: str = "append",
        select: str = "all",
        num_classes: int | None = None,
        ignore_value: float | Sequence[float] | None = None,
    ) -> None:
        layers = tuple(layers)
        if len(set(layers)) < len(layers) or INPUT in layers[1:]:
            raise ValueError(f'layers must be different names, with "input" as the first or not at all, got {layers}.')
        hidden = [layer for layer in layers if layer != INPUT]
        if hidden and network is None:
            raise ValueError(f"the states {hidden} are hidden states, but network is None; give the network.")
        if hidden and network is not None:
            find_states(network, hidden)
        self.network = network
        self.layers = layers
        self.alpha = float(alpha)
        self.flow = flow
        self.select = select
        self.num_classes = num_classes
        self.ignore_value = ignored_values(ignore_value)
        self._mixtures: list[Mixture] = []

    @classmethod
    def mixup(
        cls,
        alpha: float = 1.0,
        num_classes: int | None = None,
        ignore_value: float | Sequence[float] | None = None,
    ) -> MixBatch:
        """Mixup: images are mixed."""
        return cls(None, (INPUT,), alpha, "replace", "all", num_classes, ignore_value)

    @classmethod
    def manifold_mixup(
        cls,
        network: torch.nn.Module,
        layers: Sequence[str],
        alpha: float = 1.0,
        num_classes: int | None = None,
        ignore_value: float | Sequence[float] | None = None,
    ) -> MixBatch:
        """Manifold Mixup: in each batch one state, drawn at random, is mixed."""
        return cls(network, layers, alpha, "replace", "random", num_classes, ignore_value)

    @classmethod
    def flow_mixup(
        cls,
        network: torch.nn.Module,
        layers: Sequence[str],
        alpha: float = 1.0,
        num_classes: int | None = None,
        ignore_value: float | Sequence[float] | None = None,
    ) -> MixBatch:
        """Flow-Mixup: in each batch all states are mixed, and the mixed rows are appended to the un-mixed ones."""
        return cls(network, layers, alpha, "append", "all", num_classes, ignore_value)

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups of rows that a batch has, in their order, for ``MixupLoss``."""
        if self.flow == "replace":
            return ("mixed",)
        return ("unmixed", "mixed") if self.select == "random" else ("unmixed", *self.layers)

    @property
    def mixtures(self) -> tuple[Mixture, ...]:
        """What was drawn for the last batch: layer, λ and π of each state that is mixed."""
        return tuple(self._mixtures)

    def randomize(self, data: int) -> None:
        """Draw which states of a batch are mixed, and λ and π of each.

        Args:
            data: number of samples of the batch.
        """
        layers = self.layers if self.select == "all" else (self.layers[self.R.randint(len(self.layers))],)
        self._mixtures = [
            Mixture(layer, float(self.R.beta(self.alpha, self.alpha)), self.R.permutation(data)) for layer in layers
        ]

    def __call__(
        self, img: NdarrayOrTensor, label: NdarrayOrTensor, randomize: bool = True
    ) -> tuple[NdarrayOrTensor, NdarrayOrTensor]:
        """Mix the images or arm the network, and mix the labels.

        Args:
            img: images, signals or volumes (B, C, spatial...), or features (B, C).
            label: class indices (B,) or (B, 1), or rows (B, K) of values in [0, 1]: one-hot, multi-hot or soft.
            randomize: whether to draw new mixtures, or to use the last ones again.

        Returns:
            Images and labels (B', K) of the type of the given ones, and floating-point (integers become float32). With
            ``"replace"`` B' is B; with ``"append"`` the images have B more rows if they are mixed themselves, and the
            labels B more rows for each state. Meta data are those of the un-mixed images.
        """
        n_samples = check_batch(img, label)
        if randomize:
            self.randomize(n_samples)
        mixed = self.mix_input(img), self.mix_label(label)
        self.arm_network(n_samples, len(mixed[0]))
        return mixed

    def mix_input(
        self, img: NdarrayOrTensor, combine: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None
    ) -> NdarrayOrTensor:
        """Mix an entry of the batch that belongs to the network's input, with the last mixture of the images, if any.

        Args:
            img: shape (B, ...).
            combine: function of a row's own value and its partner's that gives the mixed one, e.g. ``torch.maximum``
                for masks; None for the mean with the weights λ and 1 − λ.

        Returns:
            Shape (B, ...), or (2B, ...) with ``"append"``; ``img`` itself if only hidden states are mixed.
        """
        rows = self._of_drawn_size(convert_to_tensor(native(img), track_meta=False))
        if self._mixtures[0].layer != INPUT:
            return img
        if combine is None:
            rows = rows if rows.is_floating_point() else rows.float()
            mixed = mix_rows(rows, self._mixtures[0])
        else:
            mixed = combine(rows, rows[torch.as_tensor(self._mixtures[0].order, device=rows.device)])
        joined = torch.cat([rows, mixed]) if self.flow == "append" else mixed
        return convert_to_dst_type(joined, img, dtype=joined.dtype)[0]

    def mix_label(self, label: NdarrayOrTensor) -> NdarrayOrTensor:
        """Mix the labels with the mixtures that were drawn last.

        Args:
            label: class indices (B,) or (B, 1), or rows (B, K) of values in [0, 1]: one-hot, multi-hot or soft.

        Returns:
            Rows (B', K), floating-point; a missing label has the first of the values in ``ignore_value``.
        """
        rows = label_rows(label, self.num_classes, self.ignore_value)  # NaN where a label is missing
        rows = self._of_drawn_size(rows)
        joined = mix_known_rows(rows, self._mixtures, self.flow == "append")
        if self.ignore_value:
            joined = joined.masked_fill(joined.isnan(), self.ignore_value[0])
        return convert_to_dst_type(joined, label, dtype=joined.dtype)[0]

    def mix_weight(self, weight: NdarrayOrTensor) -> NdarrayOrTensor:
        """Mix the weights of the samples in the loss in the same way as the labels.

        Args:
            weight: shape (B,).

        Returns:
            Shape (B',), floating-point.
        """
        rows = self._of_drawn_size(convert_to_tensor(native(weight), track_meta=False))
        rows = rows if rows.is_floating_point() else rows.float()
        joined = mix_known_rows(rows, self._mixtures, self.flow == "append")
        return convert_to_dst_type(joined, weight, dtype=joined.dtype)[0]

    def arm_network(self, n_samples: int, n_rows: int) -> None:
        """Mix the hidden states that were drawn last in the network's next training pass.

        Args:
            n_samples: number B of un-mixed samples.
            n_rows: rows of the network's input, B, or 2B if mixed images are appended.
        """
        if self.network is not None and self.layers != (INPUT,):
            hidden = [mixture for mixture in self._mixtures if mixture.layer != INPUT]
            arm(self.network, hidden, n_samples, n_rows, self.flow == "append")

    def disarm(self) -> None:
        """Do not mix hidden states in the network's next training pass; needed if a mixed batch is dropped."""
        if self.network is not None:
            disarm(self.network)

    def _of_drawn_size(self, rows: torch.Tensor) -> torch.Tensor:
        """The rows themselves, if the last mixtures were drawn for as many."""
        if not self._mixtures or len(rows) != len(self._mixtures[0].order):
            drawn = f"were drawn for {len(self._mixtures[0].order)} rows" if self._mixtures else "were not drawn yet"
            raise ValueError(
                f"an entry of {len(rows)} rows is to be mixed, but mixtures {drawn}: all entries of a batch need the "
                "same number of rows, and the first call needs randomize=True."
            )
        return rows
