# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A finder for pictures with a bright area, and a data set of such pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from monai_debias.data import ImageFileReader, save_datalist
from monai_debias.data.found_masks.finder import FoundMask


class BrightArea:
    """Finds what is brighter than a level; areas below a tenth of the picture are not usable without a look."""

    def __init__(self, level: int, log: Path) -> None:
        self.level, self.log = level, log

    @property
    def signature(self) -> str:
        return f"above {self.level}"

    def load(self, path: Path) -> torch.Tensor:
        reader = ImageFileReader()
        return torch.tensor(reader.get_data(reader.read(path))[0])[None]

    def find(self, image: torch.Tensor) -> FoundMask:
        with self.log.open("a", encoding="utf-8") as file:
            file.write("x")
        mask = image[0].numpy() > self.level
        if not mask.any():
            raise ValueError("nothing is bright.")
        area = float(mask.mean())
        return FoundMask(mask, "level", area, "" if area > 0.1 else "small", area > 0.1)

    def calls(self) -> int:
        return len(self.log.read_text(encoding="utf-8")) if self.log.exists() else 0


def make_pictures(folder: Path) -> Path:
    """A data set of pictures of 20 x 30, with 2, 8 and 16 bright rows of 10 pixels, and a black one."""
    (folder / "pictures").mkdir(parents=True)
    items = []
    for n, rows in enumerate((2, 8, 16, 0)):
        picture = np.zeros((20, 30), np.uint8)
        picture[1 : 1 + rows, 5:15] = 200
        Image.fromarray(picture).save(folder / "pictures" / f"{n}.png")
        items.append({"image": f"pictures/{n}.png", "label": n % 2, "patient_id": f"p{n}"})
    save_datalist(folder, {"training": items}, ("a", "b"), "four pictures")
    return folder
