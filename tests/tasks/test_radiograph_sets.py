"""Published sets of chest X-rays in the layouts of their makers, made up; and what can be wrong with a copy of them."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import SecondaryCaptureImageStorage
from tests.radiographs import radiograph, write_picture, write_radiograph
from tests.tasks.radiograph_sets import (
    COVIDX,
    MAKERS,
    NOT_THERE,
    VINDR,
    found,
    make_chexpert,
    make_covidx,
    make_mimic,
    make_rsna,
    make_tuberculosis,
    make_vindr,
    picture,
    problems_of,
)

import modelsgenesis as mg
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.naming import load_module
from modelsgenesis.core.tables import read_rows
from modelsgenesis.data.masks import read_label_map
from modelsgenesis.tasks import names, read
from modelsgenesis.tasks.checks import check
from modelsgenesis.tasks.chexpert_labels import FINDINGS
from modelsgenesis.tasks.jsrt import ORGANS
from modelsgenesis.tasks.rsna import CLASSES


def test_chexpert(tmp_path: Path) -> None:
    """By patient and with every view; what the report is silent of is absent, what it doubts is there."""
    task = mg.tasks.folder(make_chexpert(tmp_path / "CheXpert-v1.0-small"))
    assert (task.name, task.target.names, task.modality, task.problems) == ("chexpert", FINDINGS, "XR", ())
    assert found(task) == {
        "train_patient00001_study1_view1_frontal": (["Cardiomegaly", "Edema"], "patient00001", "train"),
        "train_patient00001_study1_view2_lateral": (["Cardiomegaly", "Edema"], "patient00001", "train"),
        "train_patient00001_study2_view1_frontal": (["No Finding"], "patient00001", "train"),
        "train_patient00002_study1_view1_frontal": (["Pneumonia"], "patient00002", "train"),
        "train_patient00003_study1_view1_frontal": (["No Finding", "Support Devices"], "patient00003", "train"),
        "valid_patient64541_study1_view1_frontal": (["Fracture"], "patient64541", "val"),
        "test_patient64741_study1_view1_frontal": (["Edema"], "patient64741", "test"),
    }
    assert found(mg.tasks.folder(tmp_path)) == found(task), "the folder that the archive makes, or the one above"


def test_chexpert_in_its_four_batches(tmp_path: Path) -> None:
    """The large archives have no train/, and the table lies in the first."""
    make_chexpert(tmp_path / "made")
    batch = [tmp_path / "all" / f"CheXpert-v1.0 batch {name}" for name in ("1 (validate & csv)", "2 (train 1)")]
    for part in batch:
        part.mkdir(parents=True)
    for name in ("train.csv", "valid.csv", "valid"):
        (tmp_path / "made" / name).rename(batch[0] / name)
    (tmp_path / "made" / "train").rename(batch[1])
    task = mg.tasks.folder(tmp_path / "all")
    assert len(task.cases) == 6
    assert task.problems == ()


@pytest.mark.parametrize(("uncertain", "value"), [("ones", 1.0), ("zeros", 0.0), ("ignore", math.nan)])
@pytest.mark.parametrize("name", ["chexpert", "mimic_cxr"])
def test_uncertain_labels_by_policy(name: str, uncertain: str, value: float, tmp_path: Path) -> None:
    """Only what is -1 changes."""
    folder = {"chexpert": make_chexpert, "mimic_cxr": make_mimic}[name](tmp_path)
    certain, task = read(folder, task=f"{name},uncertain=zeros"), read(folder, task=f"{name},uncertain={uncertain}")
    changed = {
        (task.target.names[k], new)
        for case, other in zip(task.cases, certain.cases, strict=True)
        for k, (new, old) in enumerate(zip(case.values, other.values, strict=True))
        if new != old
    }
    expected = {"chexpert": {"Cardiomegaly", "Pneumonia"}, "mimic_cxr": {"Edema"}}[name]
    assert {label for label, _ in changed} == (expected if uncertain != "zeros" else set())
    assert all(np.array_equal(new, value, equal_nan=True) for _, new in changed)
    with pytest.raises(DataError, match="uncertain is 'twos'; it takes ones, zeros, ignore"):
        read(folder, task=f"{name},uncertain=twos")


def test_what_is_wrong_with_single_rows_of_chexpert(tmp_path: Path) -> None:
    """Missing, of nobody, with a strange label, and one patient in two splits: each is named with what to do."""
    folder = make_chexpert(tmp_path)
    (folder / "train/patient00003/study1/view1_frontal.jpg").unlink()
    table = (folder / "train.csv").read_text()
    picture(folder / "train/nobody/study1/view1_frontal.jpg")
    picture(folder / "valid/patient00001/study9/view1_frontal.jpg")
    row = table.splitlines()[1]
    table = table.replace("-1.0", "2.0", 1) + row.replace("patient00001", "nobody") + "\n"
    (folder / "train.csv").write_text(table)
    with open(folder / "valid.csv", "a", encoding="utf-8") as file:
        file.write(row.replace("train/patient00001/study1", "valid/patient00001/study9") + "\n")
    task, other = mg.tasks.folder(folder), "train_patient00001_study1_view2_lateral"
    assert problems_of(task) == [
        ("view1_frontal.jpg", "its Cardiomegaly is '2.0'"),
        ("view1_frontal.jpg", NOT_THERE),
        ("view1_frontal.jpg", "its path names no patient"),
        ("view1_frontal.jpg", f"its patient is in split train with {other} and in split val with this case"),
    ]
    assert all(problem.remedy for problem in task.problems)
    assert len(task.cases) == 7 - 2


@pytest.mark.parametrize("packed", [".gz", ""])
def test_mimic_cxr(packed: str, tmp_path: Path) -> None:
    """Columns are found by their names, not by their place; the division is the official one; tables gzipped or not."""
    task = mg.tasks.folder(make_mimic(tmp_path, packed))
    assert (task.name, task.target.names, task.problems) == ("mimic_cxr", FINDINGS, ())
    assert found(task) == {
        "02aa804e-bde0afdd": (["No Finding"], "10000032", "train"),
        "174413ec-4ec4c1f7": (["No Finding"], "10000032", "train"),
        "2a2277a9-b0ded155": (["Edema", "Fracture"], "10000032", "train"),
        "096052b7-d256dc40": (["Consolidation"], "10000764", "val"),
        "446a2525-c4b2f3b1": (["Lung Opacity"], "11000011", "test"),
        "446a2525-c4b2f3b2": (["Lung Opacity"], "11000011", "test"),
    }


def test_mimic_cxr_by_hand(tmp_path: Path) -> None:
    """The test as radiologists labelled it, which calls the opacity otherwise; the others as before."""
    task = read(make_mimic(tmp_path), task="mimic_cxr,by_hand=true,labels=negbio")
    tests = {name: labels for name, (labels, _, split) in found(task).items() if split == "test"}
    assert tests == {"446a2525-c4b2f3b1": ["Lung Opacity", "Pneumonia"]}
    assert len(task.cases) == 5


@pytest.mark.parametrize("ending", ["dcm", "png"])
def test_rsna(ending: str, tmp_path: Path) -> None:
    """Three classes of which Normal is the first; images of one patient of ChestX-ray14 stay together."""
    task = mg.tasks.folder(make_rsna(tmp_path, ending=ending))
    assert task.target.names == ("Normal", "No Lung Opacity / Not Normal", "Lung Opacity")
    assert [case.values for case in task.cases] == [(2.0,), (1.0,), (0.0,)]
    assert [(case.id, case.patient, case.split) for case in task.cases] == [
        ("aa-1", "00000003", ""), ("bb-2", "00000003", ""), ("cc-3", "00000010", "")
    ]  # fmt: skip
    assert (task.name, task.problems) == ("rsna", ())
    checked = check(task, workers=0)
    assert [finding.size for finding in checked.findings] == [(32, 40)] * 3
    assert checked.findings[0].ranges == ((0.0 + radiograph(0, ill=True).min(), float(radiograph(0, ill=True).max())),)


def test_rsna_with_the_lists_of_a_paper_and_without_the_patients(tmp_path: Path) -> None:
    """Lists decide the split; without RSNA's own list, that one patient may be in both is said; a conflict is named."""
    folder = make_rsna(tmp_path, mapping=False)
    (folder / "RSNAPneumonia_train.txt").write_text("aa-1.png 2\nbb-2.png 1\n")
    (folder / "RSNAPneumonia_test.txt").write_text("cc-3.png 0\n")
    with open(folder / "stage_2_detailed_class_info.csv", "a", encoding="utf-8") as file:
        file.write("bb-2,Normal\n")
    task = mg.tasks.folder(folder)
    assert {case.id: case.split for case in task.cases} == {"aa-1": "train", "cc-3": "test"}
    warning, conflict = task.problems
    assert (warning.severity, "several of its images are of one patient" in warning.problem) == ("warning", True)
    assert conflict.problem == "its class is No Lung Opacity / Not Normal and Normal"
    (folder / "RSNAPneumonia_val.txt").write_text("cc-3.png 0\n")
    with pytest.raises(DataError, match=r"has cc-3\.png, which is in a list of another split"):
        mg.tasks.folder(folder)


