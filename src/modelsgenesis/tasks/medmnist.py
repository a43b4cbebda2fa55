"""A `.npz` as MedMNIST makes them: volumes or grey pictures, labels, and the makers' own splits."""

from collections.abc import Mapping
from pathlib import Path

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.core.target import Kind, find_target
from modelsgenesis.data.case import Case
from modelsgenesis.data.medmnist import images_of, parts_of
from modelsgenesis.tasks.assembly import build
from modelsgenesis.tasks.label_values import read_label_values
from modelsgenesis.tasks.task import Task


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
    parts = parts_of(path)
    if kind and issubclass(find_target(kind), MaskTarget):
        raise DataError(f"{path}: holds classes, no masks; leave the kind out")
    entries = [tuple(f"{number:g}" for number in row) for part in parts for row in part.labels.tolist()]
    columns = [f"label_{number}" for number in range(len(entries[0]))] if len(entries[0]) > 1 else ["label"]
    found = read_label_values(entries, columns, path, kind=kind, classes=classes)
    cases = (
        Case(name, (source,), values=values, patient=name, split=split)
        for (split, name, source), values in zip(images_of(path, parts), found.values, strict=True)
        if values is not None
    )
    return build(path.stem, found.target, cases, channels=["image"], problems=found.problems, place=path)
