"""Published sets of chest X-rays in the layouts of their makers, made up: what their tests share."""

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from pydicom.uid import SecondaryCaptureImageStorage
from tests.radiographs import radiograph, write_picture, write_radiograph
from tests.tasks.test_dxc import make_chest14

from modelsgenesis.tasks import Task
from modelsgenesis.tasks.chexpert_labels import FINDINGS

ALPHABETICAL = tuple(sorted(FINDINGS))
VINDR = (
    "Aortic enlargement", "Atelectasis", "Calcification", "Cardiomegaly", "Clavicle fracture", "Consolidation", "Edema",
    "Emphysema", "Enlarged PA", "ILD", "Infiltration", "Lung Opacity", "Lung cavity", "Lung cyst", "Mediastinal shift",
    "Nodule/Mass", "Pleural effusion", "Pleural thickening", "Pneumothorax", "Pulmonary fibrosis", "Rib fracture",
    "Other lesion", "COPD", "Lung tumor", "Pneumonia", "Tuberculosis", "Other diseases", "No finding",
)  # fmt: skip
NOT_THERE = "it is listed, but it is not there"


def write_rows(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a CSV, gzipped if its name ends so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        gzip.open(path, "wt", newline="")
        if path.suffix == ".gz"
        else open(path, "w", encoding="utf-8", newline="") as file
    ):
        csv.writer(file).writerows([columns, *rows])


def picture(path: Path) -> Path:
    """A radiograph of its own at a place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number = zlib.crc32(path.as_posix().encode())
    return write_picture(path, radiograph(number, ill=bool(number % 2), size=(32, 32)))


def marked(there: Mapping[str, str], order: Sequence[str] = FINDINGS) -> list[str]:
    """The entries of CheXpert's labels, silent but for some."""
    return [there.get(name, "") for name in order]


def found(task: Task) -> dict[str, tuple[list[str], str, str]]:
    """{id: the labels that are there, the patient, the split}."""
    return {case.id: (task.target.labels_of(case.values), case.patient, case.split) for case in task.cases}


def problems_of(task: Task) -> list[tuple[str, str]]:
    """What is wrong, with the name of the file."""
    return [(problem.path.name, problem.problem) for problem in task.problems]


def make_chexpert(folder: Path) -> Path:
    """Three patients who train, one with a second study and two views; one who validates, one of the test."""
    head = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *FINDINGS]
    rows: dict[str, list[tuple[str, dict[str, str]]]] = {
        "train": [
            ("patient00001/study1/view1_frontal", {"Edema": "1.0", "Cardiomegaly": "-1.0"}),
            ("patient00001/study1/view2_lateral", {"Edema": "1.0", "Cardiomegaly": "-1.0"}),
            ("patient00001/study2/view1_frontal", {"No Finding": "1.0"}),
            ("patient00002/study1/view1_frontal", {"Pneumonia": "-1.0", "Support Devices": "0.0"}),
            ("patient00003/study1/view1_frontal", {"No Finding": "1.0", "Support Devices": "1.0"}),
        ],
        "valid": [("patient64541/study1/view1_frontal", dict.fromkeys(FINDINGS, "0.0") | {"Fracture": "1.0"})],
        "test": [("patient64741/study1/view1_frontal", dict.fromkeys(FINDINGS, "0.0") | {"Edema": "1.0"})],
    }
    for part, some in rows.items():
        full = [
            [f"CheXpert-v1.0-small/{part}/{name}.jpg", "Female", 68, "Frontal", "AP", *marked(labels)]
            for name, labels in some
        ]
        if part == "test":  # given out later, with fewer columns
            head, full = ["Path", *FINDINGS], [[row[0].replace("-small", ""), *row[5:]] for row in full]
        write_rows(folder / f"{part}.csv", head, full)
        for name, _ in some:
            picture(folder / part / f"{name}.jpg")
    return folder


def make_mimic(folder: Path, packed: str = ".gz") -> Path:
    """Four studies of three patients; columns in alphabetical order, as MIMIC has them; the test by hand too."""
    studies: dict[tuple[int, int], tuple[str, list[str], dict[str, str]]] = {
        (10000032, 50414267): ("train", ["02aa804e-bde0afdd", "174413ec-4ec4c1f7"], {"No Finding": "1.0"}),
        (10000032, 53189527): ("train", ["2a2277a9-b0ded155"], {"Edema": "-1.0", "Fracture": "1.0"}),
        (10000764, 57375967): ("validate", ["096052b7-d256dc40"], {"Consolidation": "1.0", "Edema": "0.0"}),
        (11000011, 51029426): ("test", ["446a2525-c4b2f3b1"], {"Lung Opacity": "1.0"}),
        (11000011, 51029427): ("test", ["446a2525-c4b2f3b2"], {"Lung Opacity": "1.0"}),
    }
    rows, labels = [], []
    for (subject, study), (split, images, there) in studies.items():
        labels.append([subject, study, *marked(there, ALPHABETICAL)])
        for name in images:
            rows.append([name, study, subject, split])
            picture(folder / f"files/p{subject // 1000000}/p{subject}/s{study}/{name}.jpg")
    write_rows(folder / f"mimic-cxr-2.0.0-split.csv{packed}", ["dicom_id", "study_id", "subject_id", "split"], rows)
    for who in ("chexpert", "negbio"):
        head = ["subject_id", "study_id", *ALPHABETICAL]
        write_rows(folder / f"mimic-cxr-2.0.0-{who}.csv{packed}", head, labels)
    by_hand = [name.replace("Lung Opacity", "Airspace Opacity") for name in ALPHABETICAL]
    row = [51029426, *marked({"Pneumonia": "1.0", "Lung Opacity": "1.0"}, ALPHABETICAL)]
    write_rows(folder / "mimic-cxr-2.1.0-test-set-labeled.csv", ["study_id", *by_hand], [row])
    return folder


