"""CheXpert: fourteen observations in chest radiographs of Stanford, frontal and lateral."""

import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.labels import Label
from modelsgenesis.core.tables import read_columns
from modelsgenesis.core.target import make_target
from modelsgenesis.data.case import Split
from modelsgenesis.data.intensity import BitDepth
from modelsgenesis.data.problems import Problem, UnreadableError
from modelsgenesis.tasks.assembly import build
from modelsgenesis.tasks.chexpert_labels import FINDINGS, Uncertain, check_policy, values_in
from modelsgenesis.tasks.picture_lists import Listed, listed_cases, table_with
from modelsgenesis.tasks.published import Published
from modelsgenesis.tasks.task import Task

TABLES: Mapping[str, Split] = {"train.csv": "train", "valid.csv": "val", "test.csv": "test", "test_labels.csv": "test"}
COLUMNS = ("Path", *FINDINGS)
PATIENT = re.compile(r"patient\d+")

PUBLISHED = Published("auc", intensity=BitDepth())  # papers score five of the labels, or fewer images: see the docs


def recognise(folder: Path) -> bool:
    """Whether one of the tables is there, with all of its columns."""
    return any(set(COLUMNS) <= set(read_columns(path)) for path in _tables(folder))


def chexpert(folder: Path | str, *, uncertain: Uncertain = "ones") -> Task:
    """Read CheXpert with the official division: `train.csv`, `valid.csv`, and the test where it is there.

    What is not mentioned in a report is taken for absent.

    Args:
        folder: `CheXpert-v1.0-small`, `CheXpert-v1.0`, or the folder that holds one of them or the four batches.
        uncertain: what an uncertain label counts as: ones; zeros; ignore, which learns nothing of it; or soft, a number
            between 0.55 and 0.85, as Ark has it.
    Raises:
        DataError: no table is there, or no image that they name.
    Source: Irvin et al. 2019, CheXpert, on the policies; Ma et al. 2023, Ark, for the views that are kept.
    Example: >>> chexpert("CheXpert-v1.0-small/", uncertain="zeros")
    """
    folder = Path(folder)
    check_policy(uncertain)
    tables = _tables(folder)
    if not tables:
        raise DataError(f"{folder}: has none of {', '.join(TABLES)}; name the folder of CheXpert")

    def listed(row: Mapping[str, str]) -> Listed:
        inside, patient = _inside(row["Path"]), PATIENT.search(row["Path"])
        if patient is None:
            raise UnreadableError("its path names no patient", "correct its row")
        name = inside.with_suffix("").as_posix()
        return Listed(name, values_in(row, FINDINGS, uncertain, row["Path"]), patient[0], TABLES[row["table"]])

    problems: list[Problem] = []
    remedy = "unpack the other archives beside, or nothing, if a part is meant"
    cases = listed_cases(_rows(folder, tables), listed, folder, problems, remedy=remedy)
    target = make_target("multilabel_classification", tuple(map(Label, FINDINGS)))
    return build("chexpert", target, cases, channels=["X-ray"], problems=problems, place=folder, published=PUBLISHED)


def _homes(folder: Path) -> list[Path]:
    """The folder, and those in it that an archive makes."""
    return [folder, *sorted(path for path in folder.glob("CheXpert-v1.0*") if path.is_dir())]


def _tables(folder: Path) -> list[Path]:
    return [home / name for name in TABLES for home in _homes(folder) if (home / name).is_file()]


def _inside(path: str) -> PurePosixPath:
    """The path of an image below the set's own folder, such as train/patient00001/study1/view1_frontal.jpg."""
    inside = PurePosixPath(path)
    return inside.relative_to(inside.parts[0]) if path.startswith("CheXpert") else inside


def _rows(folder: Path, tables: list[Path]) -> Iterator[tuple[Path, dict[str, str]]]:
    """Each row with the place of its image; the batches of the large archive lack the folder train/."""
    homes = _homes(folder)

    @functools.cache
    def home_of(split: str, patient: str) -> Path:
        there = (each for home in homes for each in (home / split, home) if (each / patient).is_dir())
        return next(there, homes[0] / split)

    for table in tables:
        for row in table_with(table, COLUMNS):
            split, patient, *rest = (*_inside(row["Path"]).parts, "", "")
            yield home_of(split, patient).joinpath(patient, *rest), {**row, "table": table.name}
