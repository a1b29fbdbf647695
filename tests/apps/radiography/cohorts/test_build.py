# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Each public cohort, in a folder laid out as its authors publish it, becomes a datalist; what is odd there is told."""

from __future__ import annotations

import csv
import json
import shutil
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from monai.transforms import LoadImaged

from monai_debias.__main__ import main
from monai_debias.apps.radiography import RadiographReader, build_chest_datalist
from monai_debias.apps.radiography.cohorts.build import COHORTS, COLUMNS, chest_commands
from monai_debias.data import LeftOutError, load_datalist
from monai_debias.transforms import LoadMaskd
from tests.apps.radiography.cohorts import layouts

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


QUARTERS = {"validation_fraction": 0.25, "test_fraction": 0.25}  # of few films, so that each split has each class
THIRDS = {"validation_fraction": 1 / 3, "test_fraction": 1 / 3}


def sections(path: str | Path) -> dict[str, list[dict]]:
    content = json.loads(Path(path).read_text())
    return {name: value for name, value in content.items() if isinstance(value, list)}


def items(path: str | Path) -> list[dict]:
    return [item for section in sections(path).values() for item in section]


def labels(path: str | Path) -> dict[str, str]:
    return json.loads(Path(path).read_text())["labels"]


def load(item: dict) -> dict:
    """The film and its mask, which fit each other."""
    reader = RadiographReader()
    return LoadMaskd("mask", reader=reader)(LoadImaged("image", reader=reader, ensure_channel_first=True)(item))


def left_out(folder: Path) -> Counter:
    with (folder / "left_out.csv").open(newline="") as file:
        return Counter(row["reason"] for row in csv.DictReader(file))


def test_nih(tmp_path):
    path = build_chest_datalist("nih", layouts.nih(tmp_path))
    parts = sections(path)
    assert {name: len(part) for name, part in parts.items()} == {"training": 10, "validation": 2, "test": 4}
    assert {item["patient_id"] for item in parts["test"]} == {"7", "8"}
    assert labels(path)["0"] == "Atelectasis"
    assert len(labels(path)) == 14
    (item,) = [item for item in items(path) if item["image"].endswith("00000002_001.png")]
    assert item == {
        "image": "images_001/images/00000002_001.png",
        "label": [0] * 14,
        "patient_id": "2",
        "cohort": "nih",
        "site": "NIH Clinical Center",
        "view": "frontal",
        "view_position": "PA",
        "sex": "F",
        "age": 59,
        "follow_up": 1,
    }
    (item,) = [item for item in items(path) if item["image"].endswith("00000001_000.png")]
    assert [labels(path)[str(n)] for n, value in enumerate(item["label"]) if value] == ["Hernia", "Infiltration"]


def test_nih_with_patient_sex_a_trailing_comma_and_one_folder(tmp_path):
    layouts.nih(tmp_path, "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Sex,View Position,")
    table = tmp_path / "Data_Entry_2017_v2020.csv"
    first, *rows = table.read_text().splitlines()
    table.write_text("\n".join([first, *(f"{row}," for row in rows)]))
    (tmp_path / "images").mkdir()
    for image in tmp_path.glob("images_00*/images/*.png"):
        image.rename(tmp_path / "images" / image.name)
    found = items(build_chest_datalist("nih", tmp_path))
    assert Counter(item["sex"] for item in found) == {"F": 8, "M": 8}
    assert {Path(item["image"]).parent.name for item in found} == {"images"}


def test_one_class_of_several_findings(tmp_path):
    layouts.nih(tmp_path, official=False)
    path = build_chest_datalist("nih", tmp_path, "No Finding, Pneumonia", "softmax", **QUARTERS)
    assert labels(path) == {"0": "No Finding", "1": "Pneumonia"}
    assert Counter(item["label"] for item in items(path)) == {0: 5, 1: 6}
    assert left_out(tmp_path) == {"has none of the classes No Finding, Pneumonia.": 5}
    with pytest.raises(ValueError, match=r"no image has the label 'Covid'; the labels are No Finding|Pneumonia"):
        build_chest_datalist("nih", tmp_path, class_names=["Covid"], overwrite=True)


