"""ChestX-ray14 in its official layout, made up; and everything that can be wrong with a copy of it."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.radiographs import radiograph, write_picture

import modelsgenesis as mg
from modelsgenesis.core.errors import DataError
from modelsgenesis.data.channels import read_image
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import BitDepth
from modelsgenesis.targets.multilabel_classification import MultilabelClassification
from modelsgenesis.tasks import Task, read
from modelsgenesis.tasks.dxc import FINDINGS
from modelsgenesis.tasks.splitting import split_cases

HEAD = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
PATIENTS = 24

Entries = dict[str, tuple[str, str]]  # image: (findings, patient)


def entries() -> Entries:
    """Two images of each patient, the first without a finding; each finding and the next come in turn."""
    found: Entries = {}
    for patient in range(1, PATIENTS + 1):
        first, second = FINDINGS[patient % 14], FINDINGS[(patient + 1) % 14]
        found[f"{patient:08d}_000.png"] = ("No Finding", str(patient))
        found[f"{patient:08d}_001.png"] = (f"{first}|{second}", str(patient))
    return found


def make_chest14(
    folder: Path, *, listed: Entries | None = None, test: set[str] | None = None, without: tuple[str, ...] = ()
) -> Path:
    """Write it as NIH does: two folders of images, the table with its empty last column, the two lists.

    The last quarter of the patients is the test; `without` names images that are listed and not there.
    """
    listed = entries() if listed is None else listed
    test = {name for name in listed if int(name[:8]) > 18} if test is None else test
    for number, name in enumerate(listed):
        if name not in without:
            values = radiograph(number, ill=not listed[name][0].startswith("No"), size=(36, 36))
            part = "images_001" if number % 2 else "images_002"
            write_picture(folder / part / "images" / name, values)
    rows = [
        f"{name},{labels},0,{patient},058,M,PA,2682,2749,0.143,0.143," for name, (labels, patient) in listed.items()
    ]
    (folder / "Data_Entry_2017.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    for name, some in (("train_val_list.txt", set(listed) - test), ("test_list.txt", test)):
        (folder / name).write_text("\n".join(sorted(some)))
    return folder


def problems_of(task: Task) -> dict[str, str]:
    """What is wrong, by the file's name."""
    return {problem.path.name: problem.problem for problem in task.problems if problem.severity == "error"}


