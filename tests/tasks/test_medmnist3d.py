"""The six 3D sets of MedMNIST, under their own names."""

from pathlib import Path

import numpy as np
import pytest

import modelsgenesis as mg
from modelsgenesis.core.errors import DataError
from modelsgenesis.data.channels import read_image
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import MinMax
from modelsgenesis.tasks import Score
from modelsgenesis.tasks.medmnist3d import SETS
from modelsgenesis.tasks.splitting import split_cases


def make_set(folder: Path, name: str, classes: int, *, side: int = 28) -> Path:
    """Arrays of the makers' names, with every class in each split."""
    arrays = {}
    for seed, split in enumerate(("train", "val", "test")):
        rng = np.random.default_rng(seed)
        arrays[f"{split}_images"] = rng.integers(0, 256, (2 * classes, side, side, side), np.uint8)
        arrays[f"{split}_labels"] = np.tile(np.arange(classes, dtype=np.uint8), 2)[:, None]
    np.savez_compressed(folder / f"{name}.npz", **arrays)
    return folder / f"{name}.npz"


@pytest.mark.parametrize("name", SETS)
def test_classes_are_named_and_splits_are_the_makers(tmp_path: Path, name: str) -> None:
    """All six; the number of a class is its place."""
    classes = SETS[name].classes
    task = mg.tasks.medmnist3d(make_set(tmp_path, name, len(classes), side=8))
    assert (task.name, task.target.names, task.modality) == (name, classes, "unknown")
    division = split_cases(task)
    assert [len(some) for some in (division.train, division.val, division.test)] == [2 * len(classes)] * 3
    assert [case.values for case in division.train[: len(classes)]] != []
    by_id = {case.id: case.values[0] for case in task.cases}
    assert [by_id[f"test_{k:0{len(str(2 * len(classes) - 1))}d}"] for k in range(len(classes))] == list(
        range(len(classes))
    )
    assert task.published is not None
    assert task.published.intensity == MinMax()


def test_larger_version_and_folder_are_known(tmp_path: Path) -> None:
    """organmnist3d_64.npz is organmnist3d; the scores are the set's own."""
    path = make_set(tmp_path, "vesselmnist3d_64", 2, side=10)
    task = mg.tasks.medmnist3d(tmp_path)
    assert (task.name, task.place) == ("vesselmnist3d", path)
    assert task.published is not None
    assert task.published.scores == (
        Score("ResNet-18 (3D), random", 0.874, None, "Yang et al. 2023, Scientific Data 10:41"),
    )
    assert read_image(task.cases[0].images, Reading(MinMax())).scaled().max() == 1


def test_other_files_are_refused(tmp_path: Path) -> None:
    """A 2D set, two sets in one folder, a class that never comes."""
    with pytest.raises(DataError, match=r"is none of the 3D sets; they are called organmnist3d"):
        mg.tasks.medmnist3d(make_set(tmp_path, "chestmnist", 2, side=4))
    make_set(tmp_path, "organmnist3d", 3, side=4)
    with pytest.raises(DataError, match=r"holds 2 \.npz files"):
        mg.tasks.medmnist3d(tmp_path)
    with pytest.raises(DataError, match="no row is femur-right"):
        mg.tasks.medmnist3d(tmp_path / "organmnist3d.npz")


def test_network_is_trained(tmp_path: Path) -> None:
    """One step on whole volumes, 28 rounded up to what the network divides."""
    path = make_set(tmp_path, "synapsemnist3d", 2)
    run = mg.finetune(
        path, tmp_path / "run", task="medmnist3d", cases=4, like="any", width=2, steps=1, batch_size=2,
        precision="32-true", quiet=True,
    )  # fmt: skip
    made = mg.predict(run, run / "test.csv", tmp_path / "out", quiet=True)
    scores = mg.evaluate(made, run / "test.csv", tmp_path / "scores", resamples=1, worst=0, workers=0, quiet=True)
    assert '"metric": "auc"' in (scores / "summary.json").read_text()