def make_rsna(folder: Path, *, mapping: bool = True, ending: str = "dcm") -> Path:
    """Three images of two patients of ChestX-ray14, one with two boxes; secondary captures, as RSNA has them."""
    classes = {"aa-1": "Lung Opacity", "bb-2": "No Lung Opacity / Not Normal", "cc-3": "Normal"}
    rows = [(name, said) for name, said in classes.items() for _ in range(1 + (name == "aa-1"))]
    write_rows(folder / "stage_2_detailed_class_info.csv", ["patientId", "class"], rows)
    boxes = [(name, *("264.0", "152.0", "213.0", "379.0", 1)) for name, said in rows if said == "Lung Opacity"]
    write_rows(folder / "stage_2_train_labels.csv", ["patientId", "x", "y", "width", "height", "Target"], boxes)
    for number, name in enumerate(["aa-1", "bb-2", "cc-3"]):
        place, levels = folder / "stage_2_train_images" / f"{name}.{ending}", radiograph(number, ill=number == 0)
        if ending == "dcm":
            write_radiograph(place, levels, SOPClassUID=SecondaryCaptureImageStorage)
        else:
            write_picture(place, levels)
    if mapping:
        images = [("aa-1", "00000003_000.png"), ("bb-2", "00000003_001.png"), ("cc-3", "00000010_000.png")]
        listed = [{"subset_img_id": name, "img_id": nih, "orig_labels": []} for name, nih in images]
        (folder / "pneumonia-challenge-dataset-mappings_2018.json").write_text(json.dumps(listed))
    return folder


def make_vindr(folder: Path) -> Path:
    """Two images that three readers saw, one of the test that was agreed upon; of DICOM, one of them a negative."""
    seen = {
        "000434271f63": [["No finding"], ["No finding"], ["Nodule/Mass", "Lung tumor"]],
        "0005e8e3701d": [["Lung Opacity", "Pneumonia"], ["Pleural effusion"], ["COPD", "Other diseases"]],
    }
    rows = [
        [name, f"R{reader}", *(int(label in there) for label in VINDR)]
        for name, readers in seen.items()
        for reader, there in enumerate(readers)
    ]
    write_rows(folder / "annotations/image_labels_train.csv", ["image_id", "rad_id", *VINDR], rows)
    of_test = [name.replace("Other diseases", "Other disease") for name in VINDR]
    agreed = ["e0dc2e791051", *(int(label in ("Tuberculosis", "Other diseases")) for label in VINDR)]
    write_rows(folder / "annotations/image_labels_test.csv", ["image_id", *of_test], [agreed])
    for number, name in enumerate(seen):
        levels = radiograph(number, ill=True).astype(np.uint16) * 16
        photometric = f"MONOCHROME{1 + number}"
        write_radiograph(
            folder / "train" / f"{name}.dicom", levels, PhotometricInterpretation=photometric, PatientID=None
        )
    write_radiograph(folder / "test/e0dc2e791051.dicom", radiograph(9, ill=True).astype(np.uint16), PatientID="")
    return folder


def make_tuberculosis(folder: Path, prefix: str, home: str) -> Path:
    """Two who are well and one who is ill, a mask and a reading beside."""
    for name in ("0001_0", "0002_0", "0327_1"):
        picture(folder / home / "CXR_png" / f"{prefix}_{name}.png")
        readings = folder / home / "ClinicalReadings" / f"{prefix}_{name}.txt"
        readings.parent.mkdir(exist_ok=True)
        readings.write_text("male 45yrs\nnormal\n")
    picture(folder / home / "ManualMask" / "leftMask" / f"{prefix}_0001_0.png")
    (folder / home / "CXR_png" / "Thumbs.db").write_bytes(b"")
    return folder


def make_covidx(folder: Path, lines: Mapping[str, Sequence[str]], version: str = "") -> Path:
    """Write lists, and the images that they name."""
    for part, some in lines.items():
        (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / f"{part}{version}.txt").write_text("\n".join(some) + "\n")
        for line in some:
            name = line.split(" ", 1)[1]
            Pillow.fromarray(radiograph(len(line), ill=False)).save(
                folder / part / name[: name.lower().index(".j" if ".j" in name.lower() else ".png") + 4].strip()
            )
    return folder


COVIDX = {
    "train": [
        "3 SARS-10-g04mr34g0-Fig8a-day0.jpg pneumonia cohen",
        "3 SARS-10-g04mr34g0-Fig8b-day5.jpg pneumonia cohen",
        "396 000004.jpg COVID-19 cohen",
        "3 COVID (12).png COVID-19 sirm",
    ],
    "test": ["311a 000004.png normal rsna"],
}


MAKERS: dict[str, Callable[[Path], Path]] = {
    "chexpert": make_chexpert,
    "covidx": lambda folder: make_covidx(folder, COVIDX),
    "dxc": make_chest14,
    "jsrt": lambda folder: picture(folder / "All247images" / "JPCLN001.png").parents[1],
    "mimic_cxr": make_mimic,
    "montgomery": lambda folder: make_tuberculosis(folder, "MCUCXR", "MontgomerySet"),
    "rsna": make_rsna,
    "shenzhen": lambda folder: make_tuberculosis(folder, "CHNCXR", "ChinaSet_AllFiles"),
    "vindr": make_vindr,
}