def test_official_layout_is_read(tmp_path: Path) -> None:
    """Fourteen labels at once; the official test patients; an eighth of the others validate, each whole."""
    task = mg.tasks.dxc(make_chest14(tmp_path))
    assert (task.name, task.modality, type(task.target)) == ("dxc", "XR", MultilabelClassification)
    assert task.target.names == FINDINGS
    assert task.problems == ()
    cases = {case.id: case for case in task.cases}
    assert len(cases) == 2 * PATIENTS
    assert cases["00000003_000"].values == (0.0,) * 14
    assert [FINDINGS[k] for k in np.flatnonzero(cases["00000003_001"].values)] == [FINDINGS[3], FINDINGS[4]]
    division = split_cases(task)
    assert {case.patient for case in division.test} == {str(number) for number in range(19, 25)}
    assert len({case.patient for case in division.val}) == 3
    parts = [{case.patient for case in part} for part in (division.train, division.val, division.test)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == PATIENTS
    image = read_image(cases["00000001_000"].images, Reading(BitDepth()))
    assert (image.size, image.limits) == ((36, 36), ((0.0, 255.0),))


def test_one_folder_of_images_and_the_later_table_will_do(tmp_path: Path) -> None:
    """As some copies have it; of two tables the first version is taken, unless another is named."""
    folder = make_chest14(tmp_path)
    (folder / "images").mkdir()
    for path in [*folder.glob("images_0*/images/*.png")]:
        path.rename(folder / "images" / path.name)
    table = folder / "Data_Entry_2017.csv"
    (folder / "Data_Entry_2017_v2020.csv").write_text(table.read_text().replace("No Finding", "Hernia"))
    assert len(mg.tasks.dxc(folder).cases) == 2 * PATIENTS
    other = read(folder, task="dxc,entries=Data_Entry_2017_v2020.csv")
    assert sum(case.values[-1] for case in other.cases) > PATIENTS
    table.unlink()
    assert sum(case.values[-1] for case in mg.tasks.dxc(folder).cases) > PATIENTS


def test_papers_numbers_come_with_it(tmp_path: Path) -> None:
    """In shares, each with where it was read."""
    published = mg.tasks.dxc(make_chest14(tmp_path)).published
    assert published is not None
    rows = {row["start"]: row for row in published.to_json("dxc")["rows"]}
    assert rows["Genesis Chest X-ray"]["mean"] == 0.7548
    assert rows["Swin-B, PEAC"]["mean"] == 0.8278
    assert all(row["source"] for row in rows.values())
    assert published.metric == "auc"


def test_trained_predicted_and_scored(tmp_path: Path) -> None:
    """Fourteen probabilities a picture that need not sum to 1; the score is the mean of fourteen AUCs."""
    folder = make_chest14(tmp_path / "data")
    options = {"steps": 3, "batch_size": 4, "precision": "32-true", "quiet": True, "width": 2, "size": (32, 32)}
    run = mg.finetune(folder, tmp_path / "run", task="dxc", **options)
    mg.predict(run, run / "test.csv", tmp_path / "out", quiet=True)
    lines = (tmp_path / "out" / "predictions.csv").read_text().splitlines()
    assert lines[0].split(",")[3:] == [f"p_{name}" for name in FINDINGS]
    assert len(lines) == 1 + 12
    scores = mg.evaluate(tmp_path / "out", run / "test.csv", tmp_path / "scores", resamples=5, quiet=True)
    found = {
        line["label"]: line["value"]
        for line in json.loads((scores / "summary.json").read_text(encoding="utf-8"))["lines"]
        if line["metric"] == "auc"
    }
    each = [value for label, value in found.items() if label in FINDINGS and value is not None]
    assert found["all labels"] == pytest.approx(np.mean(each), abs=1e-5)


def test_what_is_wrong_with_single_images_costs_them_alone(tmp_path: Path) -> None:
    """Missing, unknown, contradictory, without a patient, in both lists, in none, in a list alone: each is named."""
    listed = entries()
    listed["00000001_001.png"] = ("Atelectasis|Lung Opacity", "1")
    listed["00000002_001.png"] = ("No Finding|Mass", "2")
    listed["00000003_001.png"] = ("Mass", "")
    folder = make_chest14(tmp_path, listed=listed, without=("00000004_000.png",))
    lists = {name: (folder / f"{name}_list.txt") for name in ("train_val", "test")}
    both = "00000005_000.png"
    lists["test"].write_text(f"{lists['test'].read_text()}\n{both}")
    lists["train_val"].write_text(f"{lists['train_val'].read_text()}\n00000099_000.png".replace("00000006_000.png", ""))
    task = mg.tasks.dxc(folder)
    assert problems_of(task) == {
        "00000001_001.png": "'Lung Opacity' is none of the 14 findings",
        "00000002_001.png": "its row says No Finding and Mass",
        "00000003_001.png": "its row names no patient",
        "00000004_000.png": "it is listed, but it is not there",
        both: "it is in train_val_list.txt and in test_list.txt",
        "00000099_000.png": "it is in a list, but has no row in the table",
    }
    assert len(task.cases) == 2 * PATIENTS - 6
    (warning,) = [problem for problem in task.problems if problem.severity == "warning"]
    assert (warning.path.name, warning.problem) == ("00000006_000.png", "its row is in no list")


def test_patient_in_both_lists_is_kept_on_one_side(tmp_path: Path) -> None:
    """The official lists share no patient; a wrong copy must not leak, and says so."""
    test = {name for name in entries() if int(name[:8]) > 18} | {"00000002_001.png"}
    task = mg.tasks.dxc(make_chest14(tmp_path, test=test))
    (name, what), *others = problems_of(task).items()
    assert (name, others) == ("00000002_001.png", [])
    assert "its patient is in split" in what
    division = split_cases(task)
    assert not {case.patient for case in division.test} & {case.patient for case in division.train}


def test_part_of_the_images_is_reported_in_one_line(tmp_path: Path) -> None:
    """Who has unpacked one of twelve archives is not shown a hundred thousand problems."""
    folder = make_chest14(tmp_path)
    for path in (folder / "images_002" / "images").iterdir():
        path.unlink()
    task = mg.tasks.dxc(folder)
    assert len(task.cases) == PATIENTS
    (problem,) = task.problems
    assert problem.problem.startswith("of 24 images, the first is 00000001_000.png: it is listed, but")


def test_same_name_twice_is_reported(tmp_path: Path) -> None:
    """The first is taken."""
    folder = make_chest14(tmp_path)
    first = next((folder / "images_001" / "images").iterdir())
    (folder / "images_002" / "images" / first.name).write_bytes(first.read_bytes())
    (problem,) = mg.tasks.dxc(folder).problems
    assert "a second image of this name" in problem.problem


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: (folder / "test_list.txt").unlink(), r"test_list\.txt: cannot be read"),
        (lambda folder: (folder / "Data_Entry_2017.csv").unlink(), r"holds 0 tables Data_Entry_2017\*\.csv"),
        (lambda folder: (folder / "Data_Entry_2017.csv").write_text("a,b\n1,2\n"), "has no column Image Index"),
        (
            lambda folder: [path.unlink() for path in folder.glob("images_*/images/*")],
            "of 48 images, the first is .* it is listed, but it is not there",
        ),
    ],
    ids=["no list", "no table", "another table", "no image"],
)
def test_broken_copies_are_refused(change, words: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """In words that say what is missing."""
    folder = make_chest14(tmp_path)
    change(folder)
    with pytest.raises(DataError, match=words):
        mg.tasks.dxc(folder)
