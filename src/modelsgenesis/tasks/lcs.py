"""LCS: segment the liver in CT. LiTS, or task 03 of the Medical Segmentation Decathlon."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.labels import Label
from modelsgenesis.core.target import make_target
from modelsgenesis.data.case import Case, Split
from modelsgenesis.data.entries import one_source
from modelsgenesis.data.problems import Problem, UnreadableError
from modelsgenesis.tasks import datasets
from modelsgenesis.tasks.assembly import build
from modelsgenesis.tasks.case_finder import with_modality
from modelsgenesis.tasks.published import TRANSVW, Published, scores
from modelsgenesis.tasks.task import Task

VOLUME = re.compile(r"volume-(\d+)\.nii(\.gz)?")
NUMBER = re.compile(r"(\d+)$")
SPLITS: tuple[tuple[range, Split], ...] = ((range(100), "train"), (range(100, 115), "val"), (range(115, 130), "test"))
LIVER = (1, 2)  # the organ, and its tumours

PUBLISHED = Published(
    "iou",
    scores(
        TRANSVW,
        {
            "random": (79.76, 5.42), "NiftyNet": (83.23, 1.05), "MedicalNet": (85.52, 0.58), "I3D": (70.65, 4.26),
            "in-painting": (81.36, 4.83), "context restoration": (82.82, 2.35), "rotation": (83.15, 1.41),
            "Rubik's cube": (75.59, 0.20), "Models Genesis": (85.10, 2.15),
        },
    ),
    batch_size=16, lr=1e-2, weight_decay=0.0, patience=20,
)  # fmt: skip


def lcs(folder: Path | str) -> Task:
    """Read the livers of LiTS, tumours among them: cases 0-99 train, 100-114 validate, 115-129 test.

    Args:
        folder: with `volume-0.nii` ... and `segmentation-0.nii` ... in it or in folders below, as LiTS comes; or
            `Task03_Liver`, whose cases are divided by the numbers in their names.
    Raises:
        DataError: neither, or no case is whole.
    Source: Zhou et al. 2021, Models Genesis; Bilic et al. 2023, LiTS.
    Example: >>> lcs("LiTS/")
    """
    folder = Path(folder)
    problems: list[Problem] = []
    if (folder / datasets.FILE).is_file():
        dataset_task = datasets.dataset(folder)
        found, problems = list(dataset_task.cases), list(dataset_task.problems)
    else:
        found = list(_pairs(folder, problems))
    cases = []
    for case in found:
        split = _split(case.id)
        if split:
            cases.append(replace(case, split=split))
        else:
            what = f"{case.id} is in none of the paper's splits, 0-99, 100-114 and 115-129"
            problems.append(Problem(case.images[0].path, what, "nothing to do: it is left out", "warning"))
    target = make_target("segmentation", (Label("liver", LIVER),))
    return build("lcs", target, cases, channels=["CT"], problems=problems, place=folder, published=PUBLISHED)


def _pairs(folder: Path, problems: list[Problem]) -> Iterator[Case]:
    volumes = {int(found[1]): file for file in folder.rglob("volume-*") if (found := VOLUME.fullmatch(file.name))}
    if not volumes:
        raise DataError(f"{folder}: has neither volume-0.nii nor {datasets.FILE}; name the folder of LiTS, or Task03")
    for number, image in sorted(volumes.items()):
        names = (
            image.name.replace("volume", "segmentation"),
            f"segmentation-{number}.nii",
            f"segmentation-{number}.nii.gz",
        )
        here = image
        try:
            source = with_modality(one_source(image, folder), "CT")
            # The official archive keeps the two beside each other, some mirrors do not.
            mask = next((found for name in names for found in sorted(folder.rglob(name))), None)
            if mask is None:
                raise UnreadableError(f"it has no segmentation-{number}", "copy it, or leave the volume out")
            here = mask
            yield Case(f"volume-{number}", (source,), (one_source(mask, folder),), patient=f"volume-{number}")
        except UnreadableError as error:
            problems.append(error.at(here))


def _split(name: str) -> Split:
    found = NUMBER.search(name)
    number = int(found[1]) if found else -1
    return next((split for numbers, split in SPLITS if number in numbers), "")
