"""VinDr-CXR: what radiologists say of a chest radiograph as a whole."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.labels import Label
from modelsgenesis.core.target import make_target
from modelsgenesis.data.case import Split
from modelsgenesis.data.intensity import BitDepth
from modelsgenesis.data.problems import Problem, UnreadableError
from modelsgenesis.tasks.assembly import build
from modelsgenesis.tasks.picture_lists import Listed, listed_cases, pictures_in, table_with
from modelsgenesis.tasks.published import Published, scores
from modelsgenesis.tasks.task import Task

LOCAL = (
    "Aortic enlargement", "Atelectasis", "Calcification", "Cardiomegaly", "Clavicle fracture", "Consolidation", "Edema",
    "Emphysema", "Enlarged PA", "ILD", "Infiltration", "Lung Opacity", "Lung cavity", "Lung cyst", "Mediastinal shift",
    "Nodule/Mass", "Pleural effusion", "Pleural thickening", "Pneumothorax", "Pulmonary fibrosis", "Rib fracture",
    "Other lesion",
)  # fmt: skip
GLOBAL = ("COPD", "Lung tumor", "Pneumonia", "Tuberculosis", "Other diseases", "No finding")
LABELS = {"six": ("Pleural effusion", *GLOBAL[1:]), "all": (*LOCAL, *GLOBAL)}
RENAMED = {"Other disease": "Other diseases"}  # in the table of the test
PARTS: tuple[Split, ...] = ("train", "test")

PUBLISHED = Published(
    "auc",
    scores(
        "Ma et al. 2023, Ark",
        {
            "Swin-B, random": (78.49, 1.00), "Swin-B, ImageNet": (90.35, 0.31), "Swin-B, SimMIM": (91.71, 1.04),
            "Swin-B, Ark-5": (94.67, 0.33), "Swin-B, Ark-6": (95.07, 0.16),
        },
    ),
    intensity=BitDepth(),
)  # fmt: skip


def recognise(folder: Path) -> bool:
    """Whether one of the two tables of whole images is there."""
    return any(_table(folder, part).is_file() for part in PARTS)


def vindr(folder: Path | str, *, labels: Literal["six", "all"] = "six") -> Task:
    """Read VinDr-CXR with the official division; an image has a label that at least one of its readers gave it.

    Every image counts as a patient of its own: who they are is not published.

    Args:
        folder: with `annotations/image_labels_train.csv` and `image_labels_test.csv`, and `train/` and `test/` of DICOM
            or converted pictures.
        labels: six, as Ark has them (pleural effusion in place of the rare COPD), or all 28.
    Raises:
        DataError: no table is there, one lacks a label, or no image is there.
    Source: Nguyen et al. 2022, VinDr-CXR; Ma et al. 2023, Ark, for the six.
    Example: >>> vindr("vindr-cxr/1.0.0/", labels="all")
    """
    folder = Path(folder)
    if labels not in LABELS:
        raise DataError(f"labels is {labels!r}; it takes {' or '.join(LABELS)}")
    tables = {part: _table(folder, part) for part in PARTS if _table(folder, part).is_file()}
    if not tables:
        raise DataError(f"{folder}: has no annotations/image_labels_train.csv; name the folder of VinDr-CXR")
    problems: list[Problem] = []
    rows = []
    for part, table in tables.items():
        images = pictures_in([folder / part], problems)
        for name, said in _by_image(table, LABELS[labels]).items():
            rows.append((images.get(name, folder / part / f"{name}.dicom"), (name, part, said)))

    def listed(row: tuple[str, Split, list[tuple[str, ...]]]) -> Listed:
        name, part, said = row
        if strange := {entry for entries in said for entry in entries} - {"0", "1"}:
            raise UnreadableError(f"a label is {min(strange)!r}", "write 0 or 1")
        return Listed(name, tuple(float("1" in of_label) for of_label in zip(*said, strict=True)), name, part)

    cases = listed_cases(rows, listed, folder, problems, remedy="fetch the other files, or nothing, if a part is meant")
    target = make_target("multilabel_classification", tuple(map(Label, LABELS[labels])))
    return build("vindr", target, cases, channels=["X-ray"], problems=problems, place=folder, published=PUBLISHED)


def _table(folder: Path, part: str) -> Path:
    return folder / "annotations" / f"image_labels_{part}.csv"


def _by_image(table: Path, labels: Iterable[str]) -> Mapping[str, list[tuple[str, ...]]]:
    """What each reader says of each image."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for row in table_with(table, ("image_id",)):
        named = {RENAMED.get(column, column): entry for column, entry in row.items()}
        if missing := [label for label in labels if label not in named]:
            raise DataError(f"{table}: has no column {', '.join(missing)}; its columns are {', '.join(row)}")
        found.setdefault(row["image_id"], []).append(tuple(named[label] for label in labels))
    return found