def test_vindr(tmp_path: Path) -> None:
    """What one of the readers says counts; the test's table, which lacks a letter, is understood."""
    task = mg.tasks.folder(make_vindr(tmp_path))
    assert (task.name, task.problems) == ("vindr", ())
    assert task.target.names == (
        "Pleural effusion", "Lung tumor", "Pneumonia", "Tuberculosis", "Other diseases", "No finding"
    )  # fmt: skip
    assert found(task) == {
        "000434271f63": (["Lung tumor", "No finding"], "000434271f63", "train"),
        "0005e8e3701d": (["Pleural effusion", "Pneumonia", "Other diseases"], "0005e8e3701d", "train"),
        "e0dc2e791051": (["Tuberculosis", "Other diseases"], "e0dc2e791051", "test"),
    }
    every = read(tmp_path, task="vindr,labels=all")
    assert every.target.names == VINDR
    assert found(every)["000434271f63"][0] == ["Nodule/Mass", "Lung tumor", "No finding"]
    levels = radiograph(0, ill=True).astype(float) * 16
    assert check(task, workers=0).findings[0].ranges == ((4095 - levels.max(), 4095 - levels.min()),)


@pytest.mark.parametrize("home", ["", "archive"])
@pytest.mark.parametrize(
    ("name", "prefix", "inside"),
    [("shenzhen", "CHNCXR", "ChinaSet_AllFiles"), ("montgomery", "MCUCXR", "MontgomerySet")],
)
def test_shenzhen_and_montgomery(name: str, prefix: str, inside: str, home: str, tmp_path: Path) -> None:
    """The name's last figure is the class, each is a patient; lists beside divide them."""
    folder = make_tuberculosis(tmp_path, prefix, inside if home else "")
    task = mg.tasks.folder(folder)
    assert (task.name, task.target.names, task.problems) == (name, ("normal", "tuberculosis"), ())
    assert [(case.id, case.values, case.patient, case.split) for case in task.cases] == [
        (f"{prefix}_{rest}", (float(rest[-1]),), f"{prefix}_{rest}", "") for rest in ("0001_0", "0002_0", "0327_1")
    ]
    for part, rest in {"train": "0001_0", "valid": "0327_1", "test": "0002_0"}.items():
        (folder / f"Hospital_{part}_data.txt").write_text(f"{prefix}_{rest}.png,{rest[-1]}\n")
    (folder / "Hospital_test_data.txt").write_text(f"{prefix}_0002_0.png,0\n{prefix}_0009_1.png,1\n")
    task = mg.tasks.folder(folder)
    assert [case.split for case in task.cases] == ["train", "test", "val"]
    assert problems_of(task) == [(f"{prefix}_0009_1.png", NOT_THERE)]


