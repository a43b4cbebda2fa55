"""COVIDx: COVID-19, another pneumonia or neither in a chest radiograph, from many sources."""

import re
from collections.abc import Iterator
from pathlib import Path

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import read_text
from modelsgenesis.core.labels import Label
from modelsgenesis.core.target import make_target
from modelsgenesis.data.case import Split
from modelsgenesis.data.intensity import BitDepth
from modelsgenesis.data.problems import Problem
from modelsgenesis.tasks.assembly import build
from modelsgenesis.tasks.picture_lists import SPLITS, Listed, listed_cases
from modelsgenesis.tasks.published import Published
from modelsgenesis.tasks.task import Task

CLASSES = (("normal", "pneumonia", "COVID-19"), ("negative", "positive"))
LABELS = "|".join(label for classes in CLASSES for label in classes)
LINE = re.compile(rf"(?P<patient>\S+) (?P<file>.+?) (?P<label>{LABELS})(?: (?P<source>\S+))?")

PUBLISHED = Published("accuracy", intensity=BitDepth())

Line = tuple[Split, "re.Match[str]"]


def recognise(folder: Path) -> bool:
    """Whether images lie in train/, and a list of them begins as those of COVIDx do."""
    for path in _lists(folder, "", "train") if (folder / "train").is_dir() else ():
        with open(path, encoding="utf-8", errors="replace") as file:
            if LINE.fullmatch(file.readline().strip()):
                return True
    return False


def covidx(folder: Path | str, *, version: str = "") -> Task:
    """Read COVIDx with the official division, in three classes or, as the later lists have it, in two.

    Args:
        folder: with `train/`, `test/` and perhaps `val/`, and the lists `train.txt` and `test.txt`, or those of a
            version, such as `train_COVIDx9A.txt`.
        version: the end of the lists' names, where there are several: COVIDx9A.
    Raises:
        DataError: a list is missing or there are several, or no image that they name is there.
    Source: Wang et al. 2020, COVID-Net; Ma et al. 2023, Ark, for version 9A.
    Example: >>> covidx("COVIDx/", version="COVIDx9A")
    """
    folder = Path(folder)
    lists = {split: _lists(folder, version, split) for split in SPLITS}
    for split, found in lists.items():
        if len(found) > 1 or (not found and split != "val"):
            names = ", ".join(path.name for path in found) or "none"
            raise DataError(f"{folder}: lists {split}*.txt: {names}; there should be one, or say version=COVIDx9A")
    problems: list[Problem] = []
    rows = [
        (folder / split / line["file"], (SPLITS[split], line))
        for split, found in lists.items()
        for line in _lines(found, problems)
    ]
    labels = {line["label"] for _, (_, line) in rows}
    classes = next((classes for classes in CLASSES if labels <= set(classes)), ())
    if not labels or not classes:
        raise DataError(f"{folder}: its lists say {', '.join(sorted(labels)) or 'nothing'}; give lists of one version")

    def listed(row: Line) -> Listed:
        split, line = row
        patient = f"{line['source'] or ''} {line['patient']}"  # two sources may number their patients alike
        return Listed(line["file"], (float(classes.index(line["label"])),), patient, split)

    cases = listed_cases(rows, listed, folder, problems, remedy="copy it, or take it out of the list")
    target = make_target("classification", tuple(map(Label, classes)))
    return build("covidx", target, cases, channels=["X-ray"], problems=problems, place=folder, published=PUBLISHED)


def _lists(folder: Path, version: str, split: str) -> list[Path]:
    if version:
        return [path for path in [folder / f"{split}_{version}.txt"] if path.is_file()]
    return sorted(folder.glob(f"{split}.txt")) or sorted(folder.glob(f"{split}_*.txt"))


def _lines(paths: list[Path], problems: list[Problem]) -> Iterator["re.Match[str]"]:
    """The lines of a list; what is no line of COVIDx becomes a problem."""
    for path in paths:
        for number, line in enumerate(read_text(path, errors="replace").splitlines(), start=1):
            if found := LINE.fullmatch(line.strip()):
                yield found
            elif line.strip():
                what = f"line {number} is {line.strip()!r}"
                problems.append(Problem(path, what, "write the patient, the file, its label and its source"))
