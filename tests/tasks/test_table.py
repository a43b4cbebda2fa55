"""A CSV of cases: masks, classes, several labels or numbers, and what else is known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.scan_files import make_ct, write_series
from tests.tasks.task_files import SIZE, make_pairs, make_table, write_csv, write_image, write_json, write_mask

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.labels import Label
from modelsgenesis.targets.classification import Classification
from modelsgenesis.targets.multilabel_classification import MultilabelClassification
from modelsgenesis.targets.multilabel_segmentation import MultilabelSegmentation
from modelsgenesis.targets.segmentation import Segmentation
from modelsgenesis.tasks import folder, read
from modelsgenesis.tasks.label_values import read_label_values
from modelsgenesis.tasks.task import NoCaseError


def test_names_are_classes_in_alphabetical_order(tmp_path: Path) -> None:
    """Each different text is a class; a case has the number of its own."""
    task = folder(make_table(tmp_path, ["sick", "healthy", "sick"]))
    assert (task.name, type(task.target)) == ("cases", Classification)
    assert task.target.labels == (Label("healthy"), Label("sick"))
    assert [(case.id, case.values) for case in task.cases] == [("scan0", (1,)), ("scan1", (0,)), ("scan2", (1,))]


def test_ids_of_images_elsewhere_begin_where_their_paths_part(tmp_path: Path) -> None:
    """Absolute paths outside the table's folder leave no trace of the machine in the ids."""
    (tmp_path / "table").mkdir()
    rows = [{"image": str(tmp_path / f"data/{site}/scan.nii.gz"), "label": site} for site in ("here", "there")]
    for row in rows:
        Path(row["image"]).parent.mkdir(parents=True)
        write_image(Path(row["image"]))
    task = folder(write_csv(tmp_path / "table" / "cases.csv", *rows))
    assert [case.id for case in task.cases] == ["here_scan", "there_scan"]


def test_ids_hang_not_on_how_the_table_was_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a relative path too, absolute paths below the table's folder are seen from there: no two cases share an id."""
    for name in ("scan", "part/scan"):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(tmp_path / "set" / f"{name}.nii.gz")
    images = ("scan.nii.gz", str(tmp_path / "set" / "part" / "scan.nii.gz"))
    cases = write_csv(tmp_path / "set" / "cases.csv", *({"image": image, "label": image} for image in images))
    monkeypatch.chdir(tmp_path)
    for spelled in (cases, cases.relative_to(tmp_path)):
        task = folder(spelled, kind="classification")
        assert ([case.id for case in task.cases], task.problems) == (["scan", "part_scan"], ())


def test_rows_of_one_image_are_of_one_patient(tmp_path: Path) -> None:
    """Under two ids too, or one would be learned from while the other tests; twice under one id, the first counts."""
    for number in range(2):
        write_image(tmp_path / f"{number}.nii.gz")
    rows = [("0.nii.gz", "x", ""), ("0.nii.gz", "y", "anna"), ("1.nii.gz", "z", ""), ("1.nii.gz", "w", "")]
    cells = [{"image": image, "id": id_, "patient": patient, "label": id_} for image, id_, patient in rows]
    task = folder(write_csv(tmp_path / "cases.csv", *cells))
    assert [case.patient for case in task.cases] == ["anna", "anna", "z", "z"]
    twice = [{"image": "0.nii.gz", "label": "ill"}, {"image": "0.nii.gz", "label": "well"}]
    task = folder(write_csv(tmp_path / "cases.csv", *twice))
    ((_, what, remedy, _),) = [vars(problem).values() for problem in task.problems]
    assert (len(task.cases), what) == (1, "two cases have this image, both called 0")
    assert remedy == "keep one of them: the first is taken"