def test_folder_of_two_sets_is_refused_by_both_names(tmp_path: Path) -> None:
    """As some collections mix them: --task says which is meant."""
    make_tuberculosis(make_tuberculosis(tmp_path, "CHNCXR", ""), "MCUCXR", "")
    with pytest.raises(DataError, match="may be montgomery or shenzhen; say which with --task"):
        mg.tasks.folder(tmp_path)
    assert len(read(tmp_path, task="shenzhen").cases) == 3


def test_jsrt(tmp_path: Path) -> None:
    """Names say who has a nodule; the bare files as they come, or converted ones."""
    levels = np.random.default_rng(0).integers(0, 4096, (2048, 2048)).astype(">u2")
    for part, name in (("Nodule154images", "JPCLN001"), ("NonNodule93images", "JPCNN001")):
        (tmp_path / "raw" / part).mkdir(parents=True)
        levels[::-1].tofile(tmp_path / "raw" / part / f"{name}.IMG")
        picture(tmp_path / "png" / "All247images" / f"{name}.png")
    for task in map(mg.tasks.folder, (tmp_path / "raw", tmp_path / "png")):
        assert (task.name, task.target.names, task.problems) == ("jsrt", ("no nodule", "nodule"), ())
        assert {case.id: case.values for case in task.cases} == {"JPCLN001": (1.0,), "JPCNN001": (0.0,)}
        assert {case.patient for case in task.cases} == {"JPCLN001", "JPCNN001"}
    assert check(mg.tasks.folder(tmp_path / "raw"), workers=0).findings[0].size == (2048, 2048)


