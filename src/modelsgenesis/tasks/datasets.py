"""Folders with a `dataset.json`: raw data sets of nnU-Net, old and new, and of the Medical Segmentation Decathlon."""

import functools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import fit, read_json
from modelsgenesis.core.words import many
from modelsgenesis.data.case import Case, Split
from modelsgenesis.data.entries import one_source
from modelsgenesis.data.problems import Problem, UnreadableError
from modelsgenesis.data.sources import Source
from modelsgenesis.tasks.assembly import build
from modelsgenesis.tasks.case_finder import (
    case_id,
    group_by_channel,
    in_order,
    named_sources,
    patient_of,
    with_modality,
)
from modelsgenesis.tasks.labels import declared_labels
from modelsgenesis.tasks.task import Task

FILE, SPLITS = "dataset.json", "splits_final.json"
PET_NAMES = re.compile(r"(PET|PT|SUV|FDG|PSMA)([^A-Z]|$)", re.IGNORECASE)
MR_NAMES = re.compile(r"(MRI?|T[12]|FLAIR|ADC|DWI|PDW?|SWI|DCE)([^A-Z]|W|CE|GD|C|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Channel:
    """One channel as a `dataset.json` declares it.

    Attributes:
        name: for people.
        modality: that the name means, or "".
    """

    name: str
    modality: str


def dataset(folder: Path) -> Task:
    """Read a data set that a `dataset.json` describes.

    Args:
        folder: with `dataset.json`, `imagesTr`, `labelsTr` and perhaps `imagesTs` and `labelsTs`; and, to train on the
            folds that nnU-Net made, its `splits_final.json`.
    Raises:
        DataError: the description is broken or needs what is not supported, or no case is whole.
    """
    place = folder / FILE
    description = read_json(place)
    if not isinstance(description, dict):
        raise DataError(f"{place}: is no description of a data set; it should be a JSON object")
    channels = declared_channels(description, place)
    labels = declared_labels(description.get("labels"), place)
    problems: list[Problem] = []
    if is_decathlon(description, folder):
        cases, unlabelled = _all_listed(description, folder, channels, problems)
    else:
        if isinstance(description.get("dataset"), Mapping):
            cases = list(_mapped(description["dataset"], folder, channels, problems))
        else:
            cases = list(_in_folders(folder, "Tr", channels, problems))
        tests = list(_in_folders(folder, "Ts", channels, problems))
        cases += [case for case in tests if case.masks]
        unlabelled = [case for case in tests if not case.masks]
    folds = read_folds(folder / SPLITS, [case.id for case in cases if not case.split], problems)
    return build(
        str(description.get("name") or folder.resolve().name),
        labels.target,
        [replace(case, fold=folds.get(case.id, case.fold)) for case in cases],
        channels=[channel.name for channel in channels],
        problems=problems,
        unlabelled=unlabelled,
        place=folder,
    )


def read_folds(place: Path, ids: Sequence[str], problems: list[Problem]) -> dict[str, int]:
    """The fold in which each case validates, by nnU-Net's own list of splits; nothing without a list that has all.

    Args:
        place: of the list.
        ids: of the cases that should be in it.
        problems: is added to.
    Raises:
        DataError: it is no such list.
    """
    splits = read_json(place) if place.is_file() else []
    try:
        named = [(fit(str(name)), fold) for fold, split in enumerate(splits) for name in split["val"]]
    except (TypeError, KeyError) as error:
        raise DataError(f'{place}: is no list of splits; write [{{"train": [...], "val": [...]}}, ...]') from error
    folds = dict(named)
    if len(folds) < len(named):
        problem = f"{len(named) - len(folds)} cases validate in more than one split, so these are no folds"
        problems.append(Problem(place, problem, "let each case validate once, or take the file away", "warning"))
        return {}
    if folds and (missing := [name for name in ids if name not in folds]):
        problem = f"{len(missing)} of {many(len(ids), 'case')} validate in none of its splits, the first {missing[0]}"
        remedy = "is it of this data set? Its folds are not used"
        problems.append(Problem(place, problem, remedy, "warning"))
        return {}
    return folds


def declared_channels(description: Mapping[str, Any], place: Path) -> tuple[Channel, ...]:
    """The channels, from `channel_names` or, older, `modality`: {"0": "CT"}.

    Raises:
        DataError: neither is there, or its keys are not 0, 1, 2 ...
    """
    names = description.get("channel_names", description.get("modality"))
    if not isinstance(names, Mapping) or sorted(map(str, names)) != sorted(map(str, range(len(names)))) or not names:
        raise DataError(f'{place}: its channel_names are {names!r}; write {{"0": "CT"}}, or one entry a channel')
    in_order = [str(names.get(str(number), names.get(number))) for number in range(len(names))]
    return tuple(Channel(name, modality_of(name)) for name in in_order)


def modality_of(name: str) -> str:
    """The modality that a channel's name means, or ""; PET is "unknown", which is no CT."""
    if PET_NAMES.match(name.strip()):
        return "unknown"
    if name.strip().upper() == "CT":
        return "CT"
    return "MR" if MR_NAMES.match(name.strip()) else ""


def is_decathlon(description: Mapping[str, Any], folder: Path) -> bool:
    """Whether the description lists the very files; nnU-Net's old ones list names without the channel's number."""
    training = description.get("training")
    if not isinstance(training, list) or not training or "channel_names" in description:
        return False
    images = (image for one in training if isinstance(one, Mapping) for image in _images_of(one))
    return any((folder / image).exists() for image in images)


def _images_of(entry: Any) -> list[str]:
    """The files of an entry of a list: one, which may have several channels, or as MONAI's lists have it one each."""
    image = entry.get("image", "") if isinstance(entry, Mapping) else entry
    return [str(each) for each in image] if isinstance(image, list) and image else [str(image)]


def _all_listed(
    description: Mapping[str, Any], folder: Path, channels: tuple[Channel, ...], problems: list[Problem]
) -> tuple[list[Case], list[Case]]:
    """The labelled cases of all lists, and those without a label; to test on there may be both."""
    training, validation = description["training"], _list_of(description, "validation")
    tests = _list_of(description, "test") or _list_of(description, "testing")
    called = Counter(_bare_id(folder / _images_of(one)[0]) for one in (*training, *validation, *tests))
    listed = functools.partial(_listed, folder=folder, channels=channels, problems=problems, called=called)
    with_label = [one for one in tests if isinstance(one, Mapping) and one.get("label")]
    cases = [*listed(training), *listed(validation, split="val"), *listed(with_label, split="test")]
    return cases, list(listed([one for one in tests if one not in with_label], labelled=False))


def _list_of(description: Mapping[str, Any], name: str) -> list[Any]:
    found = description.get(name)
    return found if isinstance(found, list) else []


def _bare_id(image: Path) -> str:
    return case_id(image, image.parent)


def _listed(
    entries: Sequence[Any],
    *,
    folder: Path,
    channels: tuple[Channel, ...],
    problems: list[Problem],
    called: Mapping[str, int],
    labelled: bool = True,
    split: Split = "",
) -> Iterator[Case]:
    """The cases of a Decathlon list, or one of MONAI, whose entries may name a fold; files of one name by their folder.

    Args:
        entries: of the list.
        folder: that they are seen from.
        channels: of each case.
        problems: is added to.
        called: how many images bear each name.
        labelled: an entry without a label is a problem.
        split: of all.
    """
    for entry in entries:
        images = [folder / image for image in _images_of(entry)]
        mask = folder / str(entry.get("label", "")) if labelled and isinstance(entry, Mapping) else None
        here = images[0]
        try:
            if labelled and (mask is None or mask == folder):
                raise UnreadableError("it is listed without a label", f"name its label in {FILE}")
            sources = []
            for here in images:
                sources.append(one_source(here, folder))
            here = mask or here
            masks = (one_source(mask, folder),) if mask else ()
            fold = _fold_of(entry)
        except UnreadableError as error:
            problems.append(error.at(here))
            continue
        several = dict(enumerate(sources))
        found = _volumes(sources[0], channels) if len(sources) == 1 else _whole(several, channels, problems)
        if found:
            name = _bare_id(images[0])
            name = name if called[name] == 1 else case_id(images[0], folder)
            yield Case(name, found, masks, patient=patient_of(sources[0], name), fold=fold, split=split)


def _fold_of(entry: Any) -> int | None:
    """The fold that an entry names, or None.

    Raises:
        UnreadableError: it is no whole number.
    """
    fold = entry.get("fold") if isinstance(entry, Mapping) else None
    if fold is not None and (not isinstance(fold, int) or isinstance(fold, bool) or fold < 0):
        raise UnreadableError(f"its fold is {fold!r}", "write a whole number, 0 or more, or nothing")
    return fold


def _volumes(source: Source, channels: tuple[Channel, ...]) -> tuple[Source, ...]:
    if len(channels) == 1:
        return (with_modality(source, channels[0].modality),)
    return tuple(
        replace(with_modality(source, channel.modality), index=number) for number, channel in enumerate(channels)
    )


def _mapped(
    entries: Mapping[str, Any], folder: Path, channels: tuple[Channel, ...], problems: list[Problem]
) -> Iterator[Case]:
    """The cases of nnU-Net's own list: {case: {"images": [...], "label": ...}}."""
    for name, entry in entries.items():
        here = folder / FILE
        try:
            if not isinstance(entry, Mapping) or not entry.get("images") or "label" not in entry:
                raise UnreadableError(f"its entry {name} lacks images or a label", "write both, or leave it out")
            sources = []
            for here in [folder / str(each) for each in (*entry["images"], entry["label"])]:
                sources.append(one_source(here, folder))
        except UnreadableError as error:
            problems.append(error.at(here))
            continue
        by_channel = dict(enumerate(sources[:-1]))
        images = _whole(by_channel, channels, problems)
        if images:
            yield Case(fit(name), images, (sources[-1],), patient=patient_of(images[0], name))


def _in_folders(folder: Path, which: str, channels: tuple[Channel, ...], problems: list[Problem]) -> Iterator[Case]:
    """The cases of `imagesTr` and `labelsTr`, or `imagesTs` and `labelsTs`."""
    split: Split = "test" if which == "Ts" else ""
    images = group_by_channel(named_sources(folder / f"images{which}", problems), problems)
    masks = named_sources(folder / f"labels{which}", problems)
    for name, by_channel in sorted(images.items()):
        sources = _whole(by_channel, channels, problems)
        mask = masks.pop(name, None)
        if mask is None and (split != "test" or masks):
            what = f"it has no label labels{which}/{name}"
            problems.append(Problem(by_channel[min(by_channel)].path, what, "add the label, or leave the image out"))
        elif sources:
            yield Case(name, sources, (mask,) if mask else (), patient=patient_of(sources[0], name), split=split)
    for name, mask in masks.items():
        what = f"it has no image images{which}/{name}_0000"
        problems.append(Problem(mask.path, what, "add the image, or leave the label out"))


def _whole(
    by_channel: Mapping[int, Source], channels: tuple[Channel, ...], problems: list[Problem]
) -> tuple[Source, ...]:
    """The channels in order, each with its modality; none, and a problem, when one is missing or too many."""
    sources = in_order(by_channel, len(channels), problems, f"where {FILE} declares")
    return tuple(with_modality(source, channels[number].modality) for number, source in enumerate(sources))