def test_rows_volumes_and_boxes_of_one_file_are_cases_of_their_own(tmp_path: Path) -> None:
    """Without a column of ids, a case is called by its part of the file too."""
    np.savez(tmp_path / "set.npz", train_images=np.zeros((2, 8, 8, 8), np.uint8))
    write_image(tmp_path / "scan.nii.gz")
    entries = ["set.npz#train_images:0", "set.npz#train_images:1", "scan.nii.gz@1,2,3@4x4x4", "scan.nii.gz@1,2,4@4x4x4"]
    rows = [{"image": entry, "label": str(number)} for number, entry in enumerate(entries)]
    task = folder(write_csv(tmp_path / "cases.csv", *rows), kind="classification")
    assert [case.values for case in task.cases] == [(0,), (1,), (2,), (3,)]
    assert [case.id for case in task.cases[:2]] == ["set.npz_train_images_0", "set.npz_train_images_1"]


def test_whole_numbers_are_classes_in_rising_order(tmp_path: Path) -> None:
    """10 comes after 9; the values are kept."""
    task = folder(make_table(tmp_path, [10, 9, 10]))
    assert task.target.labels == (Label("9", (9,)), Label("10", (10,)))
    assert [case.values for case in task.cases] == [(1,), (0,), (1,)]


def test_whole_numbers_with_a_point_are_whole(tmp_path: Path) -> None:
    """A column with a gap comes as 1.0, 2.0 and nothing from many programs; a gap may also be written nan."""
    task = folder(make_table(tmp_path, ["1.0", "2", "", "NaN", "2.0"]))
    assert task.target.labels == (Label("1", (1,)), Label("2", (2,)))
    assert [(case.id, case.values) for case in task.cases] == [("scan0", (0,)), ("scan1", (1,)), ("scan4", (1,))]
    assert [case.id for case in task.unlabelled] == ["scan2", "scan3"]


def test_a_fraction_makes_numbers_to_predict(tmp_path: Path) -> None:
    """One number that is not whole is enough; whole ones are numbers too when the kind says so."""
    task = folder(make_table(tmp_path, [1, 2.5, 3]))
    assert (task.target.kind, task.target.names) == ("regression", ("label",))
    assert [case.values for case in task.cases] == [(1.0,), (2.5,), (3.0,)]
    table = write_csv(
        tmp_path / "ages.csv", {"image": "scan0.nii.gz", "label": 70}, {"image": "scan1.nii.gz", "label": 9}
    )
    assert folder(table).target.kind == "classification"
    assert [case.values for case in folder(table, kind="regression").cases] == [(70.0,), (9.0,)]


def test_a_column_is_cut_into_classes(tmp_path: Path) -> None:
    """Classes are numbered as given; rows that belong to none are left out and counted, rows without a value kept."""
    table = make_table(tmp_path, ["x"] * 6, malignancy=[1, 2, 3, 4, 5, ""])
    task = folder(table, label="malignancy", classes={"malignant": ">3", "benign": "<3"})
    assert task.target.names == ("malignant", "benign")
    assert {case.id: case.values for case in task.cases} == {"scan0": (1,), "scan1": (1,), "scan3": (0,), "scan4": (0,)}
    assert [problem.problem for problem in task.problems] == [
        "1 of 6 rows have no label",
        "1 of 6 rows belong to no class of malignant, benign",
    ]
    assert [case.id for case in task.unlabelled] == ["scan5"]


@given(st.lists(st.integers(-5, 5), min_size=1), st.integers(-5, 5))
def test_cuts_compare_numbers(numbers: list[int], bound: int) -> None:
    """Every comparison, and equality, takes just the rows it says."""
    for sign, holds in {
        ">": lambda n: n > bound,
        ">=": lambda n: n >= bound,
        "<": lambda n: n < bound,
        "<=": lambda n: n <= bound,
        "": lambda n: n == bound,
    }.items():
        rows = [(str(number),) for number in numbers]
        wanted = [(0.0,) if holds(number) else None for number in numbers]
        if any(wanted):
            found = read_label_values(rows, ["label"], Path("t.csv"), classes={"yes": f"{sign}{bound}"})
            assert list(found.values) == wanted


