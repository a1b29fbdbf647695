# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Draw docs/images/isnet_heatmaps.png: where a plain network and an ISNet look, on the same digits of biased MNIST.

Run from the root of the repository, with the extra ``dev`` and the digits installed, after
``python -m benchmarks.figures.isnet_curves --out FOLDER``, whose networks it takes:
``python -m benchmarks.figures.isnet_heatmaps FOLDER``.
The digits are the first of each of four classes in the test set.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from benchmarks.evidence.testbeds.biased_mnist import make_network
from monai_debias.demo import load_biased_mnist
from monai_debias.relevance import LRP
from monai_debias.visualize import heatmap_overlay

ROOT = Path(__file__).parents[2]
CLASSES = (0, 3, 4, 7)


def main(folder: str) -> None:
    """Explain the logit of each digit's class by both networks."""
    test = load_biased_mnist("test")
    chosen = torch.tensor([int((test.label == label).nonzero()[0]) for label in CLASSES])
    relevance = {}
    for title, name in (("plain", "plain"), ("Selective ISNet", "isnet_unblended")):
        network = make_network().eval()
        network.load_state_dict(torch.load(Path(folder) / f"{name}.pt", weights_only=True))
        _, relevance[title] = LRP(network)(test.image[chosen], target=test.label[chosen])
    titles = [f"digit {label}" for label in CLASSES]
    path = ROOT / "docs" / "images" / "isnet_heatmaps.png"
    heatmap_overlay(test.image[chosen], relevance, test.mask[chosen], titles).savefig(path, dpi=100)
    print(path.relative_to(ROOT))


if __name__ == "__main__":
    main(sys.argv[1])
