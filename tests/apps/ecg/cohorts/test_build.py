# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Each public cohort of ECGs, in a folder laid out as its authors publish it, becomes a datalist."""

from __future__ import annotations

import csv
import json
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from monai_debias.__main__ import main
from monai_debias.apps.ecg import STANDARD_LEADS, build_ecg_datalist, build_ptbxl_datalist
from monai_debias.apps.ecg.cohorts.build import COLUMNS, ecg_commands
from monai_debias.data import LeftOutError, load_datalist
from tests.apps.ecg.cohorts import layouts
from tests.apps.ecg.records import load

EXAMPLES = {
    build_ecg_datalist: lambda folder: {
        "cohort": "cpsc2018",
        "dataset_dir": layouts.cpsc2018(folder / "data"),
        "out": folder,
        "overwrite": True,
    },
    build_ptbxl_datalist: lambda folder: {
        "dataset_dir": layouts.ptbxl(folder / "data"),
        "out": folder,
        "overwrite": True,
    },
}
pytestmark = pytest.mark.filterwarnings("ignore:.*(does not name patients|the source tells the label)")
QUARTERS = {"validation_fraction": 0.25, "test_fraction": 0.25}  # of few records, so that each split has each class


def sections(path: str | Path) -> dict[str, list[dict]]:
    content = json.loads(Path(path).read_text())
    return {name: value for name, value in content.items() if isinstance(value, list)}


def by_name(path: str | Path) -> dict[str, dict]:
    return {Path(item["image"]).stem: item for section in sections(path).values() for item in section}


def held(path: str | Path) -> dict[str, set[str]]:
    """The labels of each record."""
    names = [*json.loads(Path(path).read_text())["labels"].values()]
    return {
        stem: {name for name, value in zip(names, item["label"], strict=True) if value}
        for stem, item in by_name(path).items()
    }


def left_out(folder: Path) -> Counter:
    with (folder / "left_out.csv").open(newline="") as file:
        return Counter(row["reason"] for row in csv.DictReader(file))


def test_ptbxl(tmp_path):
    path = build_ptbxl_datalist(layouts.ptbxl(tmp_path))
    assert {name: len(part) for name, part in sections(path).items()} == {"training": 32, "validation": 4, "test": 4}
    content = json.loads(Path(path).read_text())
    assert [*content["labels"].values()] == ["CD", "HYP", "MI", "NORM", "STTC"]
    assert content["overlaps"].keys() == {"cinc2020"}
    assert [held(path)[f"{number:05d}_lr"] for number in range(1, 5)] == [{"NORM"}, {"MI"}, {"HYP", "STTC"}, {"CD"}]
    assert sections(path)["training"][0] == {
        "image": "records100/00000/00001_lr.hea",
        "label": [0, 0, 0, 1, 0],
        "patient_id": "10002",
        "cohort": "ptbxl",
        "site": "0",
        "sex": "M",
        "age": 56,
        "device": "CS-12   E",
        "nurse": "2",
        "validated_by": "0",
    }
    assert "site" not in by_name(path)["00003_lr"]
    assert "age" not in by_name(path)["00004_lr"]  # 300: above 89
    signals, meta = load(load_datalist(tmp_path, "test")[0]["image"], leads=STANDARD_LEADS)
    np.testing.assert_allclose(signals, layouts.REAL, atol=2e-3)
    assert meta["sampling_rate"] == 100


@pytest.mark.parametrize(
    ("labels", "names", "expected", "without"),
    [
        ("subclass", 6, [{"NORM"}, {"IMI", "AMI"}, {"LVH", "STTC"}, {"CLBBB"}], 0),
        ("diagnostic", 6, [{"NORM"}, {"IMI", "ASMI"}, {"LVH", "NDT"}, {"CLBBB"}], 0),
        ("all", 9, [{"NORM", "SR"}, {"IMI", "ASMI", "SR"}, {"LVH", "NDT", "PVC"}, {"CLBBB", "AFIB"}], 0),
        ("form", 2, [None, None, {"NDT", "PVC"}, None], 30),
        ("rhythm", 2, [{"SR"}, {"SR"}, None, {"AFIB"}], 10),
    ],
)
def test_the_tasks_of_ptbxl(tmp_path, labels, names, expected, without):
    path = build_ptbxl_datalist(layouts.ptbxl(tmp_path), labels)
    assert len(json.loads(Path(path).read_text())["labels"]) == names
    assert [held(path).get(f"{number:05d}_lr") for number in range(1, 5)] == expected
    reason = f"has no statement of the task {labels}."
    assert left_out(tmp_path) == ({reason: without} if without else {})


