"""JSRT: is there a lung nodule in this frontal chest radiograph?"""

import re
from pathlib import Path

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.labels import Label
from modelsgenesis.core.target import make_target
from modelsgenesis.data.intensity import BitDepth
from modelsgenesis.data.problems import Problem
from modelsgenesis.tasks.assembly import build
from modelsgenesis.tasks.picture_lists import Listed, listed_cases, pictures_in, split_lists
from modelsgenesis.tasks.published import Published
from modelsgenesis.tasks.task import Task

NAME = re.compile(r"JPC([LN])N\d{3}")
HOMES = ("All247images", "Nodule154images", "NonNodule93images")
CLASSES = {"N": "no nodule", "L": "nodule"}

# The papers segment the lungs, heart and clavicles of SCR, which are not read here.
PUBLISHED = Published("auc", intensity=BitDepth())


def recognise(folder: Path) -> bool:
    """Whether a picture of its names is there."""
    return bool(_pictures(folder, []))


def jsrt(folder: Path | str) -> Task:
    """Read the set of the Japanese Society of Radiological Technology: JPCLN... has a nodule, JPCNN... has none.

    There is no official division: hold out a share, or put lists beside. Each image is of a patient of its own.

    Args:
        folder: with `All247images/`, or `Nodule154images/` and `NonNodule93images/`, of .IMG as they come or
            converted to PNG; beside, if known, lists of which images train, validate and test.
    Raises:
        DataError: no such image is there, or one is in two lists.
    Source: Shiraishi et al. 2000, development of a digital image database for chest radiographs.
    Example: >>> jsrt("JSRT/")
    """
    folder = Path(folder)
    problems: list[Problem] = []
    pictures, splits = _pictures(folder, problems), split_lists(folder)
    if not pictures:
        raise DataError(f"{folder}: holds no picture JPCLN001.IMG or JPCNN001.IMG and so on; name the folder of JSRT")

    def listed(stem: str) -> Listed:
        return Listed(stem, (float(list(CLASSES).index(stem[3])),), stem, splits.get(stem, ""))

    rows = [(place, stem) for stem, place in sorted(pictures.items())]
    cases = listed_cases(rows, listed, folder, problems, remedy="copy it")
    target = make_target("classification", tuple(map(Label, CLASSES.values())))
    return build("jsrt", target, cases, channels=["X-ray"], problems=problems, place=folder, published=PUBLISHED)


def _pictures(folder: Path, problems: list[Problem]) -> dict[str, Path]:
    found = pictures_in((folder / home for home in HOMES), problems)
    return {stem: place for stem, place in found.items() if NAME.fullmatch(stem)}
