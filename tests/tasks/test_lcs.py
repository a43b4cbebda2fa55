"""Livers, as LiTS and the Decathlon lay them out."""

from pathlib import Path

import pytest
from tests.tasks.task_files import write_image, write_json, write_mask

import modelsgenesis as mg
from modelsgenesis.core.errors import DataError
from modelsgenesis.tasks import Task, folder, read
from modelsgenesis.tasks.checks import check
from modelsgenesis.tasks.splitting import split_cases

NUMBERS = (0, 7, 99, 100, 114, 115, 129, 130)


def make_lits(root: Path, numbers: tuple[int, ...] = NUMBERS, ending: str = ".nii") -> Path:
    """Volumes and segmentations in the two batches of the official archive."""
    for number in numbers:
        batch = root / f"Training Batch {1 if number < 28 else 2}"
        write_image(batch / f"volume-{number}{ending}", number)
        write_mask(batch / f"segmentation-{number}{ending}")
    return root


def splits(task: Task) -> dict[str, str]:
    """Of each case."""
    return {case.id: case.split for case in task.cases}


def test_cases_are_divided_by_their_numbers(tmp_path: Path) -> None:
    """0-99 train, 100-114 validate, 115-129 test; 130 is nobody's. The tumour is liver."""
    task = mg.tasks.lcs(make_lits(tmp_path))
    assert (task.name, task.modality, task.target.names) == ("lcs", "CT", ("liver",))
    assert splits(task) == {
        "volume-0": "train", "volume-7": "train", "volume-99": "train", "volume-100": "val", "volume-114": "val",
        "volume-115": "test", "volume-129": "test",
    }  # fmt: skip
    assert [(p.severity, p.problem) for p in task.problems] == [
        ("warning", "volume-130 is in none of the paper's splits, 0-99, 100-114 and 115-129")
    ]
    division = split_cases(task)
    assert [len(some) for some in (division.train, division.val, division.test)] == [3, 2, 2]
    assert all(finding.voxels == (120,) for finding in check(task, workers=0).findings)


def test_decathlon_s_liver_is_the_same_task(tmp_path: Path) -> None:
    """Task03_Liver, cancer counted as liver."""
    listed = []
    for number in (3, 104, 120, 130):
        write_image(tmp_path / "imagesTr" / f"liver_{number}.nii.gz", number)
        write_mask(tmp_path / "labelsTr" / f"liver_{number}.nii.gz")
        listed.append({"image": f"./imagesTr/liver_{number}.nii.gz", "label": f"./labelsTr/liver_{number}.nii.gz"})
    labels = {"0": "background", "1": "liver", "2": "cancer"}
    write_json(tmp_path / "dataset.json", {"modality": {"0": "CT"}, "labels": labels, "training": listed, "test": []})
    task = read(tmp_path, task="lcs")
    assert splits(task) == {"liver_3": "train", "liver_104": "val", "liver_120": "test"}
    assert task.target == mg.tasks.lcs(make_lits(tmp_path / "lits", (0,), ".nii.gz")).target


def test_hostile_folders(tmp_path: Path) -> None:
    """A missing segmentation costs its case; nothing at all is refused."""
    root = make_lits(tmp_path / "lits")
    (root / "Training Batch 2" / "segmentation-100.nii").unlink()
    (root / "Training Batch 1" / "volume-7.nii").write_bytes(b"")
    task = mg.tasks.lcs(root)
    assert {"volume-100", "volume-7"}.isdisjoint(splits(task))
    problems = {problem.path.name: problem.problem for problem in task.problems}
    assert problems["volume-100.nii"] == "it has no segmentation-100"
    assert "empty" in problems["volume-7.nii"]
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match=r"has neither volume-0\.nii nor dataset\.json"):
        mg.tasks.lcs(tmp_path / "none")


def test_network_is_trained_on_liver_and_tumour_as_one(tmp_path: Path) -> None:
    """One step; its test table keeps what the values of the masks mean."""
    run = mg.finetune(
        make_lits(tmp_path / "lits", (0, 1, 115)), tmp_path / "run", task="lcs", like="any", width=2, steps=1,
        batch_size=1, size=(16, 16, 16), precision="32-true", quiet=True,
    )  # fmt: skip
    test = folder(run / "test.csv")
    assert test.target.labels[0].values == (1, 2)
    made = mg.predict(run, run / "test.csv", tmp_path / "out", quiet=True)
    scores = mg.evaluate(made, run / "test.csv", tmp_path / "scores", resamples=1, worst=0, workers=0, quiet=True)
    assert '"metric": "iou"' in (scores / "summary.json").read_text()
