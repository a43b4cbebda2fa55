"""A `.npz` as MedMNIST makes them: volumes, labels, and the makers' own splits."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.target import Kind, Label, Target
from modelsgenesis.data.archives import names_in, open_array
from modelsgenesis.data.case import Case, Split
from modelsgenesis.data.problems import Problem, UnreadableError
from modelsgenesis.data.sources import Source
from modelsgenesis.tasks.building import build
from modelsgenesis.tasks.labels import FILE, read_labels, renamed
from modelsgenesis.tasks.task import Task

UNITLESS = "unknown"  # whatever was scanned: the makers scaled it to bytes
SPLITS: tuple[Split, ...] = ("train", "val", "test")


def medmnist(path: Path, *, kind: Kind | None = None) -> Task:
    """Read volumes and class numbers from `train_images`, `train_labels`, `val_...` and `test_...`.

    A `labels.json` beside names the classes: {"normal": 0, "hyperplasia": 1}.

    Args:
        path: of the file.
        kind: "regression" takes the labels for numbers.
    Raises:
        DataError: an array is missing or has another shape; the images are 2D.
    """
    try:
        arrays = _arrays(path)
    except UnreadableError as error:
        raise DataError(f"{path}: {error}") from error
    labels = np.concatenate([part for _, _, part in arrays])
    target, values = _asked(labels, path, kind)
    cases = list(_cases(path, arrays, values))
    problems: list[Problem] = []
    return build(path.stem, target, cases, channels=["image"], problems=problems, place=path)


def _arrays(path: Path) -> list[tuple[Split, tuple[int, ...], NDArray[Any]]]:
    """Each split that is there, with the shape of its images and its labels, (N, K)."""
    names = names_in(path)
    found = []
    for split in SPLITS:
        images, labels = f"{split}_images", f"{split}_labels"
        if images not in names and labels not in names:
            continue
        missing = [name for name in (images, labels) if name not in names]
        if missing:
            raise DataError(f"{path}: has no array {missing[0]}; its arrays are {', '.join(names)}")
        shape = open_array(path, images).shape
        _check_shape(shape, images, path)
        numbers = open_array(path, labels)
        numbers = numbers[:, None] if numbers.ndim == 1 else numbers
        if numbers.ndim != 2 or len(numbers) != shape[0]:
            raise DataError(
                f"{path}: {labels} has shape {numbers.shape} for {shape[0]} images; it should have a row each"
            )
        found.append((split, shape, numbers))
    if not found:
        raise DataError(f"{path}: holds no train_images and train_labels; its arrays are {', '.join(names) or 'none'}")
    return found


def _check_shape(shape: tuple[int, ...], name: str, path: Path) -> None:
    if len(shape) == 3 or (len(shape) == 4 and shape[3] == 3):
        raise DataError(
            f"{path}: {name} of shape {shape} are 2D pictures; networks here take volumes, as the 3D sets have"
        )
    if len(shape) != 4:
        raise DataError(f"{path}: {name} has shape {shape}; it should be (volumes, X, Y, Z)")


def _asked(labels: NDArray[Any], path: Path, kind: Kind | None) -> tuple[Target, NDArray[Any]]:
    """The target, and each volume's values."""
    if kind == "segmentation":
        raise DataError(f"{path}: holds classes, no masks; leave the kind out")
    width = labels.shape[1]
    if kind == "regression" or not np.array_equal(labels, np.rint(labels)):
        names = tuple(Label(f"number {k}" if width > 1 else "number") for k in range(width))
        return Target("regression", names), labels.astype(np.float64)
    declared = read_labels(path.parent)
    if width > 1:
        if not np.isin(labels, (0, 1)).all():
            raise DataError(f"{path}: labels of {width} columns must be 0 or 1")
        several = renamed([Label(str(k), (k,)) for k in range(width)], declared, path.parent / FILE)
        return Target("classification", several, exclusive=False), labels
    numbers = np.unique(labels)
    classes = renamed([Label(str(int(n)), (int(n),)) for n in numbers], declared, path.parent / FILE)
    return Target("classification", classes), np.searchsorted(numbers, labels)


def _cases(
    path: Path, arrays: list[tuple[Split, tuple[int, ...], NDArray[Any]]], values: NDArray[Any]
) -> Iterator[Case]:
    rows = iter(values)
    for split, shape, _ in arrays:
        digits = len(str(shape[0] - 1))
        for number in range(shape[0]):
            name = f"{split}_{number:0{digits}d}"
            source = Source(
                path,
                "row",
                (path,),
                f"{path.name}/{name}",
                name,
                UNITLESS,
                forced=True,
                index=number,
                array=f"{split}_images",
            )
            yield Case(name, (source,), values=tuple(float(value) for value in next(rows)), patient=name, split=split)
