"""The cases to predict that a folder, a file or a table holds."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import fit
from modelsgenesis.core.tables import read_table
from modelsgenesis.core.words import many
from modelsgenesis.data.case import Case
from modelsgenesis.data.entries import one_source
from modelsgenesis.data.formats import stem_of
from modelsgenesis.data.medmnist import images_of, parts_of
from modelsgenesis.data.problems import Problem, UnreadableError, costs_one_source
from modelsgenesis.data.sources import Source, channel_of, find_sources
from modelsgenesis.tasks.case_finder import (
    colours_of,
    image_columns,
    images_in,
    in_order,
    modality_in,
    unique_cases,
    with_modality,
)


def find_cases(
    scans: Path, channels: int, skip: Path, *, pictures: bool = False, modality: str = ""
) -> tuple[list[Case], list[Problem]]:
    """Find the cases to predict.

    Args:
        scans: a folder, searched through and through; a file; or a CSV with the column image (or image_0, image_1 ...
            for channels) and, if known, id and modality; or a .npz of MedMNIST, all of whose images are cases.
        channels: of a case; a 4D file is one, and so are files named as nnU-Net does, CASE_0000, CASE_0001.
        skip: a folder to leave out.
        pictures: take the PNG and JPEG files of a folder.
        modality: of the images that declare none.
    Returns:
        Cases of unique ids, and what cannot be one.
    Raises:
        DataError: there is no such folder, the CSV has no column of images, or the .npz is none of MedMNIST.
    """
    suffix = scans.suffix.lower() if scans.is_file() else ""
    if suffix == ".csv":
        cases, problems = _in_table(scans, channels)
    elif suffix == ".npz":
        cases, problems = _in_medmnist(scans, channels)
    else:
        sources, problems = find_sources(scans, skip=skip, pictures=pictures)
        root = scans if scans.is_dir() else scans.parent
        cases = _in_folder(sources, root, channels, problems)
    if modality:
        cases = [
            replace(case, images=tuple(with_modality(each, each.modality or modality) for each in case.images))
            for case in cases
        ]
    return unique_cases(cases, problems), problems


def _in_table(path: Path, channels: int) -> tuple[list[Case], list[Problem]]:
    rows, columns = read_table(path)
    by_channel = image_columns(columns, path)
    problems: list[Problem] = []
    found: list[tuple[str, tuple[Source, ...]]] = []
    for row in rows:
        try:
            with costs_one_source():
                entries, modality = images_in(row, by_channel), modality_in(row)
                images = [with_modality(one_source(path.parent / entry, path.parent), modality) for entry in entries]
                found.append((row.get("id", ""), _split(tuple(images), channels)))
        except UnreadableError as error:
            problems.append(error.at(path.parent / row[by_channel[0]]))
    without = name_cases([images[0] for id_, images in found if not id_], path.parent)
    return [Case(fit(id_) if id_ else next(without), images) for id_, images in found], problems


def _in_medmnist(path: Path, channels: int) -> tuple[list[Case], list[Problem]]:
    if channels != 1:
        raise DataError(f"{path}: its images are grey, but the network takes {channels} channels")
    return [Case(name, (source,)) for _, name, source in images_of(path, parts_of(path))], []


def _in_folder(sources: Sequence[Source], root: Path, channels: int, problems: list[Problem]) -> list[Case]:
    """Each source a case; or the channels of one together, where all names end in a channel's number.

    Channels are counted from 0000: of scan_0001, scan_0002 ... each is a case.
    """
    parted = [channel_of(_stem(source)) for source in sources]
    if all(parted) and any(found[1] == 0 for found in parted if found):
        cases: dict[tuple[Path, str], dict[int, Source]] = {}
        for source, found in zip(sources, parted, strict=True):
            if found is not None:
                cases.setdefault((source.path.parent, found[0]), {})[found[1]] = source
        return [
            Case(name, images)
            for (_, name), by_channel in cases.items()
            if (images := in_order(by_channel, channels, problems, "where the network takes"))
        ]
    whole = []
    for source in sources:
        try:
            with costs_one_source():
                whole.append(_split((source,), channels))
        except UnreadableError as error:
            problems.append(error.at(source.path))
    ids = name_cases([images[0] for images in whole], root)
    return [Case(id_, images) for id_, images in zip(ids, whole, strict=True)]


def _split(images: tuple[Source, ...], channels: int) -> tuple[Source, ...]:
    """Make each channel of a 4D file a source of its own, or each colour of a picture where three are wanted.

    Raises:
        UnreadableError: the case has not as many channels as the network takes.
    """
    if images[0].format.is_stack:
        raise UnreadableError("a file of many cubes, not a scan", "give the scans themselves")
    if len(images) == 1 and (colours := colours_of(images[0], channels)):
        return colours
    if len(images) == 1 and images[0].index is None and channels > 1:
        num = images[0].format.read_header(images[0]).num_volumes
        images = tuple(replace(images[0], index=number) for number in range(num))
    if len(images) != channels:
        raise UnreadableError(
            f"it has {many(len(images), 'channel')}, but the network takes {channels}",
            "give each case all its channels",
        )
    return images


def name_cases(sources: Sequence[Source], root: Path) -> Iterator[str]:
    """Name cases after their files, with as many parent folders as make them unique, or else a number."""
    parts = [
        (*_below(source.path.parent, root), _stem(source)) if source.path != root else (source.path.resolve().name,)
        for source in sources
    ]
    lengths = [1] * len(parts)
    while True:
        names = [fit("_".join(part[-length:])) for part, length in zip(parts, lengths, strict=True)]
        counts = Counter(name.casefold() for name in names)
        longer = [
            length + 1 if counts[name.casefold()] > 1 and length < len(part) else length
            for name, part, length in zip(names, parts, lengths, strict=True)
        ]
        if longer == lengths:
            break
        lengths = longer
    seen: Counter[str] = Counter()
    for name in names:
        seen[name.casefold()] += 1
        yield name if seen[name.casefold()] == 1 else f"{name}-{seen[name.casefold()]}"


def _below(folder: Path, root: Path) -> tuple[str, ...]:
    return (folder.relative_to(root) if folder.is_relative_to(root) else folder).parts


def _stem(source: Source) -> str:
    return stem_of(source.path) if source.path.is_file() else source.path.name
