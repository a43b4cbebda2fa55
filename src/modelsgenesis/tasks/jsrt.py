"""JSRT: is there a lung nodule in this frontal chest radiograph?"""

import functools
import re
from dataclasses import replace
from pathlib import Path

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.labels import Label
from modelsgenesis.core.target import make_target
from modelsgenesis.data.case import Case
from modelsgenesis.data.entries import one_source
from modelsgenesis.data.formats.gif_mask import TIMES
from modelsgenesis.data.intensity import BitDepth
from modelsgenesis.data.problems import Problem, UnreadableError
from modelsgenesis.data.sources import Source
from modelsgenesis.tasks.assembly import build
from modelsgenesis.tasks.picture_lists import (
    Listed,
    listed_cases,
    mask_beside,
    pictures_in,
    split_lists,
    with_masks,
)
from modelsgenesis.tasks.published import Published
from modelsgenesis.tasks.task import Task

NAME = re.compile(r"JPC([LN])N\d{3}")
HOMES = ("All247images", "Nodule154images", "NonNodule93images")
CLASSES = {"N": "no nodule", "L": "nodule"}

ORGANS = ("right lung", "left lung", "heart", "right clavicle", "left clavicle")  # the patient's, in SCR
SCR = ("scratch/fold1/masks", "scratch/fold2/masks", "fold1/masks", "fold2/masks")

PUBLISHED = Published("auc", intensity=BitDepth())
OUTLINES = Published("dice", intensity=BitDepth())


def recognise(folder: Path) -> bool:
    """Whether a picture of its names is there."""
    return bool(_pictures(folder, []))


def jsrt(folder: Path | str, *, masks: bool = False) -> Task:
    """Read the set of the Japanese Society of Radiological Technology: JPCLN... has a nodule, JPCNN... has none.

    Or the lungs, the heart and the clavicles as SCR outlines them: `--task jsrt,masks=true`. There is no official
    division of the classes: hold out a share, or put lists beside; SCR has two folds. Each image is of a patient of
    its own.

    Args:
        folder: with `All247images/`, or `Nodule154images/` and `NonNodule93images/`, of .IMG as they come or
            converted to PNG; beside, if known, lists of which images train, validate and test; of SCR `fold1/` and
            `fold2/`, perhaps in `scratch/`, with `masks/right lung/JPCLN001.gif` and so on.
        masks: read those masks, a label each, in place of the classes.
    Raises:
        DataError: no such image is there, or one is in two lists.
    Source: Shiraishi et al. 2000, development of a digital image database for chest radiographs; van Ginneken et al.
        2006, segmentation of anatomical structures in chest radiographs.
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
    target, published = make_target("classification", tuple(map(Label, CLASSES.values()))), PUBLISHED
    if masks:
        cases = [replace(case, fold=_fold_of(case, folder)) for case in cases]
        cases = with_masks(cases, ORGANS, functools.partial(_mask_of, folder=folder), problems)
        target, published = make_target("multilabel_segmentation", tuple(map(Label, ORGANS))), OUTLINES
    return build("jsrt", target, cases, channels=["X-ray"], problems=problems, place=folder, published=published)


def _fold_of(case: Case, folder: Path) -> int | None:
    """The fold of SCR that has masks of a case, from 0."""
    there = (number for number, home in enumerate(SCR) if (folder / home / ORGANS[0] / f"{case.id}.gif").is_file())
    number = next(there, None)
    return None if number is None else number % 2


def _mask_of(case: Case, organ: str, folder: Path) -> Source:
    """The mask of an organ, each of whose pixels stands for two along both sides of an image as it comes."""
    places = [folder / home / organ / f"{case.id}.gif" for home in SCR]
    place = mask_beside(next((place for place in places if place.is_file()), places[0]), f"mask of the {organ}")
    image = case.images[0].format.read_header(case.images[0]).size
    mask = one_source(Path(f"{place}#{TIMES}:1"), folder)
    size = mask.format.read_header(mask).size
    times = image[0] // size[0]
    if image != tuple(times * side for side in size):
        what = f"its mask of the {organ} has {size[0]} x {size[1]} pixels, and the image {image[0]} x {image[1]}"
        raise UnreadableError(what, "give images as they come, or shrunk to the size of the masks")
    return one_source(Path(f"{place}#{TIMES}:{times}"), folder)


def _pictures(folder: Path, problems: list[Problem]) -> dict[str, Path]:
    found = pictures_in((folder / home for home in HOMES), problems)
    return {stem: place for stem, place in found.items() if NAME.fullmatch(stem)}