def test_a_record_that_is_listed_in_two_folds(tmp_path):
    table = layouts.ptbxl(tmp_path) / "ptbxl_database.csv"
    lines = table.read_text().splitlines()
    other = lines[1].replace(",10002.0,", ",777,").replace(",1,records", ",10,records")
    table.write_text("\n".join([*lines, other]))
    with pytest.raises(ValueError, match=r"1 records of PTB-XL are listed more than once, such as .*00001_lr\.hea"):
        build_ptbxl_datalist(tmp_path)
    with pytest.raises(ValueError, match="class_names are NORM, NORM, expected each once"):
        build_ptbxl_datalist(tmp_path, class_names="NORM,NORM")


def test_ptbxl_at_500_hz_and_as_classes(tmp_path):
    layouts.ptbxl(tmp_path, rates=[500])
    with pytest.raises(LeftOutError, match=r"40 of 40 records of PTB-XL are missing(.|\n)*00001_lr\.hea: is missing"):
        build_ptbxl_datalist(tmp_path)
    path = build_ptbxl_datalist(tmp_path, sampling_rate=500, class_names="NORM,MI", task="softmax")
    assert Counter(item["label"] for item in by_name(path).values()) == {0: 10, 1: 10}
    assert left_out(tmp_path) == {"has none of the classes NORM, MI.": 20}
    assert load(tmp_path / sections(path)["test"][0]["image"])[1]["sampling_rate"] == 500
    with pytest.raises(ValueError, match="sampling_rate is 250, expected 100 or 500"):
        build_ptbxl_datalist(tmp_path, sampling_rate=250, overwrite=True)
    with pytest.raises(ValueError, match="no image has the label 'STEMI'; the labels are"):
        build_ptbxl_datalist(tmp_path, sampling_rate=500, class_names="STEMI", overwrite=True)
    (tmp_path / "records500" / "00000" / "00007_hr.dat").unlink()
    with pytest.raises(LeftOutError, match=r"1 of 40 (.|\n)*00007_hr\.hea: has no \.dat file"):
        build_ptbxl_datalist(tmp_path, sampling_rate=500, overwrite=True)
    path = build_ptbxl_datalist(tmp_path, sampling_rate=500, overwrite=True, allow_missing=True)
    assert len(by_name(path)) == 39


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("scp_codes", "scp", r"ptbxl_database\.csv has no column 'scp_codes', expected one; its columns are ecg_id, "),
        ("filename_lr", "file", r"ptbxl_database\.csv has no column 'filename_lr', expected one"),
        ("'CLBBB': 100.0", "'CLBBB': ", r"no dictionary in scp_codes of ecg_id 4, expected one such as \{'NORM'"),
        ("{'CLBBB': 100.0, 'AFIB': 0.0}", "7", r"no dictionary in scp_codes of ecg_id 4"),
        (",10,records", ",11,records", r"has '11' in strat_fold of ecg_id 37, expected 1 to 10"),
        ("filename_hr\n", "filename_hr\n41,1", r"row 2 of .*ptbxl_database\.csv has \d+ cells"),
    ],
)
def test_a_table_of_ptbxl_that_makes_no_sense(tmp_path, old, new, message):
    table = layouts.ptbxl(tmp_path, rates=[]) / "ptbxl_database.csv"
    table.write_text(table.read_text().replace(old, new))
    with pytest.raises(ValueError, match=message):
        build_ptbxl_datalist(tmp_path)


def test_statements_that_the_table_of_ptbxl_does_not_have(tmp_path):
    table = layouts.ptbxl(tmp_path) / "ptbxl_database.csv"
    table.write_text(table.read_text().replace("'SR'", "'XYZ'"))
    with pytest.warns(UserWarning, match=r"20 labels are left out, since .*scp_statements\.csv .*: XYZ \(20\)\."):
        build_ptbxl_datalist(tmp_path)
    (tmp_path / "scp_statements.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no scp_statements\.csv, expected one; it has datalist\.json"):
        build_ptbxl_datalist(tmp_path, overwrite=True)


def test_cinc2020(tmp_path):
    with pytest.warns(UserWarning, match=r"3 labels .*dx_mapping_scored\.csv .*: 111222333 \(2\), 999999999 \(1\)\."):
        path = build_ecg_datalist("cinc2020", layouts.cinc2020(tmp_path), **QUARTERS)
    assert [*json.loads(Path(path).read_text())["labels"].values()] == ["AF", "LBBB", "RBBB", "NSR"]
    found = held(path)
    assert (found["A0001"], found["Q0001"], found["E00001"]) == ({"RBBB"}, {"LBBB"}, {"AF"})
    assert found["HR00000"] == {"NSR"}
    assert left_out(tmp_path) == {"has no known code.": 1, "has no diagnosis.": 1}
    items = by_name(path)
    assert Counter(item["site"] for item in items.values()) == {"PTB_XL": 12, "CPSC": 1, "CPSC_Extra": 1, "Georgia": 1}
    assert items["A0001"].items() >= {"sex": "M", "age": 74, "sampling_rate": 100, "patient_id": "A0001"}.items()
    assert items["E00001"]["sex"] == "F"
    assert "age" not in items["E00001"]  # NaN
    signals, _ = load(tmp_path / items["A0001"]["image"], leads=STANDARD_LEADS)
    np.testing.assert_allclose(signals, layouts.REAL, atol=1e-3)