def test_classes_are_named_by_their_values() -> None:
    """A text stands for itself, a number for all its spellings."""
    rows = [("0.50",), ("1",), ("high",), ("1.00",)]
    found = read_label_values(rows, ["label"], Path("t.csv"), classes={"half": "0.5", "one": "1", "top": "high"})
    assert found.values == ((0,), (1,), (2,), (1,))


def test_label_columns_are_labels_that_do_not_exclude_each_other(tmp_path: Path) -> None:
    """0 and 1 in label_NAME columns."""
    table = make_table(tmp_path, [0, 0], label_nodule=[1, 0], label_effusion=[1, 1])
    rows = table.read_text().replace("image,label,", "image,other,")
    table.write_text(rows)
    task = folder(table)
    assert task.target == MultilabelClassification((Label("nodule"), Label("effusion")))
    assert [case.values for case in task.cases] == [(1, 1), (0, 1)]


def test_columns_are_called_as_the_user_says(tmp_path: Path) -> None:
    """A table of somebody else's words, with several labels; a column that bears one of our names is not taken."""
    names = [write_image(tmp_path / "films" / f"{number}.mha", number).name for number in range(3)]
    said = {"image": "?", "split": "a", "Edema": "1.0", "Mass": "0.0", "Age": "60"}
    rows = [
        {"Path": f"films/{name}", "Patient ID": f"p{k // 2}", "set": "validate", **said} for k, name in enumerate(names)
    ]
    rows[2]["set"] = "train"
    table = write_csv(tmp_path / "t.csv", *rows)
    columns = {"image": "Path", "patient": "Patient ID", "split": "set"}
    task = read(table, label="Edema, Mass", columns=columns)
    assert task.target == MultilabelClassification((Label("Edema"), Label("Mass")))
    assert [(case.id, case.values, case.patient, case.split) for case in task.cases] == [
        ("films_0", (1, 0), "p0", "val"), ("films_1", (1, 0), "p0", "val"), ("films_2", (1, 0), "p1", "train")
    ]  # fmt: skip
    assert read(tmp_path, label="Age", kind="regression", columns=columns).cases[0].values == (60.0,)
    with pytest.raises(DataError, match="has no column Pfad; its columns are Path, Patient ID"):
        folder(table, label="Edema", columns={"image": "Pfad"})
    with pytest.raises(DataError, match="columns name no picture; they name image, id, patient, fold, split, modality"):
        folder(table, label="Edema", columns={"picture": "Path"})
    with pytest.raises(DataError, match="has no column 'Oedema'"):
        folder(table, label="Edema,Oedema", columns=columns)


def test_label_columns_of_fractions_are_numbers(tmp_path: Path) -> None:
    """Several numbers a case."""
    images = [write_image(tmp_path / f"{number}.mha", number).name for number in range(2)]
    rows = [{"image": images[0], "label_x": 0.5, "label_y": 1}, {"image": images[1], "label_x": 2, "label_y": 3}]
    task = folder(write_csv(tmp_path / "t.csv", *rows))
    assert (task.target.kind, task.target.names) == ("regression", ("x", "y"))
    assert [case.values for case in task.cases] == [(0.5, 1.0), (2.0, 3.0)]


def test_paths_are_masks(tmp_path: Path) -> None:
    """One label map a row; a row without is unlabelled; labels.json beside names the values."""
    write_mask(tmp_path / "deep" / "m0.nii.gz")
    write_mask(tmp_path / "m1.nrrd", values=(2,))
    task = folder(make_table(tmp_path, ["deep/m0.nii.gz", "m1.nrrd", "", "gone.nii.gz"]))
    assert (type(task.target), task.target.names) == (Segmentation, ("1", "2"))
    assert [(case.id, case.masks[0].path.name) for case in task.cases] == [("scan0", "m0.nii.gz"), ("scan1", "m1.nrrd")]
    assert [case.id for case in task.unlabelled] == ["scan2"]
    assert {problem.path.name: problem.problem for problem in task.problems} == {
        "gone.nii.gz": "it is named, but it is not there",
        "cases.csv": "1 of 4 rows have no label",
    }
    write_json(tmp_path / "labels.json", {"liver": 1, "tumour": 2})
    assert folder(tmp_path / "cases.csv").target.names == ("liver", "tumour")


