"""How a case is found: its id, its channels, its image in a table; the same for all who look for cases."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import fit
from modelsgenesis.data.case import Case
from modelsgenesis.data.entries import spell
from modelsgenesis.data.formats import ending_of
from modelsgenesis.data.formats.natural_image import NUM_COLOURS, NaturalImage
from modelsgenesis.data.problems import Problem, UnreadableError
from modelsgenesis.data.source_table import ALSO
from modelsgenesis.data.sources import Source, channel_of, find_of_one_kind
from modelsgenesis.data.store.scan import MODALITIES


def case_id(place: Path, root: Path) -> str:
    """The id of a case from where its image lies: the path below the root without the ending, fit for a file name."""
    inside = place.is_relative_to(root) and place != root
    below = place.relative_to(root).as_posix() if inside else place.name if place == root else place.as_posix()
    return fit(below[: len(below) - len(ending_of(place))])


def part_of(source: Source) -> str:
    """The suffix that makes the id of one of several sources in a file unique; "" for a whole file."""
    number = "" if source.index is None else f"_{source.index}"
    return (f"_{source.array}" if source.array else "") + number + str(source.box or "")


def patient_of(source: Source, name: str) -> str:
    """Who a source is of, where its header or folder says so; otherwise each case is a patient of its own."""
    return source.patient if source.patient not in ("", source.series) else name


def named_sources(folder: Path, problems: list[Problem], only: Collection[str] | None = None) -> dict[str, Source]:
    """Every scan in a folder, {id: source}; what cannot be one, and a second one of a name, become problems.

    Args:
        folder: to look in.
        problems: is added to.
        only: the paths of files below it that are meant; None is all.
    """
    if not folder.is_dir():
        return {}
    found, wrong = find_of_one_kind(folder)
    problems += [problem for problem in wrong if problem.severity == "error"]
    named: dict[str, Source] = {}
    for source in found:
        if only is not None and source.path.relative_to(folder).as_posix() not in only:
            continue
        first = named.setdefault(case_id(source.path, folder), source)
        if first is not source:
            what = f"two files of one name: the other is {first.path.name}"
            problems.append(Problem(source.path, what, "rename or remove one of them"))
    return named


def with_modality(source: Source, modality: str) -> Source:
    """The source with a modality that was declared for it; it is then an image, whatever it looks like."""
    return replace(source, modality=modality or source.modality, forced=True)


def modality_in(row: Mapping[str, str]) -> str:
    """The modality that a row of a table declares, or "".

    Raises:
        UnreadableError: it is none that is known.
    """
    modality = row.get("modality", "")
    if modality.upper() not in ALSO:
        raise UnreadableError(f"its modality is {modality!r}", f"write one of {', '.join(MODALITIES)}, or nothing")
    return ALSO[modality.upper()]


def image_columns(columns: Sequence[str], path: Path, *, or_else: Sequence[str] = ()) -> list[str]:
    """The column or columns that name the images, in the order of the channels: `image`, or `image_0`, `image_1` ...

    Args:
        columns: of a table.
        path: of the table, for messages.
        or_else: names, in whatever case, of which the first is taken where there is no such column.
    Raises:
        DataError: there is none, or the channels are not numbered from 0.
    """
    found = (name for name in columns if re.fullmatch(r"image_\d{1,4}", name))
    numbered = sorted(found, key=lambda name: int(name[6:]))
    if "image" in columns:
        return ["image"]
    if numbered:
        if numbered != [f"image_{number}" for number in range(len(numbered))]:
            raise DataError(f"{path}: its channels are {', '.join(numbered)}; number them image_0, image_1 and so on")
        return numbered
    lower = {name.lower(): name for name in columns}
    known = [lower[name] for name in or_else if name in lower]
    if not known:
        raise DataError(f"{path}: has no column `image`; its columns are {', '.join(columns) or 'none'}")
    return known[:1]


def images_in(row: Mapping[str, str], columns: Sequence[str]) -> list[str]:
    """The entries of a row that name its images.

    Raises:
        UnreadableError: one is empty.
    """
    if missing := [column for column in columns if not row[column]]:
        raise UnreadableError(f"a row names no image in its column {missing[0]}", "name one there, or delete the row")
    return [row[column] for column in columns]


def unique_cases(cases: Iterable[Case], problems: list[Problem]) -> list[Case]:
    """Leave out a second case of one id; a name of a file that differs in nothing but capitals is no other.

    Args:
        cases: found.
        problems: is added to.
    """
    first: dict[str, Case] = {}
    for case in cases:
        other = first.setdefault(case.id.casefold(), case)
        if other is not case:
            what = f"two cases are called {case.id}: the other is {other.images[0].path}"
            remedy = "give each case an id of its own, in a CSV"
            if case.images == other.images:
                what, remedy = (
                    f"two cases have this image, both called {case.id}",
                    "keep one of them: the first is taken",
                )
            problems.append(Problem(case.images[0].path, what, remedy))
    return list(first.values())


def group_by_channel(named: dict[str, Source], problems: list[Problem]) -> dict[str, dict[int, Source]]:
    """Split names as nnU-Net writes them, {case: {channel: source}}."""
    cases: dict[str, dict[int, Source]] = defaultdict(dict)
    for name, source in named.items():
        found = channel_of(name)
        if found is None:
            what = "its name does not end in the number of its channel"
            problems.append(Problem(source.path, what, "call the first channel CASE_0000, the second CASE_0001"))
        else:
            cases[found[0]][found[1]] = source
    return cases


def in_order(
    by_channel: Mapping[int, Source], num_channels: int, problems: list[Problem], wanted: str
) -> tuple[Source, ...]:
    """The channels of a case in order; none, and a problem, when one is missing or too many.

    A single picture where three channels are wanted is one in colours, which are the channels.

    Args:
        by_channel: what is there.
        num_channels: that there should be.
        problems: is added to.
        wanted: who wants how many, in words that end the sentence "it has channels 0000 ...".
    """
    if sorted(by_channel) == list(range(num_channels)):
        return tuple(by_channel[number] for number in range(num_channels))
    if list(by_channel) == [0] and (colours := colours_of(by_channel[0], num_channels)):
        return colours
    has = ", ".join(f"{number:04d}" for number in sorted(by_channel))
    remedy = "add what is missing, or leave the case out"
    problems.append(Problem(by_channel[min(by_channel)].path, f"it has channels {has} {wanted} {num_channels}", remedy))
    return ()


def colours_of(source: Source, num_channels: int) -> tuple[Source, ...]:
    """Red, green and blue of a picture, each a channel, where a case has three channels; otherwise nothing."""
    if num_channels != NUM_COLOURS or not isinstance(source.format, NaturalImage):
        return ()
    return tuple(replace(source, index=number) for number in range(NUM_COLOURS))


def names_of(case: Case) -> list[str]:
    """The names that a prediction of a case may have, the surest first: its id, its mask's, its image's, nnU-Net's."""
    files = [fit(case_id(source.path, source.path.parent)) for source in (*case.masks[:1], *case.images[:1])]
    bare = [found[0] for name in files if (found := channel_of(name))]
    return list(dict.fromkeys([case.id, *files, *bare]))


