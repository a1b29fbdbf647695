# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Lungs in films of the demo cohort, in a real film, and in what is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.metrics import compute_dice
from PIL import Image

from benchmarks.real_film import load_real_film, visible_lungs
from monai_debias.apps.radiography.lung_masks.finder import DEMO_WEIGHTS, LungFinder
from monai_debias.data import load_datalist

# rows and columns of the real film, as fractions, picked by eye: neck, shoulders, arm, spine and abdomen
OUTSIDE = ((0.05, 0.5), (0.2, 0.08), (0.2, 0.93), (0.5, 0.03), (0.2, 0.485), (0.92, 0.25), (0.95, 0.8))


@pytest.fixture(scope="module")
def finder():
    return LungFinder()


@pytest.mark.parametrize("section", ["test_random", "test_external"])
def test_films_of_the_demo_cohort(section, finder, cohort):
    for item in load_datalist(cohort, section):
        found = finder.find(finder.load(Path(item["image"])))
        true = torch.from_numpy(np.asarray(Image.open(item["mask"])) > 0)
        overlap = compute_dice(torch.from_numpy(found.mask)[None, None], true[None, None])
        assert overlap > 0.93, item["image"]
        assert found.usable, found.doubts
        assert 0.9 < found.confidence <= 1


@pytest.mark.parametrize("change", ["as it is", "darker", "half the size", "padded"])
def test_a_real_film(change, finder):
    """Metastases hide much of its lungs."""
    real = load_real_film()
    film = {
        "as it is": real,
        "darker": real**3,
        "half the size": real[:, ::2, ::2],
        "padded": torch.nn.functional.pad(real, (300, 300)),
    }[change]
    found = finder.find(film)
    assert found.mask.shape == film.shape[1:]
    assert found.usable, found.doubts
    mask = found.mask[:, 300:-300] if change == "padded" else found.mask
    lungs = visible_lungs(*mask.shape)
    assert (mask & lungs).sum() > 0.97 * lungs.sum()
    for row, column in OUTSIDE:
        assert not mask[int(row * mask.shape[0]), int(column * mask.shape[1])], (row, column)


@pytest.mark.parametrize("kind", ["black", "ramp", "noise"])
def test_what_is_no_chest_film_is_not_usable(kind, finder):
    picture = {
        "black": torch.zeros(1, 100, 120),
        "ramp": torch.linspace(0, 1, 200).expand(1, 150, 200),
        "noise": torch.rand(1, 90, 90, generator=torch.Generator().manual_seed(0)),
    }[kind]
    try:
        assert not finder.find(picture).usable
    except ValueError as error:
        assert str(error) == "no lungs were found."  # noqa: PT017


def test_other_weights_are_refused(tmp_path):
    torch.save({"weight": torch.ones(1)}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"model\.pt is not a model\.pt of bundles/lung_mask"):
        LungFinder(tmp_path / "model.pt")
    content = bytearray(DEMO_WEIGHTS.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(ValueError, match="is damaged"):
        LungFinder(tmp_path / "model.pt")
    with pytest.raises(FileNotFoundError):
        LungFinder(tmp_path / "gone.pt")


def test_the_weights_are_small():
    assert DEMO_WEIGHTS.stat().st_size < 3_000_000
