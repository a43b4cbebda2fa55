"""Arrays as MedMNIST has them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelsgenesis.core.errors import DataError
from modelsgenesis.data.channels import read_image
from modelsgenesis.data.image_size import image_size_of
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import Percentiles
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.targets.multilabel_classification import MultilabelClassification
from modelsgenesis.tasks import folder


def volumes(count: int, seed: int) -> np.ndarray:
    """Volumes of bytes, (N, X, Y, Z)."""
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 10, 12), np.uint8)


def make_arrays(path: Path, **arrays: Any) -> Path:
    """Write a .npz of two splits; arrays replace the usual ones, None takes one out."""
    usual: dict[str, Any] = {
        "train_images": volumes(3, 0),
        "train_labels": np.array([[0], [2], [2]], np.uint8),
        "test_images": volumes(2, 1),
        "test_labels": np.array([[2], [0]], np.uint8),
    }
    np.savez_compressed(path, **{name: array for name, array in (usual | arrays).items() if array is not None})
    return path


def test_rows_are_cases_of_their_split(tmp_path: Path) -> None:
    """Each volume is read as the array has it; classes are the numbers that occur."""
    task = folder(make_arrays(tmp_path / "organs.npz"))
    assert (task.name, task.target.names, task.modality) == ("organs", ("0", "2"), "unknown")
    known = [(case.id, case.split, case.values) for case in task.cases]
    assert known == [
        ("train_0", "train", (0,)),
        ("train_1", "train", (1,)),
        ("train_2", "train", (1,)),
        ("test_0", "test", (1,)),
        ("test_1", "test", (0,)),
    ]
    for split, seed, count in (("train", 0, 3), ("test", 1, 2)):
        for number in range(count):
            (case,) = (case for case in task.cases if case.id == f"{split}_{number}")
            image = read_image(case.images, Reading(Percentiles()))
            np.testing.assert_array_equal(image.values[0], volumes(count, seed)[number])


def test_classes_can_be_named_and_cut(tmp_path: Path) -> None:
    """As in a table."""
    path = make_arrays(tmp_path / "organs.npz", train_labels=np.array([[0], [2], [5]]))
    task = folder(path, classes={"liver": "2", "kidney": "0"})
    assert task.target.names == ("liver", "kidney")
    assert [case.id for case in task.cases] == ["train_0", "train_1", "test_0", "test_1"]
    assert task.cases[0].values == (1,)


def test_labels_of_several_columns_do_not_exclude_each_other(tmp_path: Path) -> None:
    """One column a label."""
    path = make_arrays(tmp_path / "a.npz", train_labels=np.eye(3, 2, dtype=np.uint8), test_labels=np.ones((2, 2)))
    task = folder(path)
    assert (task.target.names, type(task.target)) == (("0", "1"), MultilabelClassification)
    assert [case.values for case in task.cases] == [(1, 0), (0, 1), (0, 0), (1, 1), (1, 1)]


def test_numbers_can_be_predicted(tmp_path: Path) -> None:
    """Labels without a second axis, taken for numbers."""
    path = make_arrays(tmp_path / "a.npz", train_labels=np.arange(3), test_labels=np.array([7, 8]))
    task = folder(path, kind="regression")
    assert task.target.kind == "regression"
    assert [case.values for case in task.cases] == [(0.0,), (1.0,), (2.0,), (7.0,), (8.0,)]


def test_one_file_in_a_folder_is_found(tmp_path: Path) -> None:
    """The folder stands for it."""
    make_arrays(tmp_path / "organs.npz")
    assert len(folder(tmp_path).cases) == 5


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "vectors": ({"train_images": np.zeros((3, 28), np.uint8)}, r"\(3, 28\); it should be"),
    "2D in colour": ({"train_images": np.zeros((3, 28, 28, 3), np.uint8)}, "pictures in colour"),
    "colour": ({"train_images": np.zeros((3, 8, 8, 8, 3), np.uint8)}, r"should be \(volumes, X, Y, Z\)"),
    "no labels": ({"train_labels": None}, "no array train_labels; its arrays are train_images, test_images"),
    "too few labels": ({"train_labels": np.zeros((2, 1))}, r"shape \(2, 1\) for 3 images"),
    "other arrays": (
        {"train_images": None, "train_labels": None, "test_images": None, "test_labels": None, "x": np.zeros(3)},
        "holds no train_images and train_labels; its arrays are x",
    ),
}


def test_grey_pictures_are_cases_of_two_axes(tmp_path: Path) -> None:
    """A 2D set is (N, rows, columns); a picture's X runs along its rows."""
    pictures = np.random.default_rng(3).integers(0, 256, (3, 28, 20), np.uint8)
    more = np.random.default_rng(4).integers(0, 256, (2, 28, 20), np.uint8)
    task = folder(make_arrays(tmp_path / "chests.npz", train_images=pictures, test_images=more))
    assert len(task.cases) == 5
    image = read_image(task.cases[1].images, Reading(Percentiles()))
    np.testing.assert_array_equal(image.values[0].T, pictures[1])
    extent = image_size_of(task.cases[0].images[0])
    assert (extent.size, extent.spacing_mm) == ((20, 28), (1.0, 1.0))


@pytest.mark.parametrize("name", BAD)
def test_other_arrays_are_refused(tmp_path: Path, name: str) -> None:
    """Each says which array and why."""
    arrays, words = BAD[name]
    with pytest.raises(DataError, match=words):
        folder(make_arrays(tmp_path / "a.npz", **arrays))


def test_masks_cannot_be_asked(tmp_path: Path) -> None:
    """There are none in it."""
    with pytest.raises(DataError, match="holds classes, no masks"):
        folder(make_arrays(tmp_path / "a.npz"), kind="segmentation")


def test_broken_file_is_refused(tmp_path: Path) -> None:
    """No archive, one that was cut off, one that holds pickles, and one that changed after it was listed."""
    path = tmp_path / "a.npz"
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="cut off, damaged"):
        folder(path)
    whole = make_arrays(path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cut off, damaged"):
        folder(path)
    make_arrays(path, train_labels=np.array([[{}], [{}], [{}]]))
    with pytest.raises(DataError, match="cut off, damaged or holds no numbers"):
        folder(path)
    case = folder(make_arrays(path)).cases[2]
    make_arrays(path, train_images=volumes(2, 0), train_labels=np.zeros((2, 1)))
    with pytest.raises(UnreadableError, match="has no row 2 in train_images"):
        read_image(case.images, Reading(Percentiles()))
