"""A bare folder: `images/` and, of the same names, `labels/` or `masks/`; or a folder of MONAI Label."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from modelsgenesis.core.errors import DataError
from modelsgenesis.data.case import Case
from modelsgenesis.data.formats import ending_of
from modelsgenesis.data.problems import Problem
from modelsgenesis.data.sources import Source, channel_of
from modelsgenesis.tasks.assembly import build
from modelsgenesis.tasks.case_finder import group_by_channel, in_order, named_sources, patient_of
from modelsgenesis.tasks.labels import FILE, Declared, declared_labels, find_labels, read_labels
from modelsgenesis.tasks.task import NoCaseError, Task

IMAGES = ("images", "imagesTr", "scans")
MASKS = ("labels", "masks", "labelsTr")
MONAI_LABEL = "labels/final"  # below the images; beside it are drafts, labels/original


def find_pair(folder: Path) -> tuple[Path, Path] | None:
    """The folders of images and of masks; None when there are none. MONAI Label has its images in the folder itself."""
    images = next((folder / name for name in IMAGES if (folder / name).is_dir()), None)
    masks = next((folder / name for name in MASKS if (folder / name).is_dir()), None)
    if images is None and (folder / MONAI_LABEL).is_dir():
        return folder, folder / MONAI_LABEL
    return (images, masks) if images and masks else None


def _found(folder: Path, pair: tuple[Path, Path], problems: list[Problem]) -> tuple[dict[str, Source], ...]:
    """The images and the masks by name; where masks lie below the images, these are the folder's own files."""
    below = pair[0] == folder
    only = {file.name for file in folder.iterdir() if ending_of(file)} if below else None
    return named_sources(pair[0], problems, only), named_sources(pair[1], problems)


def pairs(folder: Path) -> Task:
    """Read images and masks of the same names; CASE_0000, CASE_0001 ... are the channels of CASE, if all are so called.

    In a folder of MONAI Label the masks are its final ones, and an image without one is still to be labelled. Every
    mask is read for its values, unless `labels.json` beside declares them.

    Raises:
        DataError: the two folders are not there, or no image has a mask with a label in it.
    """
    pair = find_pair(folder)
    if pair is None:
        raise DataError(f"{folder}: has no images/ with labels/ or masks/ beside")
    problems: list[Problem] = []
    images, masks = _found(folder, pair, problems)
    is_monai_label, to_label = pair[0] == folder, []
    by_case = _channels(images, masks, problems)
    num_channels = 1 + max((number for channels in by_case.values() for number in channels), default=0)
    cases = []
    for name, channels in by_case.items():
        first, mask = channels[min(channels)], masks.pop(name, None)
        if mask is None and is_monai_label:
            every = tuple(channels[number] for number in sorted(channels))
            to_label.append(Case(name, every, patient=patient_of(first, name)))
            continue
        if mask is None:
            what = f"no mask of its name in {pair[1].name}/"
            problems.append(Problem(first.path, what, "add the mask, or leave the image out"))
            continue
        sources = in_order(channels, num_channels, problems, "where others have")
        if sources:
            taken = tuple(replace(source, forced=True) for source in sources)
            cases.append(Case(name, taken, (mask,), patient=patient_of(first, name)))
    for mask in masks.values():
        what = f"no image of its name in {pair[0].name}/"
        problems.append(Problem(mask.path, what, "add the image, or leave the mask out"))
    labels, cases = labels_of(cases, read_labels(folder), folder, problems)
    names = ["image"] if num_channels == 1 else [f"channel {number}" for number in range(num_channels)]
    return build(
        folder.resolve().name,
        labels.target,
        cases,
        channels=names,
        problems=problems,
        unlabelled=to_label,
        place=folder,
    )


def _channels(
    images: dict[str, Source], masks: dict[str, Source], problems: list[Problem]
) -> dict[str, dict[int, Source]]:
    """The channels of each case by their numbers; one each, unless the images' names end in channel numbers."""
    if images.keys() & masks.keys() or not all(channel_of(name) for name in images):
        return {name: {0: source} for name, source in images.items()}
    return group_by_channel(images, problems)


def labels_of(
    cases: list[Case], names: dict[str, Any] | None, place: Path, problems: list[Problem]
) -> tuple[Declared, list[Case]]:
    """The labels as declared, or as found in the masks; and the cases whose masks could be read.

    Raises:
        DataError: there is none, as every mask is empty.
        NoCaseError: no mask can be read.
    """
    if names is not None:
        return declared_labels(names, place / FILE), cases
    first = len(problems)
    found = find_labels([case.masks[0] for case in cases], problems)
    problems[first:] = sorted(problems[first:])
    bad = {problem.path for problem in problems[first:]}
    if found is None:
        if not problems and cases:
            raise DataError(f"{place}: every mask is empty; draw the labels, or look whether these are the masks")
        raise NoCaseError(place, problems)
    return found, [case for case in cases if case.masks[0].path not in bad]