def test_covidx(tmp_path: Path) -> None:
    """Two files of one stem, two sources that number alike, a name with a blank; the division is that of the lists."""
    task = mg.tasks.folder(make_covidx(tmp_path, COVIDX, "_COVIDx9A"))
    assert (task.name, task.target.names, task.problems) == ("covidx", ("normal", "pneumonia", "COVID-19"), ())
    said = {case.id: (task.target.names[int(case.values[0])], case.patient, case.split) for case in task.cases}
    assert said == {
        "SARS-10-g04mr34g0-Fig8a-day0.jpg": ("pneumonia", "cohen 3", "train"),
        "SARS-10-g04mr34g0-Fig8b-day5.jpg": ("pneumonia", "cohen 3", "train"),
        "000004.jpg": ("COVID-19", "cohen 396", "train"),
        "COVID_12_.png": ("COVID-19", "sirm 3", "train"),
        "000004.png": ("normal", "rsna 311a", "test"),
    }


def test_covidx_of_two_versions_or_broken(tmp_path: Path) -> None:
    """The version is asked for; two classes are read too; lines that are none, and lists that mix, are refused."""
    make_covidx(tmp_path, COVIDX, "_COVIDx9A")
    binary = {"train": ["5 a.png positive ricord", "6 b.png negative rsna"], "test": ["7 c.png positive ricord"]}
    make_covidx(tmp_path, binary, "_COVIDx8B")
    with pytest.raises(DataError, match=r"lists train\*\.txt: train_COVIDx8B.txt, train_COVIDx9A.txt; there should be"):
        mg.tasks.folder(tmp_path)
    task = read(tmp_path, task="covidx,version=COVIDx8B")
    assert (task.target.names, [case.values for case in task.cases]) == (("negative", "positive"), [(1,), (0,), (1,)])
    lines = ["5 a.png positive ricord", "b.png", "9 gone.png negative rsna", "9 c.gif negative rsna"]
    (tmp_path / "train_COVIDx8B.txt").write_text("\n".join(lines))
    (tmp_path / "train" / "c.gif").write_bytes(b"GIF89a")
    task = read(tmp_path, task="covidx,version=COVIDx8B")
    assert problems_of(task) == [
        ("train_COVIDx8B.txt", "line 2 is 'b.png'"),
        ("gone.png", NOT_THERE),
        ("c.gif", "no picture of a kind that is read here"),
    ]
    (tmp_path / "test_COVIDx8B.txt").write_text("7 c.png normal ricord\n")
    with pytest.raises(DataError, match="its lists say negative, normal, positive; give lists of one version"):
        read(tmp_path, task="covidx,version=COVIDx8B")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("chexpert", "has none of train.csv"),
        ("mimic_cxr", "mimic-cxr-2.0.0-chexpert.csv.gz: cannot be read"),
        ("rsna", "stage_2_detailed_class_info.csv: cannot be read"),
        ("vindr", "has no annotations/image_labels_train.csv"),
        ("shenzhen", "holds no picture that is called CHNCXR"),
        ("montgomery", "holds no picture that is called MCUCXR"),
        ("jsrt", "holds no picture JPCLN001.IMG"),
        ("covidx", r"lists train\*.txt: none"),
    ],
)
def test_folder_of_something_else_is_refused(name: str, words: str, tmp_path: Path) -> None:
    """With what should be there."""
    with pytest.raises(DataError, match=words):
        read(tmp_path, task=name)


