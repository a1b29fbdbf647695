# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Choose checkpoints by how much an exchange of backgrounds changes the predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from ignite.engine import Engine
from ignite.metrics import Metric

from monai_debias.metrics import background_swap_consistency
from monai_debias.parameters import constraints_of, expects

__all__ = ["BackgroundSwapConsistency"]


class BackgroundSwapConsistency(Metric):
    """Share of decisions that survive another image's background, as a metric of a MONAI evaluator.

    In-distribution accuracy cannot tell a network that reads the background from one that does not; this can. It needs
    masks of the validation images, but no images without the shortcut. A network that always predicts the same class
    is consistent, so use the product with a metric of quality as ``key_val_metric``; ignite's metrics can be
    multiplied.

    The metric has its own loader, since it needs masks, and images in which 0 is black: the evaluator's batches are
    often normalised, and have no masks. It runs at the end of each of the evaluator's epochs and costs ``1 + n_swaps``
    forward passes of each image. In distributed training every process measures all of ``loader``, whose sampler must
    not be distributed.

    Args:
        network: the evaluator's network, see :func:`monai_debias.metrics.background_swap_consistency`.
        loader: batches of images, in [0, 1] or another range where 0 is black, with masks; not shuffled.
        normalize: the transform between these images and the network; takes a batch (B, C, spatial...).
        n_swaps: how many other backgrounds each image gets.
        task: "softmax", "binary" or "multi_label".
        thresholds: the probability from which the answer is yes, see
            :func:`monai_debias.metrics.background_swap_consistency`; by default 0.5.
        image_key: key of the images, (B, C, spatial...).
        mask_key: key of the masks, (B, 1, spatial...), 1 = region of interest.
        seed: seed of the choice of donors; the same ones in every epoch.

    Raises:
        TypeError: when ``loader`` is an iterator, which can be passed through only once.
        ValueError: when ``n_swaps`` is below 1; at the end of an epoch, as
            :func:`monai_debias.metrics.background_swap_consistency`.

    Example:
        >>> from ignite.metrics import Accuracy
        >>> from monai.engines import SupervisedEvaluator
        >>> from monai.handlers import from_engine
        >>> network, device = torch.nn.Flatten(), torch.device("cpu")
        >>> batch = {"image": torch.tensor([[[0.0, 1.0]], [[2.0, 0.0]]]), "label": torch.tensor([1, 0])}
        >>> batch["mask"] = torch.tensor([[[1, 0]], [[1, 0]]])
        >>> accuracy = Accuracy(from_engine(["pred", "label"]))
        >>> consistency = BackgroundSwapConsistency(network, [batch])
        >>> key = {"consistent_accuracy": accuracy * consistency}
        >>> evaluator = SupervisedEvaluator(device, [batch], network, key_val_metric=key, decollate=False)
        >>> evaluator.run()
        >>> evaluator.state.metrics["consistent_accuracy"]
        0.5
    """

    @expects(**constraints_of(background_swap_consistency))
    def __init__(
        self,
        network: torch.nn.Module,
        loader: Iterable[Mapping[str, Any]],
        normalize: Callable[[torch.Tensor], torch.Tensor] | None = None,
        n_swaps: int = 1,
        task: str = "softmax",
        thresholds: float | Sequence[float] | None = None,
        image_key: str = "image",
        mask_key: str = "mask",
        seed: int = 0,
    ) -> None:
        if isinstance(loader, Iterator):
            raise TypeError(
                f"loader is read again in each epoch, so it cannot be an iterator such as {type(loader).__name__}; "
                "give a DataLoader or a list of batches."
            )
        super().__init__(output_transform=_ignored)
        self.network = network
        self.loader = loader
        self.options: dict[str, Any] = {
            "n_swaps": n_swaps,
            "task": task,
            "thresholds": thresholds,
            "normalize": normalize,
            "image_key": image_key,
            "mask_key": mask_key,
            "seed": seed,
        }

    def reset(self) -> None:
        """Nothing is kept from one epoch to the next."""

    def iteration_completed(self, engine: Engine) -> None:
        """The evaluator's own batches are not what is measured."""

    def update(self, output: Any) -> None:
        """See :meth:`iteration_completed`."""

    def compute(self) -> float:
        """Measure the network in its present state."""
        return background_swap_consistency(self.network, self.loader, **self.options).consistency


def _ignored(output: Any) -> None:
    """The evaluator's output is not used; ignite's default transform is a lambda, which cannot be pickled."""
