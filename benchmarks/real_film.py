# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The one real chest film that a package brings, RG1 of pydicom-data, with an outline of its lungs by hand.

The outline follows what is seen of the lungs, along ribs, heart and diaphragm, as readers draw it. It was drawn by one
of the authors of this package, who is no radiologist.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom.data import get_testdata_file

from monai_debias.apps.radiography import RadiographReader
from monai_debias.data import FileReadWarning

# (column, row) of a copy with 614 columns and 652 rows
_LUNGS = (
    "245,60 200,50 160,60 120,100 95,150 78,220 68,300 60,380 52,450 45,500 80,490 120,472 160,468 205,478 208,420 "
    "215,370 235,330 240,260 250,200 262,140 262,100",
    "345,80 365,55 410,50 450,65 490,105 515,160 530,220 545,300 553,380 558,450 560,520 540,495 510,485 482,483 "
    "470,460 450,420 420,370 390,320 365,280 350,230 345,180 340,130",
)


def load_real_film() -> torch.Tensor:
    """The film, (1, rows, columns), in [0, 1]."""
    reader, path = RadiographReader(), Path(str(get_testdata_file("RG1_UNCR.dcm")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FileReadWarning)  # its pixel spacing is 0
        return torch.from_numpy(reader.get_data(reader.read(path))[0])[None]


def visible_lungs(rows: int, columns: int) -> NDArray[np.bool_]:
    """The outline by hand, filled, in a copy of the film of this size."""
    picture = Image.new("1", (columns, rows))
    for lung in _LUNGS:
        corners = (map(float, corner.split(",")) for corner in lung.split())
        ImageDraw.Draw(picture).polygon([(x * columns / 614, y * rows / 652) for x, y in corners], fill=1)
    return np.asarray(picture)