@pytest.mark.parametrize("name", MAKERS)
def test_folder_is_recognised_by_its_own_set_and_by_no_other(name: str, tmp_path: Path) -> None:
    """Every file of a set that can be recognised is here; an empty folder is none of them."""
    modules = {each: load_module(f"modelsgenesis.tasks.{each}") for each in names()}
    can = [each for each, module in modules.items() if hasattr(module, "recognise")]
    assert can == sorted(MAKERS)
    assert not any(modules[each].recognise(tmp_path) for each in can)
    folder = MAKERS[name](tmp_path)
    assert [each for each in can if modules[each].recognise(folder)] == [name]
    assert mg.tasks.folder(folder).name == name


@pytest.mark.parametrize("name", ["chexpert", "mimic_cxr", "vindr"])
def test_many_missing_images_are_one_problem(name: str, tmp_path: Path) -> None:
    """Who has unpacked a part is not shown a hundred thousand lines; who has unpacked none is told so."""
    folder = MAKERS[name](tmp_path)
    for path in [*folder.rglob("*.jpg"), *folder.rglob("*.dicom")]:
        path.unlink()
    with pytest.raises(DataError, match=NOT_THERE):
        mg.tasks.folder(folder)


def test_recognised_set_is_learned_predicted_and_scored(tmp_path: Path) -> None:
    """The folder alone is enough, and the run's own table of the test, which names secondary captures, too."""
    folder = make_rsna(tmp_path / "rsna")
    parts = {"train": ["aa-1", "bb-2", "cc-3"], "test": ["dd-4", "ee-5", "ff-6"]}
    for number, (name, said) in enumerate(zip(parts["test"], CLASSES, strict=True), start=7):
        place = folder / "stage_2_train_images" / f"{name}.dcm"
        write_radiograph(place, radiograph(number, ill=True), SOPClassUID=SecondaryCaptureImageStorage)
        with open(folder / "stage_2_detailed_class_info.csv", "a", encoding="utf-8") as file:
            file.write(f"{name},{said}\n")
    for part, some in parts.items():
        (folder / f"RSNAPneumonia_{part}.txt").write_text("".join(f"{name}.png 0\n" for name in some))
    options = {"steps": 2, "batch_size": 3, "precision": "32-true", "quiet": True, "width": 2, "size": (32, 32)}
    run = mg.finetune(folder, tmp_path / "run", **options)
    mg.predict(run, run / "test.csv", tmp_path / "out", quiet=True)
    scores = mg.evaluate(tmp_path / "out", run / "test.csv", tmp_path / "scores", resamples=5, quiet=True)
    lines = json.loads((scores / "summary.json").read_text(encoding="utf-8"))["lines"]
    assert {line["n"] for line in lines if line["metric"] == "accuracy"} == {3}
    assert mg.inspect(folder, quiet=True).splitlines()[0] == "rsna"


