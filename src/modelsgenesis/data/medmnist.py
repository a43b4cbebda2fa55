"""A `.npz` as MedMNIST makes them: the splits' images and labels, each image a source."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from modelsgenesis.core.errors import DataError
from modelsgenesis.data.case import Split
from modelsgenesis.data.formats.npz_row import NpzRow, names_in, open_array
from modelsgenesis.data.problems import UnreadableError
from modelsgenesis.data.sources import Source

UNITLESS = "unknown"  # whatever was scanned: the makers scaled it to bytes
SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class Part:
    """One split of a MedMNIST file.

    Attributes:
        split: train, val or test.
        shape: of its images, (N, X, Y, Z) or (N, rows, columns).
        labels: (N, K).
    """

    split: Split
    shape: tuple[int, ...]
    labels: NDArray[Any]


def scans_of(path: Path) -> list[Source]:
    """Every volume or picture of a MedMNIST file, of all splits, without labels.

    Raises:
        DataError: as of `parts_of`.
    """
    return [source for _, _, source in images_of(path, parts_of(path))]


def images_of(path: Path, parts: list[Part]) -> Iterator[tuple[Split, str, Source]]:
    """The images with their names, each a patient of its own, and apart from other files: nobody knows better."""
    for part in parts:
        digits = len(str(part.shape[0] - 1))
        for number in range(part.shape[0]):
            name = f"{part.split}_{number:0{digits}d}"
            raw, array = f"{path.name}/{name}", f"{part.split}_images"
            source = Source(path, NpzRow(), (path,), raw, raw, UNITLESS, forced=True, index=number, array=array)
            yield part.split, name, source


def parts_of(path: Path) -> list[Part]:
    """The splits that the file has.

    Raises:
        DataError: an array is missing or has another shape; the images are in colour; it is no .npz.
    """
    try:
        return _read_parts(path)
    except UnreadableError as error:
        raise DataError(f"{path}: {error}") from error


def _read_parts(path: Path) -> list[Part]:
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
        found.append(Part(split, shape, numbers))
    if not found:
        raise DataError(f"{path}: holds no train_images and train_labels; its arrays are {', '.join(names) or 'none'}")
    return found


def _check_shape(shape: tuple[int, ...], name: str, path: Path) -> None:
    if len(shape) == 4 and shape[3] == 3:
        raise DataError(f"{path}: {name} of shape {shape} are pictures in colour; volumes and grey pictures are read")
    if len(shape) not in (3, 4):
        raise DataError(f"{path}: {name} has shape {shape}; it should be (volumes, X, Y, Z) or (N, rows, columns)")
