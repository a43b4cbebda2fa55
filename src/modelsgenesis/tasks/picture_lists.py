"""Lists of pictures with labels: what the readers of the published sets of radiographs share."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeVar

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import fit, read_text
from modelsgenesis.core.image_format import ImageFormat
from modelsgenesis.core.tables import read_table
from modelsgenesis.data.case import Case, Split
from modelsgenesis.data.formats.dicom_picture import DicomPicture
from modelsgenesis.data.formats.jsrt_image import JsrtImage
from modelsgenesis.data.formats.natural_image import NaturalImage
from modelsgenesis.data.problems import Problem, UnreadableError
from modelsgenesis.data.sources import Source, describe_file
from modelsgenesis.tasks.case_finder import with_modality

SHOWN = 20  # images that are named one by one where many have the same problem
FORMATS: Mapping[str, ImageFormat] = {
    ".dcm": DicomPicture(), ".dicom": DicomPicture(), ".img": JsrtImage(),
    **dict.fromkeys((".png", ".jpg", ".jpeg"), NaturalImage()),
}  # fmt: skip
SPLITS: Mapping[str, Split] = {"train": "train", "val": "val", "test": "test"}

Row = TypeVar("Row")


class Listed(NamedTuple):
    """What a list says of one image.

    Attributes:
        name: of the case.
        values: as a Case has them.
        patient: raw.
        split: by the set's makers, or "".
    """

    name: str
    values: tuple[float, ...]
    patient: str
    split: Split = ""


def listed_cases(
    rows: Iterable[tuple[Path, Row]],
    listed: Callable[[Row], Listed],
    folder: Path,
    problems: list[Problem],
    *,
    remedy: str,
) -> list[Case]:
    """Make the cases of a list whose images are there.

    Args:
        rows: the place of each image, and what stands in its row.
        listed: reads a row; an UnreadableError costs that image alone.
        folder: of the set.
        problems: is added to; many of a kind become one.
        remedy: what to do where images are missing.
    """
    cases = []
    wrong: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for place, row in rows:
        try:
            if not place.is_file():
                raise UnreadableError("it is listed, but it is not there", remedy)
            name, values, patient, split = listed(row)
            format_ = FORMATS.get(place.suffix.lower())
            if format_ is None:
                raise UnreadableError(
                    "no picture of a kind that is read here", f"save it as one of {', '.join(FORMATS)}"
                )
            source = with_modality(describe_file(place, format_, folder), "XR")
        except UnreadableError as error:
            wrong[error.problem, error.remedy].append(place)
            continue
        cases.append(Case(fit(name), (source,), values=values, patient=patient, split=split))
    for (what, remedy_), places in wrong.items():
        problems += several(folder, places, what, remedy_)
    return cases


def several(folder: Path, places: Sequence[Path], what: str, remedy: str) -> Iterator[Problem]:
    """Make a problem for each image, or one for all where they are many."""
    if len(places) <= SHOWN:
        yield from (Problem(place, what, remedy) for place in places)
    else:
        yield Problem(folder, f"of {len(places)} images, the first is {places[0].name}: {what}", remedy)


def with_masks(
    cases: Iterable[Case], labels: Sequence[str], mask_of: Callable[[Case, str], Source], problems: list[Problem]
) -> list[Case]:
    """Give cases a mask for each label, in place of their values.

    Args:
        cases: as lists have them.
        labels: the names of the masks.
        mask_of: finds the mask of a label; an UnreadableError costs that case alone.
        problems: is added to.
    """
    found = []
    for case in cases:
        try:
            masks = tuple(mask_of(case, label) for label in labels)
            found.append(replace(case, masks=masks, values=()))
        except UnreadableError as error:
            problems.append(error.at(case.images[0].path))
    return found


def mask_beside(place: Path, what: str) -> Path:
    """The place of a mask.

    Raises:
        UnreadableError: there is none.
    """
    if not place.is_file():
        raise UnreadableError(f"it has no {what}: {place} is not there", "copy it, or leave the image out")
    return place


def pictures_in(folders: Iterable[Path], problems: list[Problem]) -> dict[str, Path]:
    """Find the pictures in some folders, {name without its ending: place}; a second one of a name is a problem."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.iterdir() if folder.is_dir() else ()):
            if path.suffix.lower() in FORMATS and not path.name.startswith("."):
                first = found.setdefault(path.stem, path)
                if first is not path:
                    problems.append(Problem(path, f"a second image of this name: the first is {first}", "remove one"))
    return found


def table_with(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Read the rows of a table.

    Raises:
        DataError: it is not there, or lacks one of these columns.
    """
    rows, there = read_table(path)
    if missing := [column for column in columns if column not in there]:
        raise DataError(f"{path}: has no column {', '.join(missing)}; its columns are {', '.join(there)}")
    return rows


def split_lists(folder: Path) -> dict[str, Split]:
    """Read the division that lists beside a set make, {name of an image without its ending: split}.

    A list is a text file whose name has train, val or test in it, with the name of an image first in each line.

    Raises:
        DataError: an image is in two of them.
    """
    splits: dict[str, Split] = {}
    for path in sorted(folder.glob("*.txt")):
        found = re.search("train|val|test", path.name.lower())
        if not found:
            continue
        for line in read_text(path, errors="replace").splitlines():
            name, split = Path(re.split(r"[\s,]", line.strip())[0]), SPLITS[found[0]]
            if name.suffix.lower() in FORMATS and splits.setdefault(name.stem, split) != split:
                raise DataError(f"{path}: has {name}, which is in a list of another split; leave it in one of them")
    return splits
