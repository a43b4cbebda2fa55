"""Cases written as a table are the same cases when read again."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.core.target import Target
from modelsgenesis.data.reading import read_volume
from modelsgenesis.targets.classification import Classification
from modelsgenesis.tasks import Task, folder
from modelsgenesis.tasks.case_tables import write_held_out
from modelsgenesis.tasks.splitting import split_cases


def write(path: Path, values: np.ndarray) -> None:
    """Write an image, (X, Y, Z) or (X, Y, Z, C)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(np.ascontiguousarray(values.T), isVector=False), str(path))


def masks(root: Path) -> Path:
    """Two cases of two 3D images and masks."""
    for number in range(2):
        write(root / "images" / f"c{number}.nii.gz", np.arange(27, dtype=np.int16).reshape(3, 3, 3) + 100 * number)
        write(root / "labels" / f"c{number}.nii.gz", (np.arange(27).reshape(3, 3, 3) % 3).astype(np.uint8))
    (root / "labels.json").write_text('{"core": 1, "shell": 2}')
    return root


def medmnist(root: Path) -> Path:
    """Three volumes and their classes in a .npz."""
    images, labels = np.arange(3 * 64, dtype=np.uint8).reshape(3, 4, 4, 4), np.array([[0], [1], [1]])
    np.savez(root / "set.npz", train_images=images, train_labels=labels)
    return root / "set.npz"


def channels(root: Path) -> Path:
    """Two cases of a 4D image of two channels, as the Decathlon has them."""
    for number in range(2):
        write(root / "imagesTr" / f"c{number}.nii.gz", np.arange(54, dtype=np.int16).reshape(3, 3, 3, 2) + number)
        write(root / "labelsTr" / f"c{number}.nii.gz", (np.arange(27).reshape(3, 3, 3) % 2).astype(np.uint8))
    pairs = ", ".join(
        f'{{"image": "./imagesTr/c{number}.nii.gz", "label": "./labelsTr/c{number}.nii.gz"}}' for number in range(2)
    )
    (root / "dataset.json").write_text(
        '{"name": "two", "modality": {"0": "T1", "1": "T2"}, "labels": {"0": "background", "1": "tumour"}, '
        f'"training": [{pairs}]}}'
    )
    return root


def numbers(root: Path) -> Path:
    """Cases with a number each."""
    masks(root)
    (root / "t.csv").write_text("image,label,patient\nimages/c0.nii.gz,1.5,ann\nimages/c1.nii.gz,2.5,bob\n")
    return root / "t.csv"


def test_number_of_another_column_keeps_its_name(tmp_path: Path) -> None:
    """Predictions are of `age`, so the held-out table must be too."""
    masks(tmp_path)
    (tmp_path / "t.csv").write_text("image,age\nimages/c0.nii.gz,1.5\nimages/c1.nii.gz,2.5\n")
    task = folder(tmp_path / "t.csv", label="age")
    write_held_out(tmp_path / "run", split_cases(task, cases=1), task.target)
    back = folder(tmp_path / "run" / "unused.csv", kind="regression")
    assert back.target == task.target
    assert back.cases[0].values in {case.values for case in task.cases}


@pytest.mark.parametrize("make", [masks, medmnist, channels, numbers])
def test_written_cases_come_back(make: object, tmp_path: Path) -> None:
    """Ids, patients, values, names of labels and every voxel of every channel."""
    task: Task = folder(make(tmp_path))  # type: ignore[operator]
    write_held_out(tmp_path / "run", split_cases(task, cases=1), task.target)
    back = folder(tmp_path / "run" / "unused.csv")
    known = {case.id: case for case in task.cases}
    assert len(back.cases) == len(task.cases) - 1
    for case in back.cases:
        before = known[case.id]
        assert case.patient == before.patient
        assert [source.modality for source in case.images] == [source.modality for source in before.images]
        assert _entries(case.values, back.target) == _entries(before.values, task.target)
        for one, other in zip((*case.images, *case.masks), (*before.images, *before.masks), strict=True):
            np.testing.assert_array_equal(read_volume(one).values, read_volume(other).values)
    if isinstance(task.target, MaskTarget):
        assert back.target == task.target


def _entries(values: tuple[float, ...], target: Target) -> tuple[object, ...]:
    """Classes by their names: a table of fewer cases may have fewer classes."""
    return tuple(target.names[int(value)] for value in values) if isinstance(target, Classification) else values
