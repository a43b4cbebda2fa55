"""genesis report of a fine-tuned run: curves, held-out cases, scores, cases, what it began with, lineage."""

import csv
import html
import json
import shutil
from pathlib import Path

import pytest
import SimpleITK as sitk
from tests.conftest import write_blobs

import modelsgenesis as mg
from modelsgenesis.commands.report import report
from modelsgenesis.core.errors import DataError
from modelsgenesis.weights.files import read_notes

TINY = {"size": (16, 16, 16), "width": 2, "steps": 2, "validate_every": 1, "workers": 0, "quiet": True}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six scans with masks of what is bright, and a table of two classes."""
    root = tmp_path_factory.mktemp("data")
    for folder in ("images", "labels"):
        (root / "masks" / folder).mkdir(parents=True)
    for number in range(6):
        scan = root / "masks" / "images" / f"ct-{number}.nii.gz"
        write_blobs(scan, number, size=(24, 20, 22))
        sitk.WriteImage(sitk.ReadImage(scan) > 200, root / "masks" / "labels" / scan.name)
    rows = [f"masks/images/ct-{number}.nii.gz,{'even' if number % 2 == 0 else 'odd'}" for number in range(6)]
    (root / "classes.csv").write_text("\n".join(["image,label", *rows]) + "\n", encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A segmentation that held out one case to validate on and two to test on."""
    return mg.finetune(data / "masks", tmp_path_factory.mktemp("runs") / "seg", val=1, test=0.34, **TINY)


def text_of(run: Path, page: Path) -> str:
    """The page of a run, without the marks of escaping."""
    return html.unescape(report(run, page).read_text(encoding="utf-8"))


def test_page_holds_all_that_the_folder_does(run: Path, data: Path, tmp_path: Path) -> None:
    """The curves and the held-out case pictured, the figures of the weights, roles, the loading map and the command."""
    page = text_of(run, tmp_path / "page.html")
    assert page.count("data:image/webp;base64,") == 2
    assert "held-out cases with truth and prediction; ct-" in page
    notes = read_notes(run / "model.safetensors")
    assert f"<td>Dice</td><td>{notes['figures']['val_dice']:.4g}</td>" in page
    assert "<td>train</td><td>3</td></tr><tr><td>val</td><td>1</td></tr><tr><td>test</td><td>2</td>" in page
    assert f"on 1 held-out case, at step {notes['step']}" in page
    assert "from: scratch" in page
    assert f"genesis finetune {data / 'masks'} {run}" in page
    assert "2 of 2" in page
    assert "Not evaluated" in page


def test_loading_map_is_that_of_the_run(run: Path, data: Path, tmp_path: Path) -> None:
    """What was taken, adapted and left at random, part by part, as loading.json has it."""
    second = mg.finetune(data / "classes.csv", tmp_path / "cls", from_=run, val=2, **{**TINY, "width": None})
    page = text_of(second, tmp_path / "page.html")
    rows = json.loads((second / "loading.json").read_text())["rows"]
    for part in ("encoder", "decoder", "head"):
        counts = [
            sum((row["part"], row["how"]) == (part, how) for row in rows) for how in ("taken", "adapted", "random")
        ]
        assert f"<td>{part}</td>" + "".join(f"<td>{count}</td>" for count in counts) in page
    assert "true: even; predicted: " in page
    assert "true: odd; predicted: " in page


def test_scores_of_an_evaluation_beside_the_run_are_shown(run: Path, tmp_path: Path) -> None:
    """Those whose predictions are of this run, and none of another's."""
    there, other = (shutil.copytree(run, tmp_path / name) for name in ("seg", "other"))
    out = mg.predict(there, there / "test.csv", tmp_path / "out", quiet=True)
    scores = mg.evaluate(out, there / "test.csv", tmp_path / "scores", quiet=True)
    with open(scores / "summary.csv", newline="", encoding="utf-8") as file:
        dice = next(row for row in csv.DictReader(file) if row["metric"] == "dice")
    page = text_of(there, tmp_path / "page.html")
    assert f"scores: predictions compared with {there / 'test.csv'}" in page
    assert f"<td>Dice</td><td>2</td><td>{float(dice['value']):.3f}</td>" in page
    assert "Not evaluated" in text_of(other, tmp_path / "other.html")


def test_folds_are_one_page(data: Path, tmp_path: Path) -> None:
    """Each fold its curves and cases; the figure on top is their mean."""
    folds = mg.finetune(data / "masks", tmp_path / "folds", folds=2, **TINY)
    page = text_of(folds, tmp_path / "page.html")
    assert page.count("<summary>fold-0</summary>") == page.count("<summary>fold-1</summary>") == 4
    figures = [read_notes(folds / f"fold-{k}" / "model.safetensors")["figures"]["val_dice"] for k in (0, 1)]
    assert f"<b>{sum(figures) / 2:.3f}</b><span>Dice on held-out cases, mean of 2 folds" in page


def test_unfinished_run_is_reported_as_far_as_it_went(run: Path, tmp_path: Path) -> None:
    """Before the first validation there are curves; before the first step there is nothing, and it says so."""
    half = shutil.copytree(run, tmp_path / "half")
    (half / "made.json").unlink()
    (half / "model.safetensors").unlink()
    lines = (half / "log.csv").read_text().splitlines()
    (half / "log.csv").write_text("\n".join(lines[:2]) + "\n")
    page = text_of(half, tmp_path / "half.html")
    assert "It has come to step 1 of 2" in page
    assert "There was no validation yet" in page
    (half / "log.csv").unlink()
    with pytest.raises(DataError, match="has not come to its first steps"):
        report(half, tmp_path / "none.html")


def test_pictures_that_cannot_be_drawn_cost_no_page(run: Path, data: Path, tmp_path: Path) -> None:
    """Scans may be gone; a run that held nothing out has nothing to picture."""
    moved = shutil.copytree(run, tmp_path / "moved")
    table = moved / "val.csv"
    table.write_text(table.read_text().replace("images/ct", "images/gone"), encoding="utf-8")
    assert "No case could be pictured: " in text_of(moved, tmp_path / "moved.html")
    whole = mg.finetune(data / "masks", tmp_path / "whole", val=0, **TINY)
    assert "None: no case was held out" in text_of(whole, tmp_path / "whole.html")
