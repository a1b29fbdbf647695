# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Show, for each image that a classifier judges, where the relevance for its decision lies."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from matplotlib.figure import Figure

from monai_debias.constraints import BOOL, FUNCTION, KEY, MODULE, NONE, PATH, STRING, Integer, Number, OneOf, SequenceOf
from monai_debias.distributed import in_first
from monai_debias.files import replace_file
from monai_debias.metrics import background_relevance
from monai_debias.networks import evaluating
from monai_debias.origin import file_names, from_files
from monai_debias.parameters import expects
from monai_debias.relevance import LRP
from monai_debias.tasks import TASK, TASKS
from monai_debias.visualize import heatmap_overlay

__all__ = ["HeatmapSaver"]

_FOLDER = "heatmaps"
_SMOOTHING = 0.02  # of the longest side
_AT_ONCE = 64  # frames of a clip that the network sees at once


class HeatmapSaver:
    """Draw the relevance of every image to ``heatmaps/NAME.png``, and measure its share outside the region of interest.

    Attach it to an evaluator whose post-processing leaves probabilities of shape (K,) under ``"pred"``, before a
    :class:`PredictionSaver` with ``columns=["heatmap", "relevance_outside"]``: it writes these two into each sample.

    - ``heatmap``: the picture. It shows what speaks for (red) and against (blue) the most probable output, of a binary
      task its positive class: the relevance of its log-odds ln p/(1 - p), by :class:`~monai_debias.relevance.LRP`.
      Neither the name of the file nor anything of its header is in it. Of a clip it shows the frame with the highest
      log-odds, of a volume the three slices through the strongest relevance, of a signal the traces.
    - ``relevance_outside``: :func:`~monai_debias.metrics.background_relevance`, from 0 to 1; None without a mask.

    An image whose relevance is 0 everywhere gets neither, and a warning. What a heatmap says, and what not, is in
    ``docs/heatmaps.md``: relevance outside is a reason for doubt, its absence proves nothing.

    Args:
        output_dir: directory in which ``heatmaps`` is created.
        network: the classifier, which is explained in evaluation mode.
        class_names: names of the classes, after which the outputs of the network are named, see
            :mod:`monai_debias.tasks`.
        task: "softmax", "binary" or "multi_label".
        root: the folder of the images, whose sub-folders ``heatmaps`` gets as well.
        image_key: key of what the network sees, (C, spatial...), or with frames as the last dimension.
        shown_key: key of what is drawn, of the same shape, such as a copy from before the normalisation.
        mask_key: key of the region of interest, (1, spatial...), 1 = region; a sample may lack it.
        spatial_dims: spatial dimensions of one input of the network; one more dimension are frames.
        draw: what draws: takes an image (1, C, spatial...), which has its meta, relevance (1, 1, C, spatial...), a mask
            (1, 1, spatial...) or None, and ``titles``, a list of one text; returns a figure. By default
            :func:`~monai_debias.visualize.heatmap_overlay`, smoothed for the eye.
        epsilon: ε of LRP.
        input_rule: None, or ``"zb"`` for inputs within ``input_range``.
        input_range: lowest and highest value of an input, for the zᴮ rule.
        overwrite: whether to replace pictures of an earlier run; otherwise they are an error.

    Raises:
        ValueError: when the class names do not fit the task; in a run, when an image has another number of dimensions.
        FileExistsError: when pictures exist and ``overwrite`` is False; raised before the first batch.
        UncoveredOperationError: in a run, when the network has an operation without a rule for relevance.

    Reference:
        Bach et al., PLoS ONE 2015 (LRP).

    Example:
        >>> import tempfile
        >>> network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
        >>> sample = {"image": torch.rand(1, 16, 16), "mask": torch.ones(1, 16, 16)}
        >>> evaluator = Engine(lambda engine, batch: [{"pred": torch.tensor([0.25, 0.75])}])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     HeatmapSaver(folder, network, ["A2C", "A4C"]).attach(evaluator)
        ...     _ = evaluator.run([[sample]])
        ...     Path(folder, sample["heatmap"]).exists(), sample["relevance_outside"]
        (True, 0.0)
    """

    @expects(
        output_dir=PATH,
        network=MODULE,
        class_names=SequenceOf(STRING, least=1),
        task=TASK,
        root=NONE | PATH,
        image_key=KEY,
        shown_key=NONE | KEY,
        mask_key=KEY,
        spatial_dims=Integer("[1, 3]"),
        draw=NONE | FUNCTION,
        epsilon=Number("[0, inf)"),
        input_rule=NONE | OneOf("zb"),
        input_range=SequenceOf(Number(), length=2),
        overwrite=BOOL,
    )
    def __init__(
        self,
        output_dir: str | Path,
        network: torch.nn.Module,
        class_names: Sequence[str],
        task: str = "softmax",
        root: str | Path | None = None,
        image_key: Hashable = "image",
        shown_key: Hashable | None = None,
        mask_key: Hashable = "mask",
        spatial_dims: int = 2,
        draw: Callable[..., Figure] | None = None,
        epsilon: float = 1e-2,
        input_rule: str | None = None,
        input_range: Sequence[float] = (0.0, 1.0),
        overwrite: bool = False,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.network = network
        self.task, self.names = task, TASKS[task].output_names(class_names)
        self.root = None if root is None else Path(root)
        self.image_key, self.mask_key = image_key, mask_key
        self.shown_key = image_key if shown_key is None else shown_key
        self.spatial_dims = spatial_dims
        self.draw = draw or partial(heatmap_overlay, smoothing=_SMOOTHING)
        self.explain = LRP(network, epsilon, input_rule, (input_range[0], input_range[1]))
        self.overwrite = overwrite
        self.logger = logging.getLogger(type(self).__name__)
        self._done = 0

    def attach(self, engine: Engine) -> None:
        """Attach to an ignite engine whose output is a list of sample dictionaries."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._explain)

    def _start(self, engine: Engine) -> None:
        self._done = 0
        there = in_first(lambda: next((self.output_dir / _FOLDER).rglob("*.png"), None))  # before another process draws
        if there is not None and not self.overwrite:
            raise FileExistsError(
                f"{there} exists already; give another output_dir, or "
                "overwrite=True (in a bundle --overwrite True) to replace it."
            )

    def _explain(self, engine: Engine) -> None:
        samples: Any = engine.state.batch  # ignite leaves the types open
        outputs: Any = engine.state.output
        for sample, output in zip(samples, outputs, strict=True):
            probabilities = torch.as_tensor(output["pred"]).detach().flatten()
            with evaluating(self.network):
                sample["heatmap"], sample["relevance_outside"] = self._of_sample(sample, probabilities)
            self._done += 1

    def _of_sample(self, sample: dict[Hashable, Any], probabilities: torch.Tensor) -> tuple[str | None, float | None]:
        """Name of the picture of a sample, and its share of relevance outside; None where there is none."""
        k = int(probabilities.argmax())
        title = f"{self.names[k]}, p = {probabilities[k]:.2f}"
        image, shown, mask = sample[self.image_key], sample[self.shown_key], sample.get(self.mask_key)
        files = file_names(image)
        if image.ndim == self.spatial_dims + 2:
            frame = self._most_telling_frame(image, k)
            title += f", frame {frame + 1} of {image.shape[-1]}"
            image, shown = image[..., frame], shown[..., frame]
            mask = mask[..., frame] if mask is not None and mask.ndim == self.spatial_dims + 2 else mask
        region = None if mask is None or not bool(mask.any()) else torch.as_tensor(mask)[None].cpu()
        relevance = self.explain(self._input(image[None]), target=partial(self._log_odds, k=k))[1].cpu()
        if not relevance.any():
            of = from_files(files)
            self.logger.warning("an image%s has no relevance for %s anywhere: no heatmap is drawn.", of, self.names[k])
            return None, None
        name = Path(_FOLDER, self._name(files[0] if files else str(self._done)))
        path = self.output_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        figure = self.draw(torch.as_tensor(shown)[None].cpu(), relevance, region, titles=[title])
        with replace_file(path, "wb") as file:
            figure.savefig(file, format="png", dpi=110)
        outside = None if region is None else float(background_relevance(relevance, region))
        return name.as_posix(), outside

    def _most_telling_frame(self, clip: torch.Tensor, k: int) -> int:
        frames = self._input(clip.movedim(-1, 0))
        with torch.no_grad():
            logits = torch.cat([self.network(part) for part in frames.split(_AT_ONCE)])
        return int(self._log_odds(logits, k).argmax())

    def _input(self, image: torch.Tensor) -> torch.Tensor:
        """A batch as the network takes it, where the network is."""
        if image.ndim != self.spatial_dims + 2:
            raise ValueError(
                f"an image has shape {tuple(image.shape[1:])}, expected (C, {self.spatial_dims} spatial dimensions), "
                "or the same with frames at the end: give HeatmapSaver the spatial_dims of the network."
            )
        place = next(self.network.parameters(), image)
        return image.as_subclass(torch.Tensor).to(place.device, torch.float32)

    def _name(self, file: str) -> Path:
        """The path of a picture below the folder of pictures: that of its image, so that no two have the same."""
        path = Path(file)
        within = self.root is not None and path != self.root and path.is_relative_to(self.root)
        below = path.relative_to(self.root if self.root is not None and within else path.anchor)
        return Path(path.name if path == self.root else below).with_name(f"{path.name}.png")

    def _log_odds(self, logits: torch.Tensor, k: int) -> torch.Tensor:
        """Log-odds of an output, (B,): of a softmax its logit less those of all other classes together."""
        if TASKS[self.task].has_thresholds:  # each output has its own sigmoid
            return logits[:, k]
        return logits[:, k] - torch.cat([logits[:, :k], logits[:, k + 1 :]], 1).logsumexp(1)
