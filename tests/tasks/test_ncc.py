"""LUNA16's candidates, in its own layout."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from tests.data.scan_files import make_ct, make_image
from tests.tasks.task_files import write_csv

import modelsgenesis as mg
from modelsgenesis.core.errors import DataError
from modelsgenesis.data.channels import read_image
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import Window
from modelsgenesis.tasks import Task, folder, read
from modelsgenesis.tasks.checks import check
from modelsgenesis.tasks.splitting import split_cases

SIZE, SPACING_MM, ORIGIN_MM = (48, 44, 36), (0.7, 0.7, 1.25), (-20.0, -15.0, -100.0)
NODULES, OTHERS = 2, 9  # of each scan


def uid(number: int) -> str:
    """The name of a series."""
    return f"1.3.6.1.4.1.14519.5.2.1.6279.6001.{number:03d}"


def world(index: tuple[int, ...]) -> tuple[float, ...]:
    """Where a voxel lies."""
    return tuple(o + step * i for o, step, i in zip(ORIGIN_MM, SPACING_MM, index, strict=True))


def make_luna(root: Path, subsets: range = range(10)) -> Path:
    """One scan a subset; at each of its nodules a bright ball of known voxels."""
    rows: list[dict[str, Any]] = []
    for subset in subsets:
        values, rng = make_ct(subset, SIZE), np.random.default_rng(subset)
        for number in range(NODULES + OTHERS):
            index = tuple(int(rng.integers(8, side - 8)) for side in SIZE)
            nodule = number < NODULES
            if nodule:
                x, y, z = index
                values[x - 2 : x + 3, y - 2 : y + 3, z - 2 : z + 3] = 900
            places = dict(zip(("coordX", "coordY", "coordZ"), world(index), strict=True))
            rows.append({"seriesuid": uid(subset), **places, "class": int(nodule)})
        image = make_image(values, SPACING_MM)
        image.SetOrigin(ORIGIN_MM)
        (root / f"subset{subset}").mkdir(parents=True)
        sitk.WriteImage(image, str(root / f"subset{subset}" / f"{uid(subset)}.mhd"))
    write_csv(root / "candidates_V2.csv", *rows)
    write_csv(root / "candidates.csv", *rows[:20])
    return root


@pytest.fixture(scope="module")
def luna(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All ten subsets."""
    return make_luna(tmp_path_factory.mktemp("data") / "LUNA16")


def counts(task: Task) -> tuple[int, int]:
    """How many others and nodules there are."""
    values = [case.values[0] for case in task.cases]
    return values.count(0), values.count(1)


def test_subsets_are_folds_and_splits_by_patient(luna: Path) -> None:
    """Subsets 0-4 train, 5-6 validate, 7-9 test, and a series is a patient."""
    task = mg.tasks.ncc(luna)
    assert (task.name, task.target.names, task.modality) == ("ncc", ("other", "nodule"), "CT")
    assert {(case.fold, case.split) for case in task.cases} == {
        *((number, "train") for number in range(5)), (5, "val"), (6, "val"), *((number, "test") for number in (7, 8, 9))
    }  # fmt: skip
    assert all(case.patient == uid(case.fold or 0) for case in task.cases)
    division = split_cases(task)
    assert [len({case.patient for case in some}) for some in (division.train, division.val, division.test)] == [5, 2, 3]
    assert not check(task, workers=0).problems


def test_negatives_are_thinned_always_alike(luna: Path) -> None:
    """So many a nodule in every subset, the same ones again, and more of them hold the fewer."""
    assert counts(mg.tasks.ncc(luna)) == (60, 20)
    assert counts(mg.tasks.ncc(luna, negatives=None)) == (90, 20)
    assert counts(read(luna, task="ncc,negatives=0.5")) == (10, 20)
    few, more = ({case.id for case in mg.tasks.ncc(luna, negatives=n).cases} for n in (1, 2))
    assert few < more
    assert few == {case.id for case in mg.tasks.ncc(luna, negatives=1).cases}
    task = mg.tasks.ncc(luna, negatives=2)
    assert {
        subset: counts(replace(task, cases=tuple(case for case in task.cases if case.fold == subset)))
        for subset in range(10)
    } == dict.fromkeys(range(10), (4, 2))


