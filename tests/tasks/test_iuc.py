"""A table of ultrasound frames: read, trained on, predicted, scored; frames of a video stay together."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.radiographs import radiograph, write_picture
from tests.tasks.task_files import write_csv

import modelsgenesis as mg
from modelsgenesis.core.errors import DataError
from modelsgenesis.tasks import read
from modelsgenesis.tasks.splitting import split_cases

VIEWS = ("background", "bulb", "roi")


def make_frames(folder: Path, *, group: str = "video", frames: int = 18, **columns: Any) -> Path:
    """Three frames of each video, one of each view; some saved in colour, as machines do."""
    rows = []
    for number in range(frames):
        values = radiograph(number, ill=number % 3 == 1, size=(30, 40))
        name = f"frame{number:02d}.{'jpg' if number % 2 else 'png'}"
        write_picture(folder / name, np.stack([values] * 3, -1) if number % 4 == 0 else values)
        more = {column: value(number) for column, value in columns.items()}
        rows.append({"image": name, "label": VIEWS[number % 3], group: f"v{number // 3}", **more})
    return write_csv(folder / "frames.csv", *rows)


@pytest.mark.parametrize("group", ["video", "patient"])
def test_frames_of_one_video_stay_together(group: str, tmp_path: Path) -> None:
    """A patient or a video is what is divided."""
    task = mg.tasks.iuc(make_frames(tmp_path, group=group))
    assert (task.name, task.target.names, len(task.cases)) == ("iuc", VIEWS, 18)
    division = split_cases(task, test=0.3)
    assert len({case.patient for case in task.cases}) == 6
    assert {case.patient for case in division.test}.isdisjoint(case.patient for case in division.train)
    assert task.published is not None
    assert {score.start: score.mean for score in task.published.scores}["Genesis Chest X-ray"] == 0.9499


def test_trained_predicted_and_scored(tmp_path: Path) -> None:
    """The AUC is the mean over the views."""
    table = make_frames(tmp_path)
    options = {"steps": 3, "batch_size": 4, "precision": "32-true", "quiet": True, "width": 2, "size": (32, 32)}
    run = mg.finetune(table, tmp_path / "run", task="iuc", test=0.3, **options)
    mg.predict(run, run / "test.csv", tmp_path / "out", quiet=True)
    scores = mg.evaluate(tmp_path / "out", run / "test.csv", tmp_path / "scores", resamples=5, quiet=True)
    lines = json.loads((scores / "summary.json").read_text(encoding="utf-8"))["lines"]
    found = {line["label"]: line["value"] for line in lines if line["metric"] == "auc"}
    assert found["all labels"] == pytest.approx(np.mean([found[view] for view in VIEWS]), abs=1e-5)


def test_declared_folds_and_splits_are_kept(tmp_path: Path) -> None:
    """Of the table, where it has them."""
    task = read(make_frames(tmp_path, fold=lambda n: n // 9, split=lambda n: "test" if n > 14 else "train"), task="iuc")
    assert {case.fold for case in task.cases} == {0, 1}
    assert len(split_cases(task).test) == 3


def test_hostile_tables_are_refused(tmp_path: Path) -> None:
    """Frames of nobody knows whom, no label, several tables; a missing frame costs itself alone."""
    table = make_frames(tmp_path)
    text = table.read_text()
    table.write_text(text.replace("v0", "", 1))
    with pytest.raises(DataError, match="row 2 names no patient and no video"):
        mg.tasks.iuc(table)
    table.write_text(text.replace("label", "view"))
    with pytest.raises(DataError, match="has no column label; its columns are image, view, video"):
        mg.tasks.iuc(table)
    table.write_text(text)
    (tmp_path / "frame03.jpg").unlink()
    (problem,) = mg.tasks.iuc(tmp_path).problems
    assert (problem.path.name, problem.problem) == ("frame03.jpg", "it is named, but it is not there")
    (tmp_path / "more.csv").write_text(text)
    with pytest.raises(DataError, match="holds 2 tables"):
        mg.tasks.iuc(tmp_path)


def test_video_in_two_splits_is_kept_on_one_side(tmp_path: Path) -> None:
    """The later frames are left out, and named."""
    task = mg.tasks.iuc(make_frames(tmp_path, split=lambda n: "test" if n in (5, 15, 16, 17) else "train"))
    (problem,) = [each for each in task.problems if each.severity == "error"]
    assert problem.path.name == "frame05.jpg"
    assert "its patient is in split train" in problem.problem