def test_cinc2020_with_the_table_of_other_codes_and_its_older_spelling(tmp_path):
    layouts.cinc2020(tmp_path)
    table = tmp_path / "dx_mapping_scored.csv"
    table.write_text(table.read_text().replace("SNOMEDCTCode", "SNOMED CT Code"))
    (tmp_path / "dx_mapping_unscored.csv").write_text("Dx,SNOMED CT Code,Abbreviation\nsome finding,111222333,SF\n")
    with pytest.warns(UserWarning, match=r"1 labels are left out, .*: 999999999 \(1\)\."):
        path = build_ecg_datalist("cinc2020", tmp_path, **QUARTERS)
    assert held(path)["JS10647"] == set()  # a finding that is not scored is known, and no class
    assert by_name(path)["JS10647"]["site"] == "ningbo"
    table.write_text(table.read_text().replace("Abbreviation", "Short"))
    with pytest.raises(ValueError, match=r"dx_mapping_scored\.csv has no column 'Abbreviation', expected one"):
        build_ecg_datalist("cinc2020", tmp_path, overwrite=True)


def test_damaged_and_missing_records(tmp_path):
    folder = layouts.cinc2020(tmp_path) / "training" / "ptb-xl" / "g1"
    (folder / "HR00002.mat").unlink()
    (folder / "HR00003.hea").write_text("nothing")
    with pytest.warns(UserWarning, match="labels are left out"), pytest.raises(LeftOutError) as caught:
        build_ecg_datalist("cinc2020", tmp_path)
    assert "2 of 17 records of the PhysioNet/CinC challenge 2020 are missing or damaged" in str(caught.value)
    assert "HR00002.hea: names HR00002.mat, which is not in the same folder" in str(caught.value)
    assert "HR00003.hea: has no WFDB header that can be read" in str(caught.value)
    with pytest.warns(UserWarning, match="labels are left out"):
        path = build_ecg_datalist("cinc2020", tmp_path, allow_missing=True, **QUARTERS)
    assert len(by_name(path)) == 13


def test_records_with_invalid_samples_are_kept_and_read_as_nan(tmp_path):
    signals = layouts.REAL.copy()
    signals[3, 10:20] = np.nan
    layouts.cinc2020(tmp_path)
    layouts.record(tmp_path / "training" / "ptb" / "S0001.hea", ["Age: 61", "Sex: Male", "Dx: 426783006"], 100, signals)
    with pytest.warns(UserWarning, match="labels are left out"):
        path = build_ecg_datalist("cinc2020", tmp_path, **QUARTERS)
    item = by_name(path)["S0001"]
    assert item["site"] == "PTB"
    np.testing.assert_array_equal(np.isnan(load(tmp_path / item["image"])[0]), np.isnan(signals))


def test_cpsc2018(tmp_path):
    path = build_ecg_datalist("cpsc2018", layouts.cpsc2018(tmp_path), **QUARTERS)
    found = held(path)
    assert found["A0001"] == {"AF", "RBBB", "STE"}
    assert found["A0002"] == {"I-AVB", "RBBB"}
    assert found["A0009"] == {"normal"}
    item = by_name(path)["A0001"]
    signals, _ = load(tmp_path / item["image"], leads=STANDARD_LEADS, sampling_rate=500, columns=STANDARD_LEADS)
    np.testing.assert_allclose(signals, layouts.REAL, rtol=1e-6)
    layouts.record(tmp_path / "TrainingSet2" / "A0001.hea")  # one that was converted
    path = build_ecg_datalist("cpsc2018", tmp_path, overwrite=True, **QUARTERS)
    assert by_name(path)["A0001"]["image"] == "TrainingSet2/A0001.hea"
    table = tmp_path / "REFERENCE.csv"
    table.write_text(table.read_text().replace("A0004,5,,", "A0004,,,"))
    path = build_ecg_datalist("cpsc2018", tmp_path, overwrite=True, **QUARTERS)
    assert left_out(tmp_path) == {"has no label.": 1}
    table.write_text(table.read_text().replace("A0002,3,5,", "A0002,3,10,"))
    with pytest.raises(
        ValueError, match=r"REFERENCE\.csv has '10' in Second_label of A0002, expected 1 to 9 or nothing"
    ):
        build_ecg_datalist("cpsc2018", tmp_path, overwrite=True)