def test_masks_of_labels_of_their_own_may_overlap(tmp_path: Path) -> None:
    """label_NAME columns of paths: a binary mask each; a row that lacks one is named."""
    for name in ("a", "b"):
        write_mask(tmp_path / f"{name}.nii.gz", values=(1,))
        write_image(tmp_path / f"{name}.nrrd")
    rows = [
        {"image": "a.nrrd", "label_whole": "a.nii.gz", "label_core": "b.nii.gz"},
        {"image": "b.nrrd", "label_whole": "a.nii.gz", "label_core": ""},
    ]
    task = folder(write_csv(tmp_path / "t.csv", *rows))
    assert task.target.labels == (Label("whole"), Label("core"))
    assert isinstance(task.target, MultilabelSegmentation)
    assert [[mask.path.name for mask in case.masks] for case in task.cases] == [["a.nii.gz", "b.nii.gz"]]
    assert [problem.problem for problem in task.problems] == ["no mask in column label_core"]


def test_columns_of_channels(tmp_path: Path) -> None:
    """image_0, image_1: one file a channel; a row that lacks one is named."""
    for number in range(2):
        write_image(tmp_path / f"{number}.nrrd")
    rows = [
        {"image_1": "1.nrrd", "image_0": "0.nrrd", "label": "a", "id": "full"},
        {"image_0": "0.nrrd", "image_1": "", "label": "b", "id": "half"},
    ]
    task = folder(write_csv(tmp_path / "t.csv", *rows))
    assert task.channels == ("image_0", "image_1")
    assert [[source.path.name for source in case.images] for case in task.cases] == [["0.nrrd", "1.nrrd"]]
    assert [problem.problem for problem in task.problems] == ["a row names no image in its column image_1"]


def test_what_else_is_known_is_kept(tmp_path: Path) -> None:
    """Id, patient, fold, split and modality, by their usual spellings."""
    table = make_table(
        tmp_path,
        ["a", "b", "a"],
        id=["Doe/1", "two", ""],
        patient=["p", "q", ""],
        fold=["", 3, ""],
        split=["Train", "validation", "test"],
        modality=["ct", "CT", "CT"],
    )
    task = folder(table)
    known = [(case.id, case.patient, case.fold, case.split) for case in task.cases]
    assert known == [("Doe_1", "p", None, "train"), ("two", "q", 3, "val"), ("scan2", "scan2", None, "test")]
    assert task.modality == "CT"


def test_series_is_called_after_its_folder(tmp_path: Path) -> None:
    """Never after its UID; its patient is that of the header."""
    write_series(tmp_path / "scans" / "ct1", make_ct(0, SIZE))
    (case,) = folder(write_csv(tmp_path / "t.csv", {"image": "scans/ct1", "label": "a"})).cases
    assert (case.id, case.patient) == ("scans_ct1", "SECRET-ID-42")


def test_rows_that_are_no_cases_are_named(tmp_path: Path) -> None:
    """Each costs its row alone."""
    table = make_table(
        tmp_path,
        ["a"] * 7,
        id=["same", "same", "fold", "split", "modality", "gone", "moved"],
        patient=["p", "q", "", "", "", "", "p"],
        fold=[0, 0, "x", "", "", "", 1],
        split=["", "", "", "later", "", "", ""],
        modality=["", "", "", "", "PET", "", ""],
    )
    (tmp_path / "scan5.nii.gz").unlink()
    task = folder(table)
    assert [(case.id, case.patient) for case in task.cases] == [("same", "p")]
    assert {problem.path.name: problem.problem for problem in task.problems} == {
        "scan1.nii.gz": f"two cases are called same: the other is {tmp_path / 'scan0.nii.gz'}",
        "scan2.nii.gz": "its fold is 'x'",
        "scan3.nii.gz": "its split is 'later'",
        "scan4.nii.gz": "its modality is 'PET'",
        "scan5.nii.gz": "it is named, but it is not there",
        "scan6.nii.gz": "its patient is in fold 0 with same and in fold 1 with this case",
    }


