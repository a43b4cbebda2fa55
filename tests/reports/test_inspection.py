"""The verb inspect: tables for people, a page with pictures, and errors that say what to do."""

import base64
import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.data.scan_files import make_ct
from tests.tasks.task_files import (
    SIZE,
    make_nnunet,
    make_pairs,
    make_table,
    write,
    write_csv,
    write_image,
    write_json,
    write_mask,
)

import modelsgenesis as mg
from modelsgenesis.cli import main
from modelsgenesis.core.errors import DataError

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="the real scans are not beside the repository (../shared/data)"
)


def cells(text: str) -> list[list[str]]:
    """The rows of all tables of a text."""
    lines = (re.split("[│┃]", line)[1:-1] for line in text.splitlines() if line[:1] in "│┃")
    return [[cell.strip() for cell in line] for line in lines]


def pictures_in(page: Path) -> list[np.ndarray]:
    """The pictures inside a page, (rows, columns, 3)."""
    found = re.findall(r"data:image/webp;base64,([^\"]+)", page.read_text(encoding="utf-8"))
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")) for data in found]


def test_tables_say_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes, spacings, volumes in millilitres, cases and problems, one fact a cell."""
    monkeypatch.setenv("COLUMNS", "200")
    place = make_nnunet(tmp_path / "Dataset001_Liver", cases=4)
    write_mask(place / "labelsTr" / "case3.nii.gz", values=(1, 8))
    text = mg.inspect(place, quiet=True)
    rows = cells(text)
    assert ["task", "segmentation: liver, tumour"] in rows
    assert ["cases", "4 labelled, 3 usable, 0 without a label"] in rows
    assert ["size in voxels", "20 x 18 x 16"] in rows
    assert ["spacing in mm", "1 x 1.5 x 2"] in rows
    assert ["liver", "1", "3", "0.18", "0.18", "0.18"] in rows
    least, most = make_ct(10, SIZE).min(), make_ct(10, SIZE).max()
    assert [
        "case1",
        "20 x 18 x 16",
        "1 x 1.5 x 2",
        "CT",
        f"{least} .. {most}",
        "liver: 0.18 ml, tumour: 0.18 ml",
    ] in rows
    (problem,) = (row for row in rows if row[1] == "error")
    assert problem[0] == "labelsTr/case3.nii.gz"
    assert problem[2] == "the mask holds 8 (60 voxels); declared are 0, 1, 2"
    assert text.splitlines()[-1] == "inspect: 3 cases can be used; 1 error, 0 warnings"


def test_only_some_cases_are_listed(tmp_path: Path) -> None:
    """As many as asked; the title says so."""
    text = mg.inspect(make_pairs(tmp_path), cases=2)
    assert "the first 2 of 3 cases" in text
    assert sum(row[0].startswith("case") and len(row) == 6 for row in cells(text)) == 3  # with the head
    assert "case0" not in mg.inspect(tmp_path, cases=0)
    assert text.endswith("inspect: 3 cases, no problems")


def test_classes_and_numbers_have_tables_of_their_own(tmp_path: Path) -> None:
    """Classes with their shares, numbers with their range, labels that do not exclude each other by name."""
    table = make_table(tmp_path, ["sick", "well", "sick", "sick"], split=["train", "train", "val", "test"])
    rows = cells(mg.inspect(table))
    assert ["sick", "3", "75%"] in rows
    assert ["splits", "test (1), train (2), val (1)"] in rows
    ages = [{"image": f"scan{number}.nii.gz", "age": 10 * number} for number in range(4)]
    rows = cells(mg.inspect(write_csv(tmp_path / "ages.csv", *ages), label="age", kind="regression"))
    assert ["age", "0", "15", "30"] in rows
    several = [{"image": f"scan{n}.nii.gz", "label_a": n % 2, "label_b": int(n > 1)} for n in range(4)]
    rows = cells(mg.inspect(write_csv(tmp_path / "several.csv", *several)))
    assert ["task", "classification: a, b; they may overlap"] in rows
    assert [row[-1] for row in rows if row[0].startswith("scan")] == ["none", "a", "b", "a, b"]


def test_page_shows_the_labels_on_their_image(tmp_path: Path) -> None:
    """One self-contained page: the tables whole, and the masks in colour on grey images."""
    place = make_pairs(tmp_path / "<organs>", cases=2)
    write_mask(place / "labels" / "case1.nii.gz", values=(1, 2, 1))
    page = mg.inspect(place, into=tmp_path / "page.html", quiet=True)
    text = page.read_text(encoding="utf-8")
    assert "&lt;organs&gt;" in text
    assert "<organs>" not in text
    assert 'src="http' not in text
    assert "2 cases" in text
    (sheet,) = pictures_in(page)
    coloured = np.ptp(sheet.astype(int), axis=2) > 60
    assert coloured.sum() > 500


@pytest.mark.parametrize("kind", ["classes", "numbers", "overlapping masks", "empty masks"])
def test_every_kind_of_task_has_its_pictures(tmp_path: Path, kind: str) -> None:
    """One row of planes a case; a class is said in the caption."""
    if kind == "classes":
        place = make_table(tmp_path, ["a", "b", "b"])
    elif kind == "numbers":
        place = make_table(tmp_path, [0.5, 2, 3])
    else:
        place = make_pairs(tmp_path)
        write_json(tmp_path / "labels.json", {"whole": [1, 2], "core": 2})
        if kind == "empty masks":
            for number in range(3):
                write_mask(tmp_path / "labels" / f"case{number}.nii.gz", values=())
    (sheet,) = pictures_in(mg.inspect(place, into=tmp_path / "page.html", quiet=True))
    assert sheet.std() > 20


def test_command_prints_the_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On stdout; with --into the page's path takes that place. Errors in the data leave the status at 0."""
    make_pairs(tmp_path)
    write_image(tmp_path / "images" / "more.nii.gz")
    assert main(["inspect", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert "no mask of its name in labels/" in out
    assert out.splitlines()[-1] == "inspect: 3 cases can be used; 1 error, 0 warnings"
    assert err == ""
    page = tmp_path / "page.html"
    assert main(["inspect", str(tmp_path), "--into", str(page)]) == 0
    out, err = capsys.readouterr()
    assert out == f"{page}\n"
    assert "no mask of its name in labels/" in err


def test_command_cuts_a_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--label and --classes, in words."""
    table = make_table(tmp_path, ["x"] * 5, grade=[1, 2, 3, 4, 5])
    words = ["inspect", str(table), "--label", "grade", "--classes", "benign", "<3", "malignant", ">3"]
    assert main(words) == 0
    rows = cells(capsys.readouterr().out)
    assert ["benign", "2", "50%"] in rows
    assert ["malignant", "2", "50%"] in rows


def test_without_a_case_all_problems_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The error is one line; the table on stderr has the rest, found early or by reading."""
    place = make_nnunet(tmp_path, cases=2)
    write(place / "imagesTr" / "case0_0000.nii.gz", np.zeros(SIZE, np.uint8))
    (place / "labelsTr" / "case1.nii.gz").unlink()
    assert main(["inspect", str(place)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "no case can be used; the first of 2 problems" in err.splitlines()[-1]
    assert "every voxel is 0" in err
    assert "it has no label" in err
    (place / "labelsTr" / "case0.nii.gz").unlink()
    assert main(["inspect", str(place)]) == 1
    assert "case0_0000" in capsys.readouterr().err


def test_senseless_requests_are_refused(tmp_path: Path) -> None:
    """A page that is none, negative numbers, a place that is not there or is no task."""
    place = make_pairs(tmp_path / "task")
    with pytest.raises(DataError, match=r"a name that ends in .html, got 'page.pdf'"):
        mg.inspect(place, into=tmp_path / "page.pdf")
    with pytest.raises(DataError, match="cannot be negative"):
        mg.inspect(place, cases=-1)
    with pytest.raises(DataError, match="no such folder or file"):
        mg.inspect(tmp_path / "gone")
    with pytest.raises(DataError, match="no task is recognised here; give a folder with images"):
        mg.inspect(place / "images")
    with pytest.raises(DataError, match="is no task; give"):
        mg.inspect(place / "images" / "case0.nii.gz")
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("image,label\n")
    with pytest.raises(DataError, match=r"holds 2 .csv files; name one of them"):
        mg.inspect(tmp_path)


@needs_data
def test_real_hippocampus_has_no_problems(tmp_path: Path) -> None:
    """208 MRI crops with two labels of about a millilitre and a half, looked at on a page."""
    page = mg.inspect(DATA / "mr" / "hippocampus", into=tmp_path / "page.html", quiet=True)
    text = page.read_text(encoding="utf-8")
    assert "<b>208</b>" in text
    assert "<td>MR (208)</td>" in text
    assert "Problems and what to do" not in text


@needs_data
def test_real_nodules_are_masks_and_malignancies() -> None:
    """107 nodules with masks; cut at 3, 21 benign and 53 malignant ones are left."""
    place = DATA / "ct" / "nodules_lidc"
    rows = cells(mg.inspect(place, cases=0))
    assert ["cases", "107 labelled, 107 usable, 0 without a label"] in rows
    with open(place / "labels.csv", newline="", encoding="utf-8") as file:
        sizes = [int(row["mask_voxels"]) for row in csv.DictReader(file)]
    (label,) = (row for row in rows if row[:3] == ["1", "1", "107"])
    assert label[3:] == [f"{size / 1000:.3g}" for size in (min(sizes), np.median(sizes), max(sizes))]
    rows = cells(mg.inspect(place, label="malignancy", classes={"benign": "<3", "malignant": ">3"}, cases=0))
    assert ["benign", "21", "28%"] in rows
    assert ["malignant", "53", "72%"] in rows


@needs_data
def test_real_adrenal_shapes_keep_their_splits() -> None:
    """The makers' training and validation volumes."""
    rows = cells(mg.inspect(DATA / "ct" / "adrenal_shapes", cases=0, classes={"normal": "0", "mass": "1"}))
    assert ["splits", "train (1188), val (98)"] in rows
    assert ["normal", "1005", "78%"] in rows
