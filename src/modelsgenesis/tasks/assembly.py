"""What all layouts share: the cases of a folder of files, and a task made of whole cases only."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import fit
from modelsgenesis.core.target import Target
from modelsgenesis.data.case import Case
from modelsgenesis.data.formats import ending_of
from modelsgenesis.data.problems import Problem
from modelsgenesis.data.sources import Source, find_sources
from modelsgenesis.tasks.published import Published
from modelsgenesis.tasks.task import NoCaseError, Task

CHANNEL = re.compile(r"(.+)_(\d{4})")  # how nnU-Net names the image of one channel


def case_id(place: Path, root: Path) -> str:
    """The id of a case from where its image lies: the path below the root without the ending, fit for a file name."""
    inside = place.is_relative_to(root) and place != root
    below = place.relative_to(root).as_posix() if inside else place.name if place == root else place.as_posix()
    return fit(below[: len(below) - len(ending_of(place))])


def part_of(source: Source) -> str:
    """What tells a source from others of the same file, to follow that file's id: "" where it is all of it."""
    number = "" if source.index is None else f"_{source.index}"
    return (f"_{source.array}" if source.array else "") + number + str(source.box or "")


def patient_of(source: Source, name: str) -> str:
    """Who a source is of, where its header or folder says so; otherwise each case is a patient of its own."""
    return source.patient if source.patient not in ("", source.series) else name


def named_sources(folder: Path, problems: list[Problem]) -> dict[str, Source]:
    """Every scan in a folder, {id: source}; what cannot be one, and a second one of a name, become problems."""
    if not folder.is_dir():
        return {}
    found, wrong = find_sources(folder)
    problems += [problem for problem in wrong if problem.severity == "error"]
    named: dict[str, Source] = {}
    for source in found:
        first = named.setdefault(case_id(source.path, folder), source)
        if first is not source:
            what = f"two files of one name: the other is {first.path.name}"
            problems.append(Problem(source.path, what, "rename or remove one of them"))
    return named


def build(
    name: str,
    target: Target,
    cases: Iterable[Case],
    *,
    channels: Sequence[str],
    problems: Sequence[Problem],
    unlabelled: Sequence[Case] = (),
    place: Path,
    published: Published | None = None,
) -> Task:
    """Make a task of the cases that can be told apart and keep their patients in one place.

    Args:
        name: of the task.
        target: what is asked.
        cases: labelled.
        channels: names.
        problems: found so far.
        unlabelled: images alone.
        place: that it was read from.
        published: what papers did on it.
    Raises:
        NoCaseError: no case is left.
    """
    problems = list(problems)
    kept = _agreeing(_unique(cases, problems), problems)
    if not kept:
        raise NoCaseError(place, problems)
    modalities = {source.modality for case in kept for source in case.images}
    modality = modalities.pop() if len(modalities) == 1 else ""
    return Task(
        name, target, tuple(kept), tuple(channels), modality, tuple(problems), tuple(unlabelled), place, published
    )


def _unique(cases: Iterable[Case], problems: list[Problem]) -> list[Case]:
    """Leave out a second case of one id; a name of a file that differs in nothing but capitals is no other."""
    first: dict[str, Case] = {}
    for case in cases:
        other = first.setdefault(case.id.casefold(), case)
        if other is not case:
            what = f"two cases are called {case.id}: the other is {other.images[0].path}"
            problems.append(Problem(case.images[0].path, what, "give each case an id of its own"))
    return list(first.values())


def _agreeing(cases: list[Case], problems: list[Problem]) -> list[Case]:
    """Leave out the cases that put a patient in a second fold or split."""
    first: dict[str, Case] = {}
    kept = []
    for case in cases:
        other = first.setdefault(case.patient or case.id, case)
        if (other.fold, other.split) == (case.fold, case.split):
            kept.append(case)
            continue
        what, there, here = (
            ("fold", other.fold, case.fold) if other.fold != case.fold else ("split", other.split, case.split)
        )
        words = f"its patient is in {what} {_said(there)} with {other.id} and in {what} {_said(here)} with this case"
        problems.append(Problem(case.images[0].path, words, f"give each patient one {what}"))
    return kept


def _said(value: int | str | None) -> str:
    return "none" if value in (None, "") else str(value)


def with_modality(source: Source, modality: str) -> Source:
    """The source with a modality that was declared for it; it is then an image, whatever it looks like."""
    return replace(source, modality=modality or source.modality, forced=True)


def of_modality(task: Task, modality: str) -> Task:
    """The task with a modality for all images that have none of their own.

    Raises:
        DataError: the data declare another.
    """
    declared = {source.modality for case in task.cases for source in case.images} - {"", modality}
    if declared:
        said = " and ".join(sorted(declared))
        raise DataError(f"{task.place}: declares {said}, not {modality}; leave --modality out, or correct the data")
    cases, unlabelled = (
        tuple(replace(case, images=tuple(with_modality(source, modality) for source in case.images)) for case in some)
        for some in (task.cases, task.unlabelled)
    )
    return replace(task, modality=modality, cases=cases, unlabelled=unlabelled)


def group_by_channel(named: dict[str, Source], problems: list[Problem]) -> dict[str, dict[int, Source]]:
    """Split names as nnU-Net writes them, {case: {channel: source}}: `CASE_0001` is channel 1 of CASE."""
    cases: dict[str, dict[int, Source]] = defaultdict(dict)
    for name, source in named.items():
        found = CHANNEL.fullmatch(name)
        if found is None:
            what = "its name does not end in the number of its channel"
            problems.append(Problem(source.path, what, "call the first channel CASE_0000, the second CASE_0001"))
        else:
            cases[found[1]][int(found[2])] = source
    return cases


def in_order(
    by_channel: Mapping[int, Source], num_channels: int, problems: list[Problem], declared: str
) -> tuple[Source, ...]:
    """The channels of a case in order; none, and a problem, when one is missing or too many.

    Args:
        by_channel: what is there.
        num_channels: that there should be.
        problems: is added to.
        declared: who says how many there should be.
    """
    if sorted(by_channel) == list(range(num_channels)):
        return tuple(by_channel[number] for number in range(num_channels))
    has = ", ".join(f"{number:04d}" for number in sorted(by_channel))
    what = f"it has channels {has} where {declared} {num_channels}"
    problems.append(Problem(by_channel[min(by_channel)].path, what, "add what is missing, or leave the case out"))
    return ()