def test_ids_differ_in_more_than_capitals(tmp_path: Path) -> None:
    """On many disks `Case` and `case` are one file."""
    task = folder(make_table(tmp_path, ["a", "b"], id=["Case", "case"]))
    assert [case.id for case in task.cases] == ["Case"]


def test_patient_stays_in_one_split(tmp_path: Path) -> None:
    """The second split of a patient is an error of that case."""
    task = folder(make_table(tmp_path, ["a", "b"], patient=["p", "p"], split=["train", "test"]))
    assert [case.id for case in task.cases] == ["scan0"]
    assert task.problems[0].problem == "its patient is in split train with scan0 and in split test with this case"


BAD: dict[str, tuple[list[Any], dict[str, Any], str]] = {
    "no labels": (["", ""], {}, "no row has a label in column label"),
    "missing column": (["a", "b"], {"label": "grade"}, "no column 'grade'; its columns are image, label"),
    "masks wanted of classes": (["a", "b"], {"kind": "segmentation"}, "names no masks"),
    "a text among numbers": (["1", "x"], {"kind": "regression"}, "x in a column of numbers"),
    "classes that overlap": ([1, 5], {"classes": {"low": "<3", "small": "<2"}}, "'1' is both low and small"),
    "a class of nothing": ([1, 5], {"classes": {"low": "<3", "high": ">9"}}, r"no row is high \(>9\)"),
    "classes of numbers": ([1, 5], {"kind": "regression", "classes": {"low": "<3"}}, "cut one column"),
    "names for labels": (list(range(60)), {}, "60 different ones, such as 0 and 59"),
}


@pytest.mark.parametrize("name", BAD)
def test_labels_that_make_no_sense_are_refused(tmp_path: Path, name: str) -> None:
    """The error says what is there and what to do."""
    labels, options, words = BAD[name]
    image = write_image(tmp_path / "i.nrrd").name
    table = write_csv(tmp_path / "t.csv", *({"image": image, "label": label} for label in labels))
    with pytest.raises(DataError, match=words):
        folder(table, **options)


def test_labels_beside_zero_and_one_are_refused(tmp_path: Path) -> None:
    """A column that does not say yes or no."""
    rows = [{"image": write_image(tmp_path / "i.nrrd").name, "label_a": 1, "label_b": 2}]
    with pytest.raises(DataError, match="column label_b says '2'; write 0 or 1"):
        folder(write_csv(tmp_path / "t.csv", *rows))


