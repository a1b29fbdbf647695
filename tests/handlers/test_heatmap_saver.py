# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What is written of the relevance of each image, and that it is the relevance for what was decided."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from matplotlib.figure import Figure
from matplotlib.image import imread
from monai.data import MetaTensor

from monai_debias.handlers import HeatmapSaver, PredictionSaver
from monai_debias.metrics import background_relevance
from monai_debias.relevance import LRP
from tests.handlers.report_batches import read
from tests.samples import NETWORK, VIEWS, make_network

EXAMPLES = {
    HeatmapSaver: [
        {"output_dir": "$folder", "network": NETWORK, "class_names": VIEWS, "root": "/data"},
        {"output_dir": "$folder", "network": NETWORK, "class_names": VIEWS, "epsilon": 0.1, "overwrite": True},
    ]
}
GENERATOR = torch.Generator()


def image(*shape: int, file: str = "/data/ward/a.dcm", seed: int = 0) -> MetaTensor:
    pixels = torch.rand(1, *shape, generator=GENERATOR.manual_seed(seed))
    return MetaTensor(pixels, meta={"filename_or_obj": file, "PatientName": "Doe^Jane"})


def linear(*rows: list[float]) -> torch.nn.Module:
    """A network whose relevance is known: its logits are sums of pixels times weights."""
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(len(rows[0]), len(rows), bias=False))
    network[1].weight.data = torch.tensor(rows)
    return network


class Drawn:
    """Keeps what it is asked to draw."""

    def __init__(self) -> None:
        self.calls: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, list[str]]] = []

    def __call__(
        self, shown: torch.Tensor, relevance: torch.Tensor, mask: torch.Tensor | None, titles: list[str]
    ) -> Figure:
        self.calls.append((shown, relevance, mask, titles))
        return Figure(figsize=(1, 1))


