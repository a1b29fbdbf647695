# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the networks of the demo look, on the same clips."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from matplotlib.figure import Figure

from monai_debias.audit.models import load_model
from monai_debias.data import load_datalist
from monai_debias.handlers.checkpoint_files import read_record
from monai_debias.relevance import LRP
from monai_debias.visualize import heatmap_overlay


def draw_heatmaps(models: Mapping[str, Path], cohort: str, bundle: Path) -> Figure:
    """Heatmaps for what each network decides on the clips of the first test patient, whose overlays name wrong views.

    Args:
        models: the ``model.pt`` of each network, by the title of its method.
        cohort: the demo cohort.
        bundle: the bundle that trained the networks.
    """
    items = load_datalist(cohort, "test_reversed")
    shown = [item for item in items if item["patient_id"] == items[0]["patient_id"]]
    columns = {}
    for title, file in models.items():
        size = {"image_size": (read_record(file) or {})["image_size"]}
        network, transform, normalize, _, views = load_model(bundle, file, options=size)
        samples = [transform(item) for item in shown]
        images, masks = (torch.stack([s[key].as_tensor() for s in samples]) for key in ("image", "mask"))
        network.eval()
        x = torch.stack([normalize(image) for image in images])
        decisions = network(x).argmax(1)
        said = ", ".join(views[decision] for decision in decisions)
        _, columns[f"{title}: {said}"] = LRP(network)(x, target=decisions)
    titles = [f"{views[item['label']]}, the screen says {item['overlay']}" for item in shown]
    return heatmap_overlay(images, columns, masks, titles, smoothing=0.01)
