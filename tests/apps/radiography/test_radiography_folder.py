# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""From a folder of classes as a hospital exports it to a training batch."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pydicom
import pytest
from monai.data import CacheDataset, DataLoader
from monai.transforms import Compose, LoadImaged, Resized
from PIL import Image
from pydicom.data import get_testdata_file

from monai_debias.apps.radiography import RadiographReader
from monai_debias.command_line.data_check import check
from monai_debias.data import LeftOutError, build_folder_datalist, check_datalist, load_datalist
from monai_debias.transforms import LoadMaskd, RandBackMixd

READER = "monai_debias.apps.radiography.RadiographReader"
ROWS, COLUMNS = np.mgrid[:48, :40]
PATIENTS = 6


@pytest.fixture
def films(tmp_path, write_film):
    """Two classes of scanners of both polarities and depths, with masks of the lungs; between them what is no film."""
    lungs = ((ROWS - 24) / 18) ** 2 + (abs(COLUMNS - 20) / 8 - 1) ** 2 < 1
    for label, name in enumerate(("covid", "normal")):
        (tmp_path / name).mkdir()
        (tmp_path / "masks" / name).mkdir(parents=True)
        for patient in range(PATIENTS):
            own = np.random.RandomState(10 * label + patient).uniform(-0.13, 0.13, ROWS.shape)
            film = np.where(lungs, 0.3 + 0.1 * label, 0.82) + ROWS / 1000 + own
            stored = (film * 4095).astype(np.uint16)
            file, header = tmp_path / name / f"IM{patient:03d}", {"PatientID": f"MRN-{name}-{patient}"}
            if patient % 2:
                write_film(file, 4095 - stored, "MONOCHROME1", bits=12, **header)
            else:
                write_film(file, stored, bits=12, WindowCenter=2048, WindowWidth=4096, **header)
            Image.fromarray(lungs.astype(np.uint8) * 255).save(tmp_path / "masks" / name / f"IM{patient:03d}.png")
    odd = tmp_path / "normal"
    write_film(odd / "lateral.dcm", stored, bits=12, ViewPosition="LL")
    write_film(odd / "clip.dcm", np.stack([stored] * 2), bits=12)
    empty = pydicom.dcmread(write_film(odd / "empty.dcm", stored, bits=12))
    del empty.PixelData
    empty.save_as(odd / "empty.dcm")
    whole = write_film(odd / "cut.dcm", stored, bits=12).read_bytes()
    (odd / "cut.dcm").write_bytes(whole[:-1000])
    shutil.copy(get_testdata_file("CT_small.dcm"), odd / "ct.dcm")
    shutil.copy(get_testdata_file("reportsi.dcm"), odd / "report.dcm")
    (odd / "Thumbs.db").write_bytes(b"thumbs")
    (odd / "readme.txt").write_text("films of 2020")
    return tmp_path


def build(folder, **arguments):
    return build_folder_datalist(str(folder), masks=str(folder / "masks"), reader=READER, **arguments)


def test_what_is_odd_is_named_and_the_rest_is_read(films):
    build(films)
    with open(films / "left_out.csv", newline="") as file:
        left_out = {row["file"].rpartition("/")[2]: (row["kind"], row["reason"]) for row in csv.DictReader(file)}
    assert {name: kind for name, (kind, _) in left_out.items()} == {
        "lateral.dcm": "unrelated",
        "clip.dcm": "unrelated",
        "empty.dcm": "unreadable",
        "cut.dcm": "unreadable",
        "ct.dcm": "unrelated",
        "report.dcm": "unrelated",
        "Thumbs.db": "unrelated",
        "readme.txt": "unrelated",
    }
    assert left_out["lateral.dcm"][1].startswith("is a lateral film (ViewPosition LL)")
    assert left_out["empty.dcm"][1].startswith("has no pixels (modality CR")
    items = [item for section in ("training", "validation", "test") for item in load_datalist(films, section)]
    assert len(items) == 2 * PATIENTS
    assert "MRN" not in (films / "datalist.json").read_text()
    assert check_datalist(films, READER, progress=False) == []
    with pytest.raises(LeftOutError, match=r"(?s)strict.*clip\.dcm: has 2 frames"):
        build(films, strict=True, overwrite=True)


def test_the_check_reads_what_the_datalist_was_made_with(films, capsys):
    build(films)
    (films / "covid" / "IM000").write_bytes(b"no film")
    with pytest.raises(SystemExit):
        check(str(films), reader=READER, progress=False)
    assert "IM000" in capsys.readouterr().out


def test_training_batch(films):
    build(films)
    prepare = Compose(
        [
            LoadImaged("image", reader=READER, ensure_channel_first=True),
            LoadMaskd(reader=RadiographReader()),
            Resized(["image", "mask"], (24, 24), mode=("area", "nearest")),
        ]
    )
    cached = CacheDataset(load_datalist(films, "training"), prepare, progress=False)
    for batch in DataLoader(cached, batch_size=len(cached)):
        assert batch["image"].shape == batch["mask"].shape == (len(cached), 1, 24, 24)
        assert set(batch["image"].meta["view_position"]) == {"PA"}
        for image, mask, label in zip(batch["image"], batch["mask"], batch["label"], strict=True):
            # scanners of either polarity show the lungs as dark as they are, and the rest as bright
            assert 0.3 + 0.1 * label <= image[mask > 0].mean() < 0.4 + 0.1 * label
            assert 0.8 <= image[mask == 0].mean() < 0.92
    mixed = RandBackMixd("image", mask_key="mask", donors=cached, prob=1.0)(cached[0])["image"]
    assert 0 <= mixed.min() <= mixed.max() <= 1


def test_a_folder_of_one_part_of_the_body(films, write_film):
    """As on the command line, where the reader is a name with arguments."""
    write_film(films / "normal" / "hand.dcm", np.full((48, 40), 9, np.uint16), bits=12, BodyPartExamined="HAND")
    build_folder_datalist(str(films), masks=str(films / "masks"), reader=f"{READER}(body_part='CHEST')")
    items = [item for section in ("training", "validation", "test") for item in load_datalist(films, section)]
    assert len(items) == 2 * PATIENTS
    with (films / "left_out.csv").open(newline="") as file:
        reasons = {row["file"].rpartition("/")[2]: row["reason"] for row in csv.DictReader(file)}
    assert reasons["hand.dcm"] == "shows HAND (BodyPartExamined), expected CHEST."
