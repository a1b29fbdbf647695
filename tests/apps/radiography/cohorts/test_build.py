# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What holds for all public cohorts of chest radiographs."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pytest

from monai_debias.__main__ import main
from monai_debias.apps.radiography import build_chest_datalist
from monai_debias.apps.radiography.cohorts.build import COHORTS, COLUMNS, chest_commands
from monai_debias.data import load_datalist
from tests.apps.radiography.cohorts import layouts
from tests.apps.radiography.cohorts.built import QUARTERS, THIRDS, items, labels

EXAMPLES = {
    build_chest_datalist: lambda folder: {
        "cohort": "shenzhen",
        "dataset_dir": layouts.shenzhen(folder / "data"),
        "out": folder,
        "uncertain": "missing",
        "overwrite": True,
    }
}
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*(CheXpert|ChestX-ray14|BIMCV|BrixIA|COVID-QU-Ex|TBX11K|covid-chestxray)"
)


@pytest.mark.parametrize(
    ("cohort", "suffix"),
    [("nih", "png"), ("covid-qu-ex", "png"), ("shenzhen", "png"), ("montgomery", "png"), ("bimcv", "png")],
)
def test_capital_suffixes(cohort, suffix, tmp_path):
    """Windows programs write FILM.PNG; macOS adds ._FILM.PNG, which is no film."""
    getattr(layouts, cohort.replace("-", "_"))(tmp_path)
    for file in sorted(tmp_path.rglob(f"*.{suffix}")):
        file.with_name(f"._{file.name}").write_text("x")
        file.rename(file.with_suffix(f".{suffix.upper()}"))
    options = {"bimcv": {"uncertain": "missing"}, "montgomery": QUARTERS, "shenzhen": QUARTERS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = items(build_chest_datalist(cohort, tmp_path, **options.get(cohort, {})))
    assert found
    assert all(item["image"].endswith(".PNG") for item in found)
    assert any("mask" in item for item in found) == (cohort not in ("nih", "bimcv"))


@pytest.mark.parametrize("cohort", ["nih", "chexpert", "rsna", "covid-qu-ex", "brixia", "bimcv", "shenzhen", "tbx11k"])
def test_an_empty_directory(cohort, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no .*, expected one; it has nothing"):
        build_chest_datalist(cohort, tmp_path)


@pytest.mark.parametrize("cohort", COHORTS)
def test_the_help_and_the_page_name_the_keys_of_the_items(cohort, tmp_path, write_film):
    """Of each cohort its own, all of them."""
    layout = getattr(layouts, cohort.removesuffix("-dataset").replace("-", "_"))
    folder = layout(tmp_path, write_film) if cohort in ("rsna", "brixia") else layout(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = build_chest_datalist(cohort, folder, uncertain="missing", **THIRDS)
    keys = {key for item in items(path) for key in item} - {"image", "label", "patient_id", "cohort"}
    lacking = {"rsna": {"manufacturer"}, "bimcv": {"manufacturer", "modality", "bits"}}  # in the headers of the layout
    assert keys == set(COLUMNS[cohort]) - lacking.get(cohort, set())
    assert all(f"``{key}``" in chest_commands()[cohort].__doc__.partition("Args:")[0] for key in keys)
    page = (Path(__file__).parents[4] / "docs" / "cohorts_chest.md").read_text()
    told = f"Keys: {', '.join(f'`{key}`' for key in COLUMNS[cohort])}.\n\n    monai-debias datalist {cohort} DIR"
    assert told in page


def test_the_command(tmp_path, monkeypatch, capsys):
    layouts.shenzhen(tmp_path / "shenzhen")
    arguments = ["monai_debias", "datalist", "shenzhen", tmp_path / "shenzhen", "--out", tmp_path / "lists"]
    monkeypatch.setattr(sys, "argv", [*map(str, arguments), "--class_names", "tuberculosis,normal"])
    main()
    assert capsys.readouterr().out.strip() == str(tmp_path / "lists" / "datalist.json")
    assert labels(tmp_path / "lists" / "datalist.json") == {"0": "tuberculosis", "1": "normal"}
    assert load_datalist(tmp_path / "lists", "test")
    monkeypatch.setattr(sys, "argv", ["monai_debias", "datalist", "nih", str(tmp_path / "shenzhen")])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "has no Data_Entry_2017_v2020.csv (nor Data_Entry_2017.csv)" in capsys.readouterr().err
