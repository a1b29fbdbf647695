# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Public cohorts in small: folders and tables exactly as their authors publish them, with noise for films."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

NIH_COLUMNS = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,OriginalImage[Width,"
    "Height],OriginalImagePixelSpacing[x,y]"
)
CHEXPERT_FINDINGS = (
    "No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,"
    "Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices"
)
COVID_COLUMNS = (
    "patientid,offset,sex,age,finding,survival,intubated,view,modality,date,location,folder,filename,doi,url,license,"
    "clinical notes,other notes"
)


@cache
def png(value: int = 0) -> bytes:
    """A film of 16 × 16 pixels."""
    pixels = np.random.RandomState(value).randint(0, 256, (16, 16), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def film(path: Path, value: int = 0) -> Path:
    """Write a film."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(value))
    return path


def mask(path: Path, columns: slice) -> Path:
    """Write a mask of 16 × 16 pixels that is 255 in some columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros((16, 16), np.uint8)
    values[4:12, columns] = 255
    Image.fromarray(values).save(path)
    return path


def table(path: Path, columns: str | Sequence[str], rows: Sequence[Sequence[object]], delimiter: str = ",") -> Path:
    """Write a table, whose first row may be given as it is in the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        if isinstance(columns, str):
            file.write(columns + "\n")
        else:
            writer.writerow(columns)
        writer.writerows(rows)
    return path


def nih(folder: Path, columns: str = NIH_COLUMNS, official: bool = True) -> Path:
    """ChestX-ray14: 8 patients with two films each, in images_001 and images_002; two patients are for testing."""
    rows, lists = [], {"train_val_list.txt": [], "test_list.txt": []}
    for patient in range(1, 9):
        for number in range(2):
            name = f"{patient:08d}_{number:03d}.png"
            film(folder / f"images_00{1 + patient % 2}" / "images" / name, 2 * patient + number)
            finding = ("No Finding", "Hernia|Infiltration", "Pneumonia")[(patient + number) % 3]
            size = [2500, 2048, 0.171, 0.171] if columns.count(",") > 8 else []
            rows.append([name, finding, number, patient, 57 + patient, "FM"[patient % 2], "PA", *size])
            lists["test_list.txt" if patient > 6 else "train_val_list.txt"].append(name)
    table(folder / "Data_Entry_2017_v2020.csv", columns, rows)
    for name, lines in lists.items() if official else ():
        (folder / name).write_text("\n".join(lines) + "\n")
    return folder


def chexpert(folder: Path) -> Path:
    """CheXpert-v1.0-small: 6 patients to train on, two with a lateral film and one with an uncertain label; 2 valid."""
    root = folder / "CheXpert-v1.0-small"
    columns = f"Path,Sex,Age,Frontal/Lateral,AP/PA,{CHEXPERT_FINDINGS}"
    for name, patients in (("train", range(1, 7)), ("valid", range(64541, 64543))):
        rows = []
        for patient in patients:
            for view in ("frontal", "lateral")[: 1 + (patient < 3)]:
                path = f"{name}/patient{patient:05d}/study1/view{1 + (view == 'lateral')}_{view}.jpg"
                film(root / path, patient)
                findings = [""] * 14
                findings[0 if patient % 2 else 7] = "1.0"
                findings[5] = "-1.0" if patient == 3 else "0.0"
                position = "AP" if view == "frontal" else ""
                rows.append([f"CheXpert-v1.0-small/{path}", "Female", 68, view.capitalize(), position, *findings])
        table(root / f"{name}.csv", columns, rows)
    return folder


def rsna(folder: Path, write_film, mappings: bool = True, classes: bool = True) -> Path:
    """RSNA: 10 films of 5 patients, of which one has two boxes and two are MONOCHROME1."""
    rows, finer, names = [], [], []
    (folder / "stage_2_train_images").mkdir(parents=True)
    for n in range(10):
        name, sick = f"0004cfab-14fd-4e49-80ba-63a80b6bdd{n:02d}", n % 2
        box = [name, *([264.0, 152.0, 213.0, 379.0] if sick else [""] * 4), sick]
        rows += [box, box] if n == 1 else [box]
        finer.append([name, "Lung Opacity" if sick else "No Lung Opacity / Not Normal" if n % 4 else "Normal"])
        names.append({"subset_img_id": name, "img_id": f"{n // 2 + 1:08d}_{n % 2:03d}.png"})
        pixels = np.random.RandomState(n).randint(0, 256, (16, 16), dtype=np.uint8)
        header = {"PatientSex": "F", "PatientAge": "51", "ViewPosition": "AP" if sick else "PA"}
        polarity = "MONOCHROME1" if n in (3, 4) else "MONOCHROME2"
        write_film(folder / "stage_2_train_images" / f"{name}.dcm", pixels, polarity, **header)
    table(folder / "stage_2_train_labels.csv", "patientId,x,y,width,height,Target", rows)
    if classes:
        table(folder / "stage_2_detailed_class_info.csv", "patientId,class", finer)
    if mappings:
        (folder / "pneumonia-challenge-dataset-mappings_2018.json").write_text(json.dumps(names))
    return folder


def covid_chestxray(folder: Path) -> Path:
    """covid-chestxray-dataset: 12 frontal films, a lateral one, a CT and two films without a label."""
    findings = ["No Finding", "Pneumonia/Viral/COVID-19", "Pneumonia/Bacterial/Streptococcus"] * 4
    views = ["PA", "AP", "AP Supine"] * 4
    rows = [(n, finding, view, "X-ray") for n, (finding, view) in enumerate(zip(findings, views, strict=True))]
    rows += [(12, "Pneumonia/Viral/COVID-19", "L", "X-ray"), (13, "Pneumonia/Viral/COVID-19", "Axial", "CT")]
    rows += [(14, "todo", "PA", "X-ray"), (15, "Unknown", "PA", "X-ray")]
    cells = []
    for n, finding, view, modality in rows:
        place = "volumes" if modality == "CT" else "images"
        film(folder / place / f"film-{n}.png", n)
        site = f"Hospital, {'Cona, Italy' if 'COVID' in finding else 'Hannover, Germany'}"
        notes = 'Seen by a doctor,\nwho wrote "nothing new".'
        cells.append([n, 3, "M", 65, finding, "Y", "N", view, modality, "2020", site, place, f"film-{n}.png"])
        cells[-1] += ["doi", "url", "CC BY-NC-SA", notes, ""]
    table(folder / "metadata.csv", COVID_COLUMNS, cells)
    return folder


def covid_qu_ex(folder: Path, doubled: bool = True) -> Path:
    """COVID-QU-Ex: two films of each class and split; one has no mask."""
    root = folder / "Lung Segmentation Data" / ("Lung Segmentation Data" if doubled else "")
    for split in ("Train", "Val", "Test"):
        for name in ("COVID-19", "Non-COVID", "Normal"):
            for n in range(2):
                image = film(root / split / name / "images" / f"{split}_{name}_{n}.png", n)
                if (split, name, n) != ("Train", "Normal", 0):
                    mask(root / split / name / "lung masks" / image.name, slice(2, 14))
    return folder


def brixia(folder: Path, write_film) -> Path:
    """BrixIA: 12 films of 8 patients; two films have a consensus, and one patient has one of these and another film."""
    (folder / "dicom_clean").mkdir(parents=True)
    rows = []
    for n in range(12):
        name = f"{2300 + n}.dcm"
        pixels = np.random.RandomState(n).randint(0, 4096, (16, 16), dtype=np.uint16)
        write_film(folder / "dicom_clean" / name, pixels, "MONOCHROME1" if n % 2 else "MONOCHROME2", bits=12)
        score = ("001123", "0", "333333", "100000")[n % 4]
        rows.append([name, n, n % 8, "CR", "SIEMENS", "M", 70, score, sum(map(int, score)), int(n in (6, 8))])
    columns = "Filename,StudyId,Subject,Modality,Manufacturer,Sex,AgeAtStudy,BrixiaScore,BrixiaScoreGlobal,"
    table(folder / "metadata_global_v2.csv", f"{columns}ConsensusTestset".split(","), rows, delimiter=";")
    return folder


def bimcv(folder: Path) -> Path:
    """BIMCV-COVID19+: 10 patients with a frontal film each, one with a lateral film, one report without a label."""
    root = folder / "covid19_posi"
    people, labels = [], []
    for n in range(10):
        patient, session = f"sub-S{3000 + n:05d}", f"E{6000 + n:05d}"
        found = (["normal"], ["pneumonia", "COVID 19"], ["pneumonia", "COVID 19 uncertain"], ["unchanged"])
        chosen = found[3] if n == 9 else found[n % 3]
        labels.append([n, f"report {n}", session, repr(chosen).replace(", ", "\t" if n % 2 else ", ")])
        people.append([patient, "['CR']", "[62]", "F"])
        views = ["ap", "ll"] if n == 0 else ["pa"]
        for view in views:
            name = f"{patient}_ses-{session}_run-1_bp-chest_vp-{view}_dx.png"
            image = film(root / patient / f"ses-{session}" / "mod-rx" / name, n)
            tags = {
                "00280004": {"vr": "CS", "Value": [f"MONOCHROME{1 + n % 2}"]},
                "00281054": {"vr": "LO", "Value": ["US"]},
                "00185101": {"vr": "CS", "Value": [view.upper()]} if n else {"vr": "CS"},
            }
            image.with_suffix(".json").write_text(json.dumps(tags))
    table(root / "participants.tsv", ("participant", "modality_dicom", "age", "gender"), people, "\t")
    columns = ("", "Report", "ReportID", "Labels")
    table(root / "derivatives" / "labels" / "labels_covid_posi.tsv", columns, labels, "\t")
    return folder


def shenzhen(folder: Path, root: str = "ChinaSet_AllFiles", masks: str = "mask/mask") -> Path:
    """Shenzhen: 12 films, of which 9 have a mask."""
    for n in range(1, 13):
        stem = f"CHNCXR_{n:04d}_{n % 2}"
        film(folder / root / "CXR_png" / f"{stem}.png", n)
        reading = folder / root / "ClinicalReadings" / f"{stem}.txt"
        reading.parent.mkdir(exist_ok=True)
        reading.write_text(f"{'male' if n % 3 else 'female '} {40 + n}yrs\n\n{'PTB' if n % 2 else 'normal'}")
        if n < 10:
            mask(folder / masks / f"{stem}_mask.png", slice(2, 14))
    return folder


def montgomery(folder: Path) -> Path:
    """Montgomery: 10 films with masks of the left and the right lung; one right lung is missing."""
    root = folder / "MontgomerySet"
    for n in range(1, 11):
        stem = f"MCUCXR_{n:04d}_{n % 2}"
        film(root / "CXR_png" / f"{stem}.png", n)
        reading = root / "ClinicalReadings" / f"{stem}.txt"
        reading.parent.mkdir(exist_ok=True)
        reading.write_text(f"Patient's Sex: {'FM'[n % 2]}\nPatient's Age: 0{40 + n}Y\nnormal")
        mask(root / "ManualMask" / "leftMask" / f"{stem}.png", slice(9, 14))
        if n != 3:
            mask(root / "ManualMask" / "rightMask" / f"{stem}.png", slice(2, 7))
    return folder


def tbx11k(folder: Path) -> Path:
    """TBX11K: 10 films of each class, of which 2 for testing, boxes of both kinds, and one film of another data set."""
    images = {"train": [], "val": []}
    boxes = {"train": [], "val": []}
    for n in range(10):
        for kind in ("health", "sick", "tb"):
            name = f"{kind}/{kind[0]}{n:04d}.png"
            film(folder / "imgs" / name, n)
            split = "val" if n > 7 else "train"
            images[split].append({"id": 100 * n + len(images[split]), "file_name": name, "width": 512, "height": 512})
            if kind == "tb" and n:
                box = {
                    "image_id": images[split][-1]["id"],
                    "category_id": 3 if n == 5 else 1 + n % 2,
                    "bbox": [1, 2, 30, 40],
                }
                boxes[split].append({"id": n, **box})
    film(folder / "imgs" / "extra" / "MCUCXR_0001_0.png")
    kinds = [{"id": n, "name": f"{kind}Tuberculosis"} for n, kind in enumerate(("Active", "Obsolete", "Uncertain"), 1)]
    for split in images:
        path = folder / "annotations" / "json" / f"TBX11K_{split}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"images": images[split], "annotations": boxes[split], "categories": kinds}))
    return folder
