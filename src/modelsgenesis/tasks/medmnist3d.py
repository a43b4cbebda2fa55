"""The six 3D sets of MedMNIST: organs, nodules, fractures, adrenal glands, vessels, synapses."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from modelsgenesis.core.errors import DataError
from modelsgenesis.data.intensity import MinMax
from modelsgenesis.tasks.medmnist import medmnist
from modelsgenesis.tasks.published import Published, Score
from modelsgenesis.tasks.task import Task

ORGANS = (
    "liver", "kidney-right", "kidney-left", "femur-right", "femur-left", "bladder", "heart", "lung-right", "lung-left",
    "spleen", "pancreas",
)  # fmt: skip
NAME = re.compile(
    r"(?P<set>[a-z]+mnist3d)(_\d+)?\.npz"
)  # organmnist3d.npz has 28 voxels a side, organmnist3d_64.npz 64

# Batch and learning rate are those of the makers' own baselines.
PUBLISHED = Published("auc", intensity=MinMax(), batch_size=32, lr=1e-3, weight_decay=0.0)


@dataclass(frozen=True)
class Set:
    """One of the data sets of MedMNIST3D.

    Attributes:
        classes: in the order of their numbers.
        scores: published.
    """

    classes: tuple[str, ...]
    scores: tuple[Score, ...] = ()


SETS = {
    "organmnist3d": Set(ORGANS),
    "nodulemnist3d": Set(("benign", "malignant")),
    "fracturemnist3d": Set(("buckle", "nondisplaced", "displaced")),
    "adrenalmnist3d": Set(("normal", "hyperplasia")),
    "vesselmnist3d": Set(
        ("vessel", "aneurysm"),
        (Score("ResNet-18 (3D), random", 0.874, None, "Yang et al. 2023, Scientific Data 10:41"),),
    ),
    "synapsemnist3d": Set(("inhibitory", "excitatory")),
}


def medmnist3d(file: Path | str) -> Task:
    """Read one of the 3D sets, with the makers' own splits into training, validation and test.

    Args:
        file: `organmnist3d.npz` or another of the six, or its larger version, `organmnist3d_64.npz`; or a folder with
            one of them.
    Raises:
        DataError: it is none of the six, or an array is missing.
    Source: Yang et al. 2023, MedMNIST v2, Scientific Data 10:41.
    Example: >>> medmnist3d("nodulemnist3d_64.npz")
    """
    path = _file(Path(file))
    found = NAME.fullmatch(path.name)
    if found is None or found["set"] not in SETS:
        raise DataError(f"{path}: is none of the 3D sets; they are called {', '.join(SETS)}, each with .npz or _64.npz")
    known = SETS[found["set"]]
    task = medmnist(path, classes={name: str(number) for number, name in enumerate(known.classes)})
    return replace(task, name=found["set"], published=replace(PUBLISHED, scores=known.scores))


def _file(path: Path) -> Path:
    files = sorted(path.glob("*.npz")) if path.is_dir() else [path]
    if len(files) != 1:
        raise DataError(f"{path}: holds {len(files)} .npz files; name one of them")
    return files[0]