def sure_names(cases: Sequence[Case], made: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """The names by which what was made of each case's image may be found, {id of the case: names}, the surest first.

    Names of files tell nothing where several cases share one or it is the id of another case, and nothing at all where
    it is known what was made of the very files of some cases: the rest was made of other files.

    Args:
        cases: that are looked for.
        made: the image's file, called as `spell` does, and the name of all that was made of one, as far as known; of
            a file of which several were made it tells nothing.
    """
    several = Counter(image for image, _ in made)
    by_image = {image: name for image, name in made if several[image] == 1}
    own = {case.id: by_image.get(spell(case.images[0]), "") if case.images else "" for case in cases}
    taken = {name for name in own.values() if name}
    shared = Counter(name for case in cases for name in names_of(case)[1:])
    found = {}
    for case in cases:
        others = [name for name in names_of(case)[1:] if shared[name] == 1 and name not in own and not taken]
        names = [own[case.id]] if own[case.id] else [case.id, *others]
        found[case.id] = [name for name in names if name == own[case.id] or name not in taken]
    return found


def rows_by_file_and_name(
    rows: Sequence[dict[str, str]], path: Path, columns: Sequence[str]
) -> tuple[dict[str, dict[str, str]], dict[str, dict[str, str]]]:
    """The rows of a table by the file that they name, and by the names in them; a name of several rows tells nothing.

    Args:
        rows: of the table.
        path: of the table, from whose folder files are seen.
        columns: that may name an image or a case, by a path, a name or an id.
    """
    by_file: dict[str, dict[str, str]] = {}
    by_name: dict[str, dict[str, str]] = {}
    for row in rows:
        entries = [row[column] for column in columns if row.get(column)]
        for entry in entries:
            by_file.setdefault((path.parent / entry).resolve().as_posix(), row)
        for name in {
            name for entry in entries for name in (entry, fit(entry), Path(entry).name, fit(Path(entry).name))
        }:
            by_name[name] = {} if name in by_name else row
    return by_file, by_name
