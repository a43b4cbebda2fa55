"""Sets of the National Library of Medicine whose images' names say who has tuberculosis."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.labels import Label
from modelsgenesis.core.target import make_target
from modelsgenesis.data.case import Case
from modelsgenesis.data.formats.natural_image import NaturalImage
from modelsgenesis.data.problems import Problem
from modelsgenesis.data.sources import Source, describe_file
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

CLASSES = ("normal", "tuberculosis")


def find_pictures(folder: Path, homes: Iterable[str], name: str, problems: list[Problem]) -> dict[str, Path]:
    """Find the pictures of a set, {name without its ending: place}.

    Args:
        folder: to look in.
        homes: the folders below it where they may lie.
        name: a pattern of their names, whose group is 0 or 1.
        problems: is added to.
    """
    found = pictures_in((folder / home for home in homes), problems)
    return {stem: place for stem, place in found.items() if re.fullmatch(name, stem)}


def tuberculosis(
    task: str,
    folder: Path,
    homes: Iterable[str],
    name: str,
    published: Published,
    masks: Mapping[str, str] | None = None,
) -> Task:
    """Read a set: who has tuberculosis, or where something lies.

    Args:
        task: its name.
        folder: as for `find_pictures`.
        homes: as for `find_pictures`.
        name: as for `find_pictures`.
        published: what papers did on it.
        masks: {label: the folder beside that of the pictures where its masks lie}; None asks for the classes.
    Raises:
        DataError: no picture of such a name is there, or one is in two lists.
    """
    problems: list[Problem] = []
    pictures, splits = find_pictures(folder, homes, name, problems), split_lists(folder)
    if not pictures:
        raise DataError(f"{folder}: holds no picture that is called {name}; name the folder of the set")

    def listed(stem: str) -> Listed:
        return Listed(stem, (float(stem[-1]),), stem, splits.get(stem, ""))

    rows = [(place, stem) for stem, place in sorted(pictures.items())]
    rows += [(folder / f"{stem}.png", stem) for stem in sorted(splits.keys() - pictures) if re.fullmatch(name, stem)]
    cases = listed_cases(rows, listed, folder, problems, remedy="copy it, or take it out of the list")
    target = make_target("classification", tuple(map(Label, CLASSES)))
    if masks:

        def mask_of(case: Case, label: str) -> Source:
            picture = case.images[0].path
            place = mask_beside(picture.parents[1] / masks[label] / f"{picture.stem}.png", f"mask of the {label}")
            return describe_file(place, NaturalImage(), folder)

        cases = with_masks(cases, list(masks), mask_of, problems)
        target = make_target("multilabel_segmentation", tuple(map(Label, masks)))
    return build(task, target, cases, channels=["X-ray"], problems=problems, place=folder, published=published)
