# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import warnings

import numpy as np
import pydicom
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from monai.data import MetaTensor
from monai.transforms import Compose
from pydicom.data import get_testdata_file

from monai_debias.apps.ultrasound import LoadUltrasoundd, UltrasoundSectorMaskd
from monai_debias.metrics import background_relevance
from monai_debias.visualize import heatmap_overlay
from tests.samples import HEATMAP, MASK, VIEWS

EXAMPLES = {
    heatmap_overlay: {
        "image": torch.linspace(0, 1, 32).reshape(2, 1, 4, 4),
        "relevance": HEATMAP,
        "mask": MASK,
        "titles": VIEWS,
    }
}


def example(*spatial: int, maps: int = 1, channels: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two images, their relevance and the mask of their middle."""
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(2, channels, *spatial, generator=generator)
    relevance = torch.randn(2, maps, channels, *spatial, generator=generator)
    mask = torch.zeros(2, 1, *spatial)
    mask[(..., *(slice(size // 4, size // 2) for size in spatial))] = 1
    return image, relevance, mask


def printed(axes: Axes) -> float:
    label = axes.get_xlabel().splitlines()[-1]
    assert label.endswith(" % in the background")
    return float(label.split()[0])


def contours(axes: Axes) -> list[ContourSet]:
    return [artist for artist in axes.collections if isinstance(artist, ContourSet)]


def picture(figure: Figure) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(file := io.BytesIO(), format="png", dpi=40)
    return file.getvalue()


def test_the_number_of_each_panel_is_the_metric():
    image, relevance, mask = example(24, 32, maps=2, channels=3)
    maps = {"baseline": relevance, "ISNet": relevance[:, 0] * (mask + 0.01)}
    figure = heatmap_overlay(image, maps, mask, titles=["A2C", "A4C"])
    rows = np.array(figure.axes).reshape(2, 4)
    assert [axes.get_title() for axes in rows[0]] == ["image", "baseline, map 0", "baseline, map 1", "ISNet"]
    assert [axes.get_ylabel() for axes in rows[:, 0]] == ["A2C", "A4C"]
    assert not rows[0, 0].get_xlabel()
    expected = torch.cat([background_relevance(relevance, mask), background_relevance(maps["ISNet"], mask)[:, None]], 1)
    for row, fractions in zip(rows[:, 1:], expected, strict=True):
        assert [printed(axes) for axes in row] == pytest.approx((100 * fractions).tolist(), abs=0.05)
    picture(figure)


def test_colours_are_symmetric_around_zero_with_a_limit_for_each_map():
    image, relevance, _ = example(24, 32, channels=2)
    relevance[1] *= 1e-6
    relevance[:, :, :, :12] = 0  # a map that is mostly empty has a limit all the same
    axes = heatmap_overlay(image, relevance, percentile=90).axes
    for i, panel in enumerate((axes[1], axes[3])):
        grey, heat = panel.images
        summed = relevance[i, 0].sum(0).numpy()
        limit = np.percentile(np.abs(summed[summed != 0]), 90)
        np.testing.assert_allclose(grey.get_array(), image[i].mean(0), rtol=1e-6)
        np.testing.assert_array_equal(heat.get_array(), summed)
        np.testing.assert_allclose(heat.get_clim(), (-limit, limit), rtol=1e-6)
        np.testing.assert_allclose(heat.get_alpha(), np.minimum(np.abs(summed) / limit, 1), rtol=1e-5)
        red, green, blue, _ = heat.cmap([0.0, 1.0]).T
        assert (red - blue)[1] > 0.5 > -0.5 > (red - blue)[0]
        assert heat.cmap(0.5)[:3] == pytest.approx((0.5, 0.5, 0.5), abs=0.01)
        assert green[0] > 0.5  # a bright blue, not one that is lost on black


@pytest.mark.parametrize("with_mask", [False, True])
@pytest.mark.parametrize("shape", [(24, 32), (8, 8, 8), (40,)])
def test_one_colour_bar_as_tall_as_the_panel_that_it_stands_beside(shape, with_mask):
    image, relevance, mask = example(*shape)
    figure = heatmap_overlay(image, relevance, mask if with_mask else None, percentile=90)
    picture(figure)  # places everything
    first_row = figure.axes[: len(figure.axes) // len(image)]
    (bar,) = [child for panel in figure.axes for child in panel.child_axes]
    assert bar in first_row[-1].child_axes
    assert bar.get_ylim() == (-1, 1)
    assert "90th percentile" in bar.get_ylabel()
    panel, extent = (axes.get_window_extent() for axes in (first_row[-1], bar))
    assert (extent.y0, extent.y1) == pytest.approx((panel.y0, panel.y1), abs=1)
    assert panel.x1 < extent.x0 < extent.x1 < panel.x1 + 0.08 * panel.width
    assert bar.get_tightbbox().x1 <= figure.bbox.x1


def test_the_outline_follows_the_mask_even_at_the_edge():
    image, relevance, mask = example(24, 32)
    mask[1] = 1
    figure = heatmap_overlay(image, relevance, mask)
    bounds = [(7.5, 5.5, 15.5, 11.5), (-0.5, -0.5, 31.5, 23.5)]  # columns 8 to 15 and rows 6 to 11; everything
    for i, panel in enumerate(figure.axes):
        (outline,) = contours(panel)
        (path,) = outline.get_paths()
        assert path.get_extents().extents == pytest.approx(bounds[i // 2])
        assert outline.zorder > max(layer.zorder for layer in panel.images)
        assert panel.get_xlim() == (-0.5, 31.5)
        assert panel.get_ylim() == (23.5, -0.5)
    picture(figure)
    without = heatmap_overlay(image, relevance)
    assert not any(contours(panel) or panel.get_xlabel() for panel in without.axes)


def test_a_volume_is_cut_where_relevance_is_strongest():
    image, relevance, mask = example(8, 12, 10, channels=2)
    relevance[0, 0, :, 3, 4, 3], relevance[1, 0, :, 7, 0, 9] = -20, 20  # the second lies outside of the mask
    figure = heatmap_overlay(image, relevance, mask, titles=["inside", "outside"])
    rows = np.array(figure.axes).reshape(2, 3)
    for i, index in enumerate(((3, 4, 3), (7, 0, 9))):
        for dim, panel in enumerate(rows[i]):
            assert panel.get_xlabel().splitlines()[0] == f"{'XYZ'[dim]} = {index[dim]}"
            slice_ = relevance[i, 0].sum(0).select(dim, index[dim])
            np.testing.assert_array_equal(panel.images[1].get_array(), slice_)
            assert panel.images[0].get_clim() == rows[i, 0].images[0].get_clim()
            across, along = (line.get_data() for line in panel.lines)
            at = (across[1][0], along[0][0])
            assert at == tuple(index[d] for d in range(3) if d != dim)
            assert abs(slice_[at]) == 40
            assert len(contours(panel)) == (i == 0)
        assert printed(rows[i, 1]) == pytest.approx(100 * background_relevance(relevance, mask)[i].item(), abs=0.05)
    picture(figure)


def test_a_trace_has_the_colour_of_its_own_channel():
    image, relevance, mask = example(40, channels=3)
    mask[1, :, 14] = 0  # the mask is 1 from sample 10 to 19, and here a single sample is background
    figure = heatmap_overlay(image, {"ECG": relevance}, mask, percentile=100)
    assert len(figure.axes) == 2
    for i, panel in enumerate(figure.axes):
        traces = [artist for artist in panel.collections if isinstance(artist, LineCollection)]
        assert len(traces) == 3
        limit = relevance[i].abs().max().item()
        bottom = [min(segment[:, 1].min() for segment in trace.get_segments()) for trace in traces]
        assert bottom == sorted(bottom, reverse=True)
        for trace, signal, values in zip(traces, image[i], relevance[i, 0], strict=True):
            assert trace.get_clim() == pytest.approx((-limit, limit))
            starts = np.array([segment[0, 0] for segment in trace.get_segments()]).astype(int)
            assert sorted(starts) == list(range(39))
            np.testing.assert_allclose(trace.get_array(), ((values[:-1] + values[1:]) / 2)[starts], rtol=1e-6)
            rise = np.array([np.diff(segment[:, 1])[0] for segment in trace.get_segments()])
            np.testing.assert_allclose(rise, signal.diff()[starts], atol=1e-5)
            assert (np.diff(trace.get_linewidths()) >= 0).all()  # the strongest is on top
        shaded = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in panel.patches]
        assert shaded == ([(-0.5, 9.5), (19.5, 39.5)] if i == 0 else [(-0.5, 9.5), (13.5, 14.5), (19.5, 39.5)])
        assert printed(panel) == pytest.approx(100 * background_relevance(relevance, mask)[i].item(), abs=0.05)
    picture(figure)


@pytest.mark.filterwarnings("ignore:an ultrasound region", "ignore:the ultrasound regions")
def test_real_files_draw_no_text_of_theirs():
    file = str(get_testdata_file("examples_ybr_color.dcm"))
    sample = Compose([LoadUltrasoundd("image", frames="all"), UltrasoundSectorMaskd("image")])({"image": file})
    frame, mask = sample["image"][None, ..., 0], sample["mask"][None]
    text = frame * (1 - mask.float())
    figure = heatmap_overlay(frame, {"text": text, "sector": frame * mask}, mask)
    assert isinstance(frame, MetaTensor)
    assert [printed(axes) for axes in figure.axes[1:3]] == [100, 0]
    ecg = pydicom.dcmread(get_testdata_file("waveform_ecg.dcm")).waveform_array(0).T[None, :, :2000]
    signals = heatmap_overlay(ecg, ecg * 1e-3)
    for drawing in (figure, signals):
        picture(drawing)
        words = {t.get_text() for axes in drawing.axes for t in axes.texts} | {t.get_text() for t in drawing.texts}
        assert not words
    assert {axes.get_title() for axes in figure.axes} == {"image", "text", "sector"}


def test_smoothing_is_for_the_eye_only():
    """A single pixel becomes a Gaussian of the same sum; a trace is not smoothed into another; the number stays."""
    relevance = torch.zeros(1, 1, 31, 31)
    relevance[..., 15, 15] = 2
    mask = relevance / 2
    panel = heatmap_overlay(torch.ones(1, 1, 31, 31), relevance, mask, smoothing=2 / 31).axes[1]
    drawn = panel.images[1].get_array()
    distance = np.hypot(*(np.mgrid[:31, :31] - 15))
    gauss = np.exp(-(distance**2) / (2 * 2.0**2))
    np.testing.assert_allclose(drawn, 2 * gauss / gauss.sum(), atol=1e-4)
    assert printed(panel) == 0
    signal = torch.zeros(1, 2, 40)
    signal[0, 0, 20] = 1
    traces = heatmap_overlay(signal, signal, smoothing=0.05).axes[0].collections
    assert traces[0].get_array().sum() == pytest.approx(1, abs=1e-3)
    assert not traces[1].get_array().any()


def test_arrays_tensors_and_gradients_give_the_same_picture():
    image, relevance, mask = example(12, 16)
    expected = picture(heatmap_overlay(image, relevance, mask))
    assert picture(heatmap_overlay(image.numpy(), relevance.numpy(), mask.bool().numpy())) == expected
    assert picture(heatmap_overlay(MetaTensor(image), relevance.requires_grad_(), MetaTensor(mask))) == expected


def test_bad_input_gets_a_clear_error():
    image, relevance, mask = example(12, 16)
    nan = torch.full_like(image, float("nan"))
    with pytest.raises(ValueError, match=r"expected images \(B, C, spatial...\) with 1 to 3 .* got \(12, 16\)"):
        heatmap_overlay(image[0, 0], relevance)
    with pytest.raises(ValueError, match="image has NaN"):
        heatmap_overlay(nan, relevance)
    with pytest.raises(ValueError, match="relevance of 'ISNet' has NaN"):
        heatmap_overlay(image, {"baseline": relevance, "ISNet": nan})
    for wrong in (relevance[:1], relevance[..., :8], relevance[:, :, None], relevance[:, :0]):
        with pytest.raises(ValueError, match=r"relevance of 'relevance' has shape .* for images of shape"):
            heatmap_overlay(image, wrong)
    with pytest.raises(ValueError, match=r"expected a mask \(2, 1, 12, 16\)"):
        heatmap_overlay(image, relevance, mask[:1])
    with pytest.raises(ValueError, match=r"mask has values other than 0 and 1 .* in row\(s\) \[0, 1\]"):
        heatmap_overlay(image, relevance, 0.5 * mask)
    with pytest.raises(ValueError, match="relevance of 'relevance', row 0, is 0 everywhere"):
        heatmap_overlay(image, 0 * relevance)
    with pytest.raises(ValueError, match="got 1 titles for 2 images"):
        heatmap_overlay(image, relevance, titles=["A4C"])