def test_tables_of_another_form_are_refused(tmp_path: Path) -> None:
    """No image column, gaps between channels, no label column, no row, no CSV at all."""
    write_image(tmp_path / "i.nrrd")
    for row, words in (
        ({"scan": "i.nrrd", "label": "a"}, "no column `image`; its columns are scan, label"),
        ({"image_1": "i.nrrd", "label": "a"}, "its channels are image_1; number them image_0"),
        ({"image": "i.nrrd", "class": "a"}, "no column `label`.*name one with --label"),
    ):
        with pytest.raises(DataError, match=words):
            folder(write_csv(tmp_path / "t.csv", row))
    (tmp_path / "t.csv").write_text("image,label\n")
    with pytest.raises(DataError, match="names no image"):
        folder(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00image")
    with pytest.raises(DataError, match="cannot be read as a CSV"):
        folder(tmp_path / "t.csv")


def test_table_without_any_image_names_why(tmp_path: Path) -> None:
    """Every image is gone: the first one is named."""
    with pytest.raises(NoCaseError, match=r"gone.nii.gz: it is named, but it is not there"):
        folder(write_csv(tmp_path / "t.csv", {"image": "gone.nii.gz", "label": "a"}))


def test_table_in_a_folder_names_its_images(tmp_path: Path) -> None:
    """Beside images/, rows may name files with or without ending; asking for a column prefers it to the masks."""
    place = make_pairs(tmp_path / "nodules")
    rows = [{"Filename": f"case{number}", "grade": number % 2, "size": 1.5 * number} for number in range(2)]
    write_csv(place / "labels.csv", *rows, {"Filename": "case2.nii.gz", "grade": 1, "size": 9})
    assert folder(place).target.kind == "segmentation"
    assert folder(place, kind="segmentation").target.kind == "segmentation"
    task = folder(place, label="grade")
    assert (task.name, task.target.names) == ("nodules", ("0", "1"))
    assert [(case.id, case.values) for case in task.cases] == [("case0", (0,)), ("case1", (1,)), ("case2", (1,))]
    assert [case.values for case in folder(place, label="size").cases] == [(0.0,), (1.5,), (9.0,)]
    with pytest.raises(DataError, match="no column `label`"):
        folder(place, classes={"low": "0", "high": "1"})
    assert np.isclose(sum(case.values[0] for case in folder(place, label="grade", kind="regression").cases), 2)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["3,5", "4,2"], r"label '3,5' has a comma where a number has a point"),
        ([2.5, "inf"], r"label 'inf' is no number, as 2\.5 is"),
        ([2.5, "unknown", 1], r"label 'unknown' is no number, as 2\.5 is; correct it, or say the kind: classification"),
    ],
)
def test_numbers_that_cannot_be_read_are_not_taken_for_classes(tmp_path: Path, labels: list[Any], words: str) -> None:
    """One odd cell would turn a column of measurements into classes; who means it says the kind."""
    path = make_table(tmp_path, labels)
    with pytest.raises(DataError, match=words):
        folder(path)
    assert sorted(folder(path, kind="classification").target.names) == sorted(map(str, labels))


def test_labels_that_are_nearly_alike_are_told(tmp_path: Path) -> None:
    """Yes and yes are two classes, as are 1 and 01: the warning names them, and no more."""
    words = "labels that are nearly alike are classes of their own: "
    (warning,) = folder(make_table(tmp_path / "a", ["Yes", "yes", "no"])).problems
    assert (warning.problem, warning.severity) == (words + "Yes and yes", "warning")
    (warning,) = folder(make_table(tmp_path / "b", ["01", "1", "2"])).problems
    assert warning.problem == words + "01 and 1"


def test_cells_without_a_value_name_no_label_and_no_patient(tmp_path: Path) -> None:
    """As spreadsheets, pandas and data bases write them: those patients are not one and the same."""
    rows = [
        {"image": f"scan{number}.nii.gz", "label": label, "patient": patient}
        for number, (label, patient) in enumerate(
            [("0", "nan"), ("1", "<NA>"), ("1", "A"), ("#N/A", "B"), ("null", "C"), ("0", "NULL")]
        )
    ]
    for row in rows:
        write_image(tmp_path / row["image"])
    task = folder(write_csv(tmp_path / "cases.csv", *rows))
    assert [case.id for case in task.unlabelled] == ["scan3", "scan4"]
    assert [case.patient for case in task.cases] == ["scan0", "scan1", "A", "scan5"]


def test_folders_parted_as_under_windows_are_told(tmp_path: Path) -> None:
    """A table made there names files that are here under other names."""
    write_image(tmp_path / "ct" / "scan0.nii.gz")
    path = write_csv(
        tmp_path / "cases.csv", {"image": "ct\\scan0.nii.gz", "label": 1}, {"image": "gone.nii.gz", "label": 0}
    )
    with pytest.raises(NoCaseError) as error:
        folder(path)
    assert [problem.remedy for problem in error.value.problems] == [
        "write / between folders, as every system reads it",
        "correct its name, or copy the file",
    ]