def test_cube_holds_the_nodule_in_its_middle(luna: Path) -> None:
    """64 x 64 x 32 voxels around the place, air where the scan ends, in the paper's window."""
    task = mg.tasks.ncc(luna)
    for case in task.cases:
        image = read_image(case.images, Reading(Window()))
        assert image.size == (64, 64, 32)
        bright = image.values[0, 30:35, 30:35, 14:19] == 900
        assert bright.all() if case.values[0] else not bright.all()
    assert task.published is not None
    assert (task.published.size, task.published.intensity) == ((64, 64, 32), Window(-1000, 1000))


def test_list_can_be_chosen(luna: Path) -> None:
    """The first version holds fewer."""
    assert counts(read(luna, task="ncc,candidates=candidates.csv,negatives=none")) == (16, 4)
    with pytest.raises(DataError, match=r"has no mine\.csv; put the list beside subset0"):
        mg.tasks.ncc(luna, candidates="mine.csv")


def test_missing_subsets_cost_their_candidates_alone(tmp_path: Path) -> None:
    """The others go on; one problem says how many are left out."""
    root = make_luna(tmp_path)
    for subset in (3, 8):
        for file in (root / f"subset{subset}").iterdir():
            file.unlink()
    task = mg.tasks.ncc(root, negatives=None)
    assert counts(task) == (72, 16)
    first, second = task.problems
    assert first.problem == "no scans in subset3, subset8"
    assert second.problem == f"2 series of the list are not there, the first {uid(3)}: 22 candidates"


def test_hostile_rows_are_reported_one_by_one(tmp_path: Path) -> None:
    """A place outside, a word for a number, a class of 2, a header without its voxels; the rest is read."""
    root = make_luna(tmp_path, range(8))
    good = dict(zip(("coordX", "coordY", "coordZ"), world((20, 20, 20)), strict=True))
    write_csv(
        root / "candidates.csv",
        {"seriesuid": uid(0), **good, "class": 1},
        {"seriesuid": uid(0), **good, "coordX": 500, "class": 1},
        {"seriesuid": uid(0), **good, "coordY": "left", "class": 0},
        {"seriesuid": uid(0), **good, "coordZ": "nan", "class": 0},
        {"seriesuid": uid(1), **good, "class": 2},
        {"seriesuid": uid(2), **good, "class": 0},
        {"seriesuid": uid(7), **good, "class": 0},
    )
    (root / "subset2" / f"{uid(2)}.raw").unlink()
    task = mg.tasks.ncc(root, candidates="candidates.csv", negatives=None)
    assert [case.id for case in task.cases] == [f"{uid(0)}_2", f"{uid(7)}_8"]
    problems = " | ".join(problem.problem for problem in task.problems)
    for words in ("lies outside the scan", "row 4 of the list says", "nan", "row 6 of the list says", "its voxels,"):
        assert words in problems


def test_what_is_no_luna_is_refused(tmp_path: Path) -> None:
    """No list, a list of other columns, no scan at all."""
    with pytest.raises(DataError, match=r"has no candidates_V2\.csv or candidates\.csv"):
        mg.tasks.ncc(tmp_path)
    write_csv(tmp_path / "candidates.csv", {"image": "a.mhd", "label": 1})
    with pytest.raises(DataError, match="has no column seriesuid, coordX"):
        mg.tasks.ncc(tmp_path)
    write_csv(
        tmp_path / "candidates.csv", {**dict.fromkeys(("seriesuid", "coordX", "coordY", "coordZ"), 0), "class": 1}
    )
    with pytest.raises(DataError, match=r"no case can be used.*1 series of the list are not there"):
        mg.tasks.ncc(tmp_path)
    with pytest.raises(DataError, match="negatives must be 0 or more"):
        mg.tasks.ncc(make_luna(tmp_path / "luna", range(1)), negatives=-1)


def test_network_is_trained_and_predicts(luna: Path, tmp_path: Path) -> None:
    """Fine-tuned as the paper says; its test table names the places, and predict and evaluate read them there."""
    run = mg.finetune(
        luna, tmp_path / "run", task="ncc,negatives=1", cases=6, like="any", width=2, steps=1, batch_size=2,
        precision="32-true", quiet=True,
    )  # fmt: skip
    test = folder(run / "test.csv")
    assert {case.images[0].box.size for case in test.cases if case.images[0].box} == {(64, 64, 32)}
    assert len(test.cases) == 12
    made = mg.predict(run, run / "test.csv", tmp_path / "out", quiet=True)
    scores = mg.evaluate(made, run / "test.csv", tmp_path / "scores", resamples=1, worst=0, workers=0, quiet=True)
    assert '"metric": "auc"' in (scores / "summary.json").read_text()