def run(handlers: list[Any], samples: list[dict[str, Any]], pred: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Evaluate, one sample in a batch."""
    evaluator = Engine(lambda engine, batch: [{"pred": pred(sample["image"].as_tensor()[None])[0]} for sample in batch])
    for handler in handlers:
        handler.attach(evaluator)
    evaluator.run([[sample] for sample in samples])


def softmax(network: torch.nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda batch: network.eval()(batch).softmax(1).detach()


def test_pictures_and_shares_beside_the_predictions(tmp_path):
    network, root, samples = make_network().eval(), Path("/data"), []
    for i, name in enumerate(("ward/a.dcm", "ward/b.dcm", "a.dcm")):
        samples.append({"image": image(16, 16, file=str(root / name), seed=i)})
    samples[0]["mask"] = torch.zeros(1, 16, 16)
    samples[0]["mask"][:, 4:12, 4:12] = 1
    samples[1]["mask"] = torch.zeros(1, 16, 16)  # a mask of nothing tells nothing
    saver = HeatmapSaver(tmp_path, network, VIEWS, root=root)
    columns = ["heatmap", "relevance_outside"]
    run([saver, PredictionSaver(tmp_path, VIEWS, columns=columns, root=root)], samples, softmax(network))
    rows = read(tmp_path / "predictions.csv")
    assert [row["heatmap"] for row in rows] == [f"heatmaps/{n}.png" for n in ("ward/a.dcm", "ward/b.dcm", "a.dcm")]
    pictures = [imread(tmp_path / row["heatmap"]) for row in rows]
    assert all(np.ptp(picture[..., 0]) > 0.5 for picture in pictures)
    x = samples[0]["image"].as_tensor()[None]
    k = int(network(x).argmax())
    _, relevance = LRP(network)(x, target=lambda z: z[:, k] - z[:, 1 - k])
    expected = background_relevance(relevance, samples[0]["mask"][None]).item()
    assert float(rows[0]["relevance_outside"]) == pytest.approx(expected, abs=1e-5)
    assert [row["relevance_outside"] for row in rows[1:]] == ["", ""]
    assert network.training is False


@pytest.mark.parametrize(
    ("task", "names", "weights", "k", "expected"),
    [
        ("softmax", ["A", "B"], [[1.0, 0.0], [0.0, 2.0]], 1, [-1.0, 2.0]),
        ("softmax", ["A", "B"], [[60.0, 0.0], [0.0, 2.0]], 0, [60.0, -2.0]),  # where p is 1 in float32
        ("binary", ["healthy", "ill"], [[1.0, -3.0]], 0, [1.0, -3.0]),
        ("multi_label", ["cyst", "stone"], [[-1.0, 0.0], [-3.0, 1.0]], 0, [-1.0, 0.0]),
    ],
)
def test_what_is_explained_is_the_log_odds_of_the_most_probable_output(task, names, weights, k, expected, tmp_path):
    network, draw = linear(*weights), Drawn()
    sample = {"image": MetaTensor(torch.ones(1, 1, 2), meta={"filename_or_obj": "/data/a.png"})}

    def predict(batch: torch.Tensor) -> torch.Tensor:
        logits = network(batch).detach()
        return logits.softmax(1) if task == "softmax" else logits.sigmoid()

    saver = HeatmapSaver(tmp_path, network, names, task, draw=draw)
    run([saver], [sample], predict)
    ((_, relevance, mask, titles),) = draw.calls
    assert mask is None
    assert relevance.flatten().tolist() == pytest.approx(expected)
    assert titles == [f"{saver.names[k]}, p = {predict(sample['image'][None])[0, k]:.2f}"]
    assert sample["heatmap"] == "heatmaps/data/a.png.png"


def test_of_a_clip_the_frame_that_speaks_most_for_the_decision(tmp_path):
    network, draw = linear([1.0, 0.0], [0.0, 1.0]), Drawn()
    frames = torch.tensor([[1.0, 5.0], [1.0, 2.0], [1.0, 6.0], [9.0, 0.0]])  # of all of them B is the likeliest
    clip = MetaTensor(frames.T[None, None], meta={"filename_or_obj": "/data/clip.dcm"})
    shown = torch.arange(8.0).reshape(1, 1, 2, 4)
    sample = {"image": clip, "mask": torch.tensor([[[0, 1]]]), "shown": shown}
    saver = HeatmapSaver(tmp_path, network, ["A", "B"], shown_key="shown", draw=draw, root="/data/clip.dcm")
    run([saver], [sample], lambda batch: torch.tensor([[0.25, 0.75]]))
    ((drawn, relevance, mask, titles),) = draw.calls
    assert titles == ["B, p = 0.75, frame 3 of 4"]
    assert drawn.flatten().tolist() == [2, 6]
    assert relevance.flatten().tolist() == [-1, 6]
    assert mask is not None
    assert mask.shape == (1, 1, 1, 2)
    assert sample["relevance_outside"] == pytest.approx(1 / 7)
    assert sample["heatmap"] == "heatmaps/clip.dcm.png"


def test_volumes_and_signals(tmp_path):
    volume, signal = {"image": image(4, 5, 6)}, {"image": image(40)}
    mean = torch.nn.Sequential(torch.nn.AdaptiveAvgPool3d(2), torch.nn.Flatten())
    run([HeatmapSaver(tmp_path / "3", mean, list("abcdefgh"), spatial_dims=3)], [volume], softmax(mean))
    traces = torch.nn.Sequential(torch.nn.AdaptiveAvgPool1d(2), torch.nn.Flatten())
    run([HeatmapSaver(tmp_path / "1", traces, ["a", "b"], spatial_dims=1)], [signal], softmax(traces))
    assert (tmp_path / "3" / volume["heatmap"]).exists()
    assert (tmp_path / "1" / signal["heatmap"]).exists()


def test_an_image_without_relevance_has_no_picture(tmp_path, caplog):
    network = linear([1.0, 0.0], [0.0, 1.0])
    sample = {
        "image": MetaTensor(torch.zeros(1, 1, 2), meta={"filename_or_obj": "black.png"}),
        "mask": torch.ones(1, 1, 2),
    }
    run([HeatmapSaver(tmp_path, network, ["A", "B"])], [sample], softmax(network))
    assert (sample["heatmap"], sample["relevance_outside"]) == (None, None)
    assert "an image (black.png) has no relevance for A anywhere: no heatmap is drawn" in caplog.text
    assert not list(tmp_path.rglob("*.png"))


def test_pictures_are_not_overwritten_silently(tmp_path):
    network = linear([1.0, 0.0], [0.0, 1.0])
    sample = {"image": MetaTensor(torch.ones(1, 1, 2), meta={"filename_or_obj": "a.png"})}
    run([HeatmapSaver(tmp_path, network, ["A", "B"], draw=Drawn())], [sample], softmax(network))
    before = (tmp_path / "heatmaps" / "a.png.png").stat().st_ino
    with pytest.raises(FileExistsError, match=r"a\.png\.png exists already; give another output_dir, or overwrite"):
        run([HeatmapSaver(tmp_path, network, ["A", "B"])], [sample], softmax(network))
    assert (tmp_path / "heatmaps" / "a.png.png").stat().st_ino == before
    run([HeatmapSaver(tmp_path, network, ["A", "B"], overwrite=True)], [sample], softmax(network))
    assert (tmp_path / "heatmaps" / "a.png.png").stat().st_ino != before


def test_a_shape_that_the_network_does_not_take(tmp_path):
    network = linear([1.0, 0.0], [0.0, 1.0])
    with pytest.raises(ValueError, match=r"shape \(1, 2\), expected \(C, 2 spatial dimensions\).*spatial_dims of the"):
        run([HeatmapSaver(tmp_path, network, ["A", "B"])], [{"image": image(2)}], softmax(network))
