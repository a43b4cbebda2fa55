"""A `.npz` as MedMNIST makes them: volumes or grey pictures, labels, and the makers' own splits."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.core.target import Kind, find_target
from modelsgenesis.data.case import Case, Split
from modelsgenesis.data.formats.npz_row import names_in, open_array
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.sources import Source
from modelsgenesis.tasks.assembly import build
from modelsgenesis.tasks.label_values import read_label_values
from modelsgenesis.tasks.task import Task

UNITLESS = "unknown"  # whatever was scanned: the makers scaled it to bytes
SPLITS: tuple[Split, ...] = ("train", "val", "test")


def medmnist(path: Path, *, kind: Kind | None = None, classes: Mapping[str, str] | None = None) -> Task:
    """Read images and class numbers from `train_images`, `train_labels`, `val_...` and `test_...`.

    The images are volumes (N, X, Y, Z), or grey pictures (N, rows, columns).

    Args:
        path: of the file.
        kind: "regression" takes whole numbers for numbers, not for classes.
        classes: {class: numbers}: {"normal": "0", "hyperplasia": "1"}.
    Raises:
        DataError: an array is missing or has another shape; the images are in colour.
    """
    arrays = _arrays(path)
    if kind and issubclass(find_target(kind), MaskTarget):
        raise DataError(f"{path}: holds classes, no masks; leave the kind out")
    entries = [tuple(f"{number:g}" for number in row) for _, _, part in arrays for row in part.tolist()]
    columns = [f"label_{number}" for number in range(len(entries[0]))] if len(entries[0]) > 1 else ["label"]
    found = read_label_values(entries, columns, path, kind=kind, classes=classes)
    cases = (
        Case(name, (source,), values=said, patient=name, split=split)
        for (split, name, source), said in zip(_rows(path, arrays), found.values, strict=True)
        if said is not None
    )
    return build(path.stem, found.target, cases, channels=["image"], problems=found.problems, place=path)


def medmnist_volumes(path: Path) -> list[Source]:
    """Every volume of such a file, of all splits, without labels.

    Raises:
        DataError: as of `medmnist`; or the file holds pictures.
    """
    arrays = _arrays(path)
    if flat := [f"{split}_images of shape {shape}" for split, shape, _ in arrays if len(shape) == 3]:
        raise DataError(f"{path}: holds pictures, {flat[0]}; volumes are prepared, (N, X, Y, Z)")
    return [source for _, _, source in _rows(path, arrays)]


def _arrays(path: Path) -> list[tuple[Split, tuple[int, ...], NDArray[Any]]]:
    try:
        return _read_arrays(path)
    except UnreadableError as error:
        raise DataError(f"{path}: {error}") from error


def _read_arrays(path: Path) -> list[tuple[Split, tuple[int, ...], NDArray[Any]]]:
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
    if len(shape) == 4 and shape[3] == 3:
        raise DataError(f"{path}: {name} of shape {shape} are pictures in colour; volumes and grey pictures are read")
    if len(shape) not in (3, 4):
        raise DataError(f"{path}: {name} has shape {shape}; it should be (volumes, X, Y, Z) or (N, rows, columns)")


def _rows(path: Path, arrays: list[tuple[Split, tuple[int, ...], NDArray[Any]]]) -> Iterator[tuple[Split, str, Source]]:
    """The images with their names, each a patient of its own, told from those of other files: nobody knows better."""
    for split, shape, _ in arrays:
        digits = len(str(shape[0] - 1))
        for number in range(shape[0]):
            name = f"{split}_{number:0{digits}d}"
            raw, array = f"{path.name}/{name}", f"{split}_images"
            yield split, name, Source(path, "row", (path,), raw, raw, UNITLESS, forced=True, index=number, array=array)