def test_renamed_columns_and_images_in_no_list(tmp_path):
    layouts.nih(tmp_path, layouts.NIH_COLUMNS.replace("Finding Labels", "Finding Label"))
    expected = r"Data_Entry_2017_v2020\.csv has no column 'Finding Labels', expected one; its columns are Image Index, "
    with pytest.raises(ValueError, match=f"{expected}.* If 'Finding Label' is that column, rename it"):
        build_chest_datalist("nih", tmp_path)
    layouts.nih(tmp_path)
    (tmp_path / "test_list.txt").write_text("00000007_000.png\n")
    with pytest.raises(
        ValueError, match=r"3 of 16 images are in no list of the authors' split, such as .*00000007_001"
    ):
        build_chest_datalist("nih", tmp_path)
    (tmp_path / "test_list.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no test_list\.txt, expected one; it has Data_Entry_2017"):
        build_chest_datalist("nih", tmp_path)
    with (tmp_path / "Data_Entry_2017_v2020.csv").open("a") as file:
        file.write("00000009_000.png,No Fin")
    with pytest.raises(ValueError, match=r"row 18 of .* has 2 cells, but the first row has 11 columns"):
        build_chest_datalist("nih", tmp_path)


def test_missing_films_are_an_error_unless_allowed(tmp_path):
    layouts.nih(tmp_path)
    (tmp_path / "images_001" / "images" / "00000002_000.png").unlink()
    with pytest.raises(LeftOutError, match=r"1 of 16 films of NIH ChestX-ray14 are missing(.|\n)*00000002_000\.png"):
        build_chest_datalist("nih", tmp_path)
    assert not (tmp_path / "datalist.json").exists()
    assert len(items(build_chest_datalist("nih", tmp_path, allow_missing=True))) == 15
    assert left_out(tmp_path) == {"is missing.": 1}


def test_chexpert(tmp_path):
    layouts.chexpert(tmp_path)
    with pytest.raises(ValueError, match=r"1 labels are uncertain \(Edema 1\): say what they count as"):
        build_chest_datalist("chexpert", tmp_path)
    edema = {}
    for policy, expected in (("missing", None), ("positive", 1), ("negative", 0)):
        path = build_chest_datalist("chexpert", tmp_path, uncertain=policy, overwrite=True)
        edema[policy] = {item["patient_id"]: item["label"][5] for item in items(path)}
        assert edema[policy] == {**dict.fromkeys(edema[policy], 0), "patient00003": expected}
    assert {name: len(part) for name, part in sections(path).items()} == {"training": 5, "validation": 1, "test": 2}
    assert left_out(tmp_path) == {"is a lateral film.": 2}
    assert items(path)[0]["label"].count(1) == 1
    path = build_chest_datalist("chexpert", tmp_path, uncertain="missing", views="any", overwrite=True)
    assert Counter(item["view"] for item in items(path)) == {"frontal": 8, "lateral": 2}
    names, root = ["No Finding", "Edema", "Pneumonia"], tmp_path / "CheXpert-v1.0-small"
    path = build_chest_datalist("chexpert", root, names, "softmax", "positive", validation_fraction=0.4)
    assert Counter(item["label"] for item in items(path)) == {0: 3, 2: 4}
    assert left_out(root)["has more than one of the classes No Finding, Edema, Pneumonia."] == 1  # patient 3
    path = build_chest_datalist("chexpert", root, names, "softmax", "missing", overwrite=True, validation_fraction=0.4)
    assert left_out(root)["may be Edema."] == 1
    table = tmp_path / "CheXpert-v1.0-small" / "train.csv"
    text = table.read_text()
    table.write_text(text.replace("train/patient", "patient"))
    with pytest.raises(ValueError, match=r"train\.csv has the Path 'CheXpert-v1\.0-small/patient00001/.*, expected"):
        build_chest_datalist("chexpert", tmp_path, overwrite=True)
    table.write_text(text.replace("-1.0", "yes"))
    with pytest.raises(ValueError, match=r"train\.csv has the value 'yes' for 'Edema', expected 1, 0, -1 or nothing"):
        build_chest_datalist("chexpert", tmp_path, overwrite=True)