def test_chapman(tmp_path):
    with pytest.warns(UserWarning, match=r"4 labels .*ConditionNames_SNOMED-CT\.csv .*: 55827005 \(4\)\."):
        path = build_ecg_datalist("chapman", layouts.chapman(tmp_path), **QUARTERS)
    assert [held(path)[f"JS0000{n}"] for n in (1, 2, 3)] == [{"SB"}, {"AFIB"}, {"SB", "AFIB"}]
    assert len(by_name(path)) == 12
    (tmp_path / "RECORDS").write_text("WFDBRecords/01/010/JS00001\nWFDBRecords/01/010/JS00077\n")
    with (
        pytest.warns(UserWarning, match="labels are left out"),
        pytest.raises(LeftOutError, match=r"1 of 2 (.|\n)*JS00077\.hea: is missing"),
    ):
        build_ecg_datalist("chapman", tmp_path, overwrite=True)
    (tmp_path / "ConditionNames_SNOMED-CT.csv").write_text("Name,Snomed_CT\nSB,426177001\n")
    with pytest.raises(ValueError, match=r"ConditionNames_SNOMED-CT\.csv has no column 'Acronym Name' or 'Acronym'"):
        build_ecg_datalist("chapman", tmp_path, overwrite=True)


def test_tianchi(tmp_path):
    with pytest.warns(UserWarning, match=r"labels are left out, since .*hf_round1_arrythmia\.txt .*: 早搏 \(3\)\."):
        path = build_ecg_datalist("tianchi", layouts.tianchi(tmp_path), **QUARTERS)
    items = by_name(path)
    assert [(items[stem].get("age"), items[stem].get("sex")) for stem in ("1221", "1222", "1223", "1224")] == [
        (57, "M"),
        (None, "F"),
        (38, None),
        (None, None),
    ]
    assert held(path)["1222"] == {"窦性心律", "QRS低电压"}
    assert held(path)["1224"] == {"QRS低电压"}
    assert left_out(tmp_path) == {"has no label.": 1}
    signals, _ = load(tmp_path / items["1221"]["image"], leads=STANDARD_LEADS, sampling_rate=500, unit=0.00488)
    np.testing.assert_allclose(signals[[0, 11]], layouts.REAL[[0, 11]], atol=0.00488)
    table = tmp_path / "hf_round1_label.txt"
    table.write_text(table.read_text(encoding="utf-8").replace("1223.txt\t38\t\t", "1223.txt 38 "), encoding="utf-8")
    with pytest.raises(ValueError, match=r"line 3 of .*hf_round1_label\.txt has 2 cells, expected a file"):
        build_ecg_datalist("tianchi", tmp_path, overwrite=True)
    table.write_bytes("1221.txt\t57\tMALE\t窦性心律".encode("gbk"))
    with pytest.raises(ValueError, match=r"hf_round1_label\.txt is not text in UTF-8"):
        build_ecg_datalist("tianchi", tmp_path, overwrite=True)


@pytest.mark.parametrize("cohort", ["cinc2020", "cpsc2018", "chapman", "tianchi"])
def test_an_empty_directory(cohort, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no .*, expected one; it has nothing"):
        build_ecg_datalist(cohort, tmp_path)


@pytest.mark.parametrize("cohort", COLUMNS)
def test_the_help_and_the_page_name_the_keys_of_the_items(cohort, tmp_path):
    folder = getattr(layouts, cohort)(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = json.loads(Path(build_ecg_datalist(cohort, folder)).read_text())
    found = [item for part in content.values() if isinstance(part, list) for item in part]
    keys = {key for item in found for key in item} - {"image", "label", "patient_id", "cohort"}
    assert keys == set(COLUMNS[cohort])
    assert all(f"``{key}``" in ecg_commands()[cohort].__doc__.partition("Args:")[0] for key in keys)
    told = f"Keys: {', '.join(f'`{key}`' for key in COLUMNS[cohort])}.\n\n    monai-debias datalist {cohort} DIR"
    assert not keys or told in (Path(__file__).parents[4] / "docs" / "cohorts_ecg.md").read_text()


def test_the_command(tmp_path, monkeypatch, capsys):
    layouts.ptbxl(tmp_path / "ptbxl")
    (tmp_path / "lists").mkdir()
    arguments = [
        "monai_debias",
        "datalist",
        "ptbxl",
        tmp_path / "ptbxl",
        "--labels",
        "rhythm",
        "--out",
        tmp_path / "lists",
    ]
    monkeypatch.setattr(sys, "argv", [*map(str, arguments), "--sampling_rate", "100"])
    main()
    assert capsys.readouterr().out.strip() == str(tmp_path / "lists" / "datalist.json")
    assert load_datalist(tmp_path / "lists", "test")
    monkeypatch.setattr(sys, "argv", ["monai_debias", "datalist", "tianchi", str(tmp_path / "ptbxl")])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "has no hf_round1_arrythmia.txt" in capsys.readouterr().err