def disc(size: tuple[int, int], *, right: bool) -> np.ndarray:
    """A mask (rows, columns) in one half of a picture."""
    mask = np.zeros(size, np.uint8)
    columns = slice(size[1] // 2 + 2, size[1] - 2) if right else slice(2, size[1] // 2 - 2)
    mask[4 : size[0] // 2, columns] = 255
    return mask


def test_montgomery_with_the_masks_of_both_lungs(tmp_path: Path) -> None:
    """A label each, which may be learned, predicted and scored; an image without one of them is named."""
    folder = make_tuberculosis(tmp_path / "set", "MCUCXR", "MontgomerySet")
    for rest in ("0001_0", "0002_0", "0327_1"):
        for side in ("left", "right"):
            place = folder / "MontgomerySet" / "ManualMask" / f"{side}Mask" / f"MCUCXR_{rest}.png"
            write_picture(place, disc((32, 32), right=side == "left"))
    task = read(folder, task="montgomery,masks=true")
    assert (task.target.names, task.problems, len(task.cases)) == (("left lung", "right lung"), (), 3)
    assert [finding.voxels for finding in check(task, workers=0).findings] == [(12 * 12, 12 * 12)] * 3
    run = mg.finetune(
        folder, tmp_path / "run", task="montgomery,masks=true", test=0.34, steps=2, batch_size=2, width=2,
        size=(32, 32), precision="32-true", workers=0, quiet=True,
    )  # fmt: skip
    out = mg.predict(run, run / "test.csv", tmp_path / "out", quiet=True)
    scores = mg.evaluate(out, run / "test.csv", tmp_path / "scores", resamples=5, quiet=True)
    assert {row["status"] for row in read_rows(scores / "cases.csv")} == {"compared"}
    (folder / "MontgomerySet" / "ManualMask" / "rightMask" / "MCUCXR_0002_0.png").unlink()
    ((name, problem),) = problems_of(read(folder, task="montgomery,masks=true"))
    assert name == "MCUCXR_0002_0.png"
    assert "it has no mask of the right lung" in problem


def test_jsrt_with_the_masks_of_scr(tmp_path: Path) -> None:
    """GIFs of half the size in two folds, enlarged onto the image, and back by the run's own table."""
    for number, name in enumerate(("JPCLN001", "JPCLN002", "JPCNN001", "JPCNN002")):
        picture(tmp_path / "set" / "All247images" / f"{name}.png")
        for organ in ORGANS:
            place = tmp_path / "set" / "scratch" / f"fold{1 + number % 2}" / "masks" / organ / f"{name}.gif"
            write_picture(place, disc((16, 16), right="left" in organ))
    task = read(tmp_path / "set", task="jsrt,masks=true")
    assert (task.target.names, task.problems) == (ORGANS, ())
    assert {case.id: case.fold for case in task.cases} == {
        "JPCLN001": 0, "JPCLN002": 1, "JPCNN001": 0, "JPCNN002": 1
    }  # fmt: skip
    (case, *_) = task.cases
    expected = disc((16, 16), right=True).repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(read_label_map(case.masks[1])[0].T, expected)
    run = mg.finetune(
        tmp_path / "set", tmp_path / "run", task="jsrt,masks=true", test=0.25, steps=2, batch_size=2, width=2,
        size=(32, 32), precision="32-true", workers=0, quiet=True,
    )  # fmt: skip
    out = mg.predict(run, run / "test.csv", tmp_path / "out", quiet=True)
    scores = mg.evaluate(out, run / "test.csv", tmp_path / "scores", resamples=5, quiet=True)
    assert {row["status"] for row in read_rows(scores / "cases.csv")} == {"compared"}
    place = tmp_path / "set" / "scratch" / "fold1" / "masks" / "heart" / "JPCLN001.gif"
    write_picture(place, disc((15, 16), right=True))
    assert problems_of(read(tmp_path / "set", task="jsrt,masks=true")) == [
        ("JPCLN001.png", "its mask of the heart has 16 x 15 pixels, and the image 32 x 32")
    ]