def test_rsna(tmp_path, write_film):
    path = build_chest_datalist("rsna", layouts.rsna(tmp_path, write_film))
    assert Counter(item["label"] for item in items(path)) == {0: 5, 1: 5}
    assert {item["patient_id"] for item in items(path)} == {"1", "2", "3", "4", "5"}
    assert Counter(item["polarity"] for item in items(path)) == {"MONOCHROME1": 2, "MONOCHROME2": 8}
    assert items(path)[0].items() >= {"view": "frontal", "sex": "F", "age": 51, "site": "NIH Clinical Center"}.items()
    assert json.loads(Path(path).read_text())["overlaps"].keys() == {"nih"}
    films = {item["image"]: item for item in load_datalist(tmp_path, "training")}
    for item in films.values():  # MONOCHROME1 is inverted by the reader
        sample = LoadImaged("image", reader=RadiographReader())(item)
        n = int(Path(item["image"]).stem[-2:])
        pixels = np.random.RandomState(n).randint(0, 256, (16, 16), dtype=np.uint8) / 255
        np.testing.assert_allclose(sample["image"], 1 - pixels if n in (3, 4) else pixels, atol=1e-6)
    path = build_chest_datalist("rsna", tmp_path, "normal,pneumonia", overwrite=True, **THIRDS)
    assert Counter(item["label"] for item in items(path)) == {0: 3, 1: 5}


def test_rsna_without_the_extra_files(tmp_path, write_film):
    layouts.rsna(tmp_path, write_film, mappings=False, classes=False)
    with pytest.warns(UserWarning, match="each film of RSNA counts as a patient of its own"):
        path = build_chest_datalist("rsna", tmp_path, **QUARTERS)
    assert len({item["patient_id"] for item in items(path)}) == 10
    damaged = sorted((tmp_path / "stage_2_train_images").iterdir())[4]
    damaged.write_bytes(b"no DICOM")
    with pytest.warns(UserWarning, match="RSNA"), pytest.raises(LeftOutError, match=r"1 of 10 films .*damaged"):
        build_chest_datalist("rsna", tmp_path, overwrite=True)
    with pytest.warns(UserWarning, match="RSNA"), pytest.raises(ValueError, match="no image has the label 'normal'"):
        build_chest_datalist("rsna", tmp_path, "normal,pneumonia", overwrite=True, allow_missing=True)
    for text in ('[{"img": 1}]', "cut sh"):
        (tmp_path / "pneumonia-challenge-dataset-mappings_2018.json").write_text(text)
        with pytest.raises(ValueError, match=r"mappings_2018\.json must be a list of objects with subset_img_id"):
            build_chest_datalist("rsna", tmp_path, overwrite=True)


def test_covid_chestxray_dataset(tmp_path):
    path = build_chest_datalist("covid-chestxray-dataset", layouts.covid_chestxray(tmp_path), **QUARTERS)
    assert labels(path) == {"0": "No Finding", "1": "other pneumonia", "2": "COVID-19"}
    assert Counter(item["label"] for item in items(path)) == {0: 4, 1: 4, 2: 4}
    assert left_out(tmp_path) == {
        "is a lateral film.": 1,
        "is of the modality CT.": 1,
        "has no label yet (todo).": 1,
        "has no label yet (Unknown).": 1,
    }
    assert {(item["label"], item["site"]) for item in items(path)} == {
        (0, "Hospital, Hannover, Germany"),
        (1, "Hospital, Hannover, Germany"),
        (2, "Hospital, Cona, Italy"),
    }
    assert {item["view_position"] for item in items(path)} == {"PA", "AP", "AP Supine"}
    path = build_chest_datalist("covid-chestxray-dataset", tmp_path, ["Viral", "Bacterial"], overwrite=True, **QUARTERS)
    assert Counter(item["label"] for item in items(path)) == {0: 4, 1: 4}


