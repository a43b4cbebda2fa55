"""A table of candidates in scans of any format."""

from pathlib import Path
from typing import Any

import pytest
from tests.data.scan_files import make_ct, write_ct, write_series
from tests.tasks.task_files import write_csv

import modelsgenesis as mg
from modelsgenesis.core.errors import DataError
from modelsgenesis.data.channels import read_image
from modelsgenesis.data.images import Reading
from modelsgenesis.tasks import folder, read
from modelsgenesis.tasks.splitting import cross_validation_splits, split_cases

SIZE, SPACING_MM = (40, 36, 30), (1.0, 1.0, 2.0)


def make_table(root: Path, *, patients: int = 6, **columns: Any) -> Path:
    """Two candidates in each scan, the second of which is an embolus in every other patient."""
    rows = []
    for number in range(patients):
        name = f"scan{number}.nii.gz"
        write_ct(root / name, number, SIZE, SPACING_MM)
        for label in (0, number % 2):
            more = {column: value(number) for column, value in columns.items()}
            rows.append({"image": name, "x": 20 - label, "y": 18, "z": 30, "label": label, **more})
    return write_csv(root / "candidates.csv", *rows)


def test_cubes_and_folds_by_patient(tmp_path: Path) -> None:
    """64 x 64 x 64 voxels around each; three folds that keep a patient whole and share the sick evenly."""
    task = mg.tasks.ecc(make_table(tmp_path))
    assert (task.name, task.target.names, task.modality) == ("ecc", ("none", "embolus"), "CT")
    assert read_image(task.cases[0].images, Reading()).size == (64, 64, 64)
    folds = {fold: {case.patient for case in task.cases if case.fold == fold} for fold in range(3)}
    assert sorted(len(patients) for patients in folds.values()) == [2, 2, 2]
    assert len(set.union(*folds.values())) == 6
    sick = {case.patient for case in task.cases if case.values[0]}
    assert [len(folds[fold] & sick) for fold in range(3)] == [1, 1, 1]
    found = [{case.patient for case in each.val} for each in cross_validation_splits(split_cases(task), 3)]
    assert sorted(map(sorted, found)) == sorted(map(sorted, folds.values()))


def test_one_fold_can_be_the_test(tmp_path: Path) -> None:
    """It is then declared; a fold that is not there is refused."""
    table = make_table(tmp_path)
    division = split_cases(read(table, task="ecc,test_fold=1"))
    assert {case.fold for case in division.test} == {1}
    assert {case.fold for case in division.train} == {0, 2}
    with pytest.raises(DataError, match="test_fold is 3, but the folds are 0, 1, 2"):
        mg.tasks.ecc(table, test_fold=3)


def test_folds_patients_and_ids_of_the_table_are_kept(tmp_path: Path) -> None:
    """Two scans of one patient stay together; a patient in two folds loses a case."""
    table = make_table(tmp_path, patients=4, patient=lambda n: f"p{n // 2}", fold=lambda n: n // 2)
    task = mg.tasks.ecc(table)
    assert {(case.patient, case.fold) for case in task.cases} == {("p0", 0), ("p1", 1)}
    wrong = make_table(tmp_path / "wrong", patients=2, patient=lambda n: "p", fold=lambda n: n)
    task = mg.tasks.ecc(wrong)
    assert {case.fold for case in task.cases} == {1}
    assert "its patient is in fold 1" in task.problems[0].problem


def test_dicom_series_is_named_by_its_folder(tmp_path: Path) -> None:
    """With the patient that its headers name."""
    write_series(tmp_path / "series", make_ct(size=(32, 28, 12)))
    rows = [{"image": "series", "x": 8, "y": 6, "z": z, "label": k} for k, z in enumerate((10, 14))]
    task = mg.tasks.ecc(write_csv(tmp_path / "candidates.csv", *rows))
    assert {case.patient for case in task.cases} == {"SECRET-ID-42"}
    assert read_image(task.cases[1].images, Reading()).size == (64, 64, 64)


def test_hostile_rows_cost_themselves_alone(tmp_path: Path) -> None:
    """A missing scan, a place outside, words for numbers, strange labels and folds, no image."""
    write_ct(tmp_path / "scan.nii.gz", 0, SIZE, SPACING_MM)
    good = {"image": "scan.nii.gz", "x": 20, "y": 18, "z": 30, "label": 1, "fold": 0}
    hostile = [
        {"image": "gone.nii.gz"},
        {"x": -5},
        {"y": "here"},
        {"z": "inf"},
        {"label": 2},
        {"fold": -1},
        {"image": ""},
    ]
    table = write_csv(tmp_path / "candidates.csv", good, *({**good, **each} for each in hostile))
    task = mg.tasks.ecc(tmp_path)
    assert task.place == table
    assert [case.id for case in task.cases] == ["scan_2"]
    problems = [problem.problem for problem in task.problems]
    for words in (
        "it is named, but it is not there", "(-5, 18, 30) mm lies outside", "places it at 20, here, 30", "inf",
        "has the label '2'", "is in fold '-1'", "row 9 names no image",
    ):  # fmt: skip
        assert any(words in line for line in problems), words
    assert len(problems) == len(hostile)
    with pytest.raises(DataError, match="has no column x, y, z"):
        mg.tasks.ecc(write_csv(tmp_path / "other.csv", {"image": "scan.nii.gz", "label": 1}))
    with pytest.raises(DataError, match="holds 2 tables"):
        mg.tasks.ecc(tmp_path)


def test_network_is_trained_on_a_fold_less(tmp_path: Path) -> None:
    """One step; the test table holds the fold that was kept."""
    run = mg.finetune(
        make_table(tmp_path), tmp_path / "run", task="ecc,test_fold=0", cases=4, like="any", width=2, steps=1,
        batch_size=1, size=(32, 32, 32), precision="32-true", quiet=True,
    )  # fmt: skip
    assert len(folder(run / "test.csv").cases) == 4