@pytest.mark.parametrize("doubled", [True, False])
def test_covid_qu_ex(tmp_path, doubled):
    with pytest.warns(UserWarning, match=r"1 of 2 films have no mask: .*/lung masks has none of Train_Normal_0\.png"):
        path = build_chest_datalist("covid-qu-ex", layouts.covid_qu_ex(tmp_path, doubled))
    assert {name: len(part) for name, part in sections(path).items()} == {"training": 6, "validation": 6, "test": 6}
    assert [("mask" in item) for item in items(path)].count(False) == 1
    item = load_datalist(tmp_path, "test")[0]
    sample = load(item)
    assert sample["mask"].shape == sample["image"].shape


def test_covid_qu_ex_without_a_folder_of_masks(tmp_path):
    layouts.covid_qu_ex(tmp_path, doubled=False)
    shutil.rmtree(tmp_path / "Lung Segmentation Data" / "Val" / "COVID-19" / "lung masks")
    with pytest.warns(UserWarning, match=r"2 of 2 films have no mask: .*Val/COVID-19/lung masks does not exist"):
        build_chest_datalist("covid-qu-ex", tmp_path)


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


def test_brixia(tmp_path, write_film):
    path = build_chest_datalist("brixia", layouts.brixia(tmp_path, write_film))
    parts = sections(path)
    assert {Path(item["image"]).stem for item in parts["test"]} == {"2306", "2308"}
    assert left_out(tmp_path) == {"is of a patient whom the authors' split also tests on.": 1}  # patient 0
    by_name = {Path(item["image"]).stem: item for item in items(path)}
    assert by_name["2304"]["brixia_score"] == "001123"
    assert by_name["2304"]["severity"] == 7
    assert [labels(path)[str(n)] for n, value in enumerate(by_name["2304"]["label"]) if value] == [
        *("lower right", "upper left", "middle left", "lower left"),
    ]
    assert by_name["2301"]["label"] == [0] * 6  # "0" for "000000"
    assert by_name["2301"].items() >= {"polarity": "MONOCHROME1", "manufacturer": "SIEMENS", "sex": "M"}.items()
    path = build_chest_datalist("brixia", tmp_path, "COVID-19", "softmax", overwrite=True)  # to be joined with others
    assert labels(path) == {"0": "COVID-19"}
    table = tmp_path / "metadata_global_v2.csv"
    table.write_text(table.read_text().replace("333333", "333433"))
    with pytest.raises(ValueError, match=r"has the BrixiaScore '333433' for 2302\.dcm, expected six digits"):
        build_chest_datalist("brixia", tmp_path, overwrite=True)
    table.write_text(table.read_text().replace(";", ","))
    with pytest.raises(ValueError, match="has no column 'Filename', expected one; its columns are Filename,StudyId"):
        build_chest_datalist("brixia", tmp_path, overwrite=True)


def test_bimcv(tmp_path):
    layouts.bimcv(tmp_path)
    path = build_chest_datalist("bimcv", tmp_path, uncertain="missing")
    assert len(items(path)) == 9
    by_patient = {item["patient_id"]: item for item in items(path)}
    assert by_patient["sub-S03000"]["label"] == [1, 0, 0]
    assert by_patient["sub-S03001"]["label"] == [0, 1, 1]
    assert by_patient["sub-S03002"]["label"] == [0, 1, None]
    assert by_patient["sub-S03000"].items() >= {"view_position": "AP", "view": "frontal", "sex": "F", "age": 62}.items()
    assert Counter(item["polarity"] for item in items(path)) == {"MONOCHROME1": 5, "MONOCHROME2": 4}
    assert left_out(tmp_path) == {"is a lateral film.": 1, "has no label in a report.": 1}
    folder = tmp_path / "covid19_posi" / "derivatives" / "labels"
    (folder / "labels_covid_posi.tsv").rename(folder / "labels_covid19_posi.tsv")
    build_chest_datalist("bimcv", tmp_path / "covid19_posi", uncertain="positive")
    (folder / "labels_covid19_posi.tsv").rename(folder / "labels.tsv")
    with pytest.raises(FileNotFoundError, match=r"labels has none, expected one table labels_covid_posi\.tsv"):
        build_chest_datalist("bimcv", tmp_path, overwrite=True)


@pytest.mark.parametrize(("root", "masks"), [("ChinaSet_AllFiles", "mask/mask"), (".", "mask")])
def test_shenzhen(tmp_path, root, masks):
    path = build_chest_datalist("shenzhen", layouts.shenzhen(tmp_path, root, masks))
    assert labels(path) == {"0": "normal", "1": "tuberculosis"}
    assert Counter(item["label"] for item in items(path)) == {0: 6, 1: 6}
    assert all(str(item["label"]) == Path(item["image"]).stem[-1] for item in items(path))
    assert sum("mask" in item for item in items(path)) == 9
    assert Counter(item["sex"] for item in items(path)) == {"M": 8, "F": 4}
    assert {item["age"] for item in items(path)} == set(range(41, 53))
    (tmp_path / root / "CXR_png" / "CHNCXR_0013_2.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"CHNCXR_0013_2\.png is not named CHNCXR_0001_0\.png"):
        build_chest_datalist("shenzhen", tmp_path, overwrite=True)


def test_montgomery_joins_the_two_lungs(tmp_path):
    path = build_chest_datalist("montgomery", layouts.montgomery(tmp_path), **QUARTERS)
    with_mask = [item for item in items(path) if "mask" in item]
    assert len(with_mask) == 9  # one has the left lung only
    item = next(item for item in load_datalist(tmp_path, "training") if "mask" in item)
    expected = np.zeros((16, 16))
    expected[4:12, 2:7] = expected[4:12, 9:14] = 1
    np.testing.assert_array_equal(load(item)["mask"][0], expected)
    assert {item["age"] for item in items(path)} == set(range(41, 51))
    assert Counter(item["sex"] for item in items(path)) == {"F": 5, "M": 5}
    layouts.mask(tmp_path / "MontgomerySet" / "ManualMask" / "leftMask" / "MCUCXR_0001_1.png", slice(0, 4))
    layouts.film(tmp_path / "MontgomerySet" / "ManualMask" / "leftMask" / "MCUCXR_0002_0.png")
    with pytest.raises(ValueError, match=r"the mask .*leftMask/MCUCXR_0002_0\.png has .* values"):
        build_chest_datalist("montgomery", tmp_path, overwrite=True, **QUARTERS)


def test_tbx11k_warns_that_it_contains_montgomery_and_shenzhen(tmp_path):
    layouts.tbx11k(tmp_path)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        path = build_chest_datalist("tbx11k", tmp_path)
    assert any("films of Montgomery and Shenzhen" in str(warning.message) for warning in said)
    assert {name: len(part) for name, part in sections(path).items()} == {"training": 21, "validation": 3, "test": 6}
    assert json.loads(Path(path).read_text())["overlaps"].keys() == {"montgomery", "shenzhen"}
    assert left_out(tmp_path) == {"is of another data set (imgs/extra).": 1}
    names = "active tuberculosis,obsolete tuberculosis"
    path = build_chest_datalist("tbx11k", tmp_path, names, overwrite=True, validation_fraction=0.3)
    assert Counter(item["label"] for item in items(path)) == {0: 4, 1: 4}  # others: no box, another kind
    (tmp_path / "annotations" / "json" / "TBX11K_val.json").write_text('{"images": [{"id": 1}]}')
    with pytest.raises(ValueError, match=r"TBX11K_val\.json is not a COCO file"):
        build_chest_datalist("tbx11k", tmp_path, overwrite=True)


def test_a_class_without_validation_cases_is_told(tmp_path, caplog):
    layouts.covid_qu_ex(tmp_path)
    for image in (tmp_path / "Lung Segmentation Data").glob("**/Val/Normal/images/*.png"):
        image.unlink()
    build_chest_datalist("covid-qu-ex", tmp_path)
    assert "section 'validation' of" in caplog.text
    assert "has no Normal" in caplog.text


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
    (tmp_path / "lists").mkdir()
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
