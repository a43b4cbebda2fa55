"""What all layouts share: a task made of whole cases only."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.target import Target
from modelsgenesis.data.case import Case
from modelsgenesis.data.problems import Problem
from modelsgenesis.tasks.case_finder import unique_cases, with_modality
from modelsgenesis.tasks.published import Published
from modelsgenesis.tasks.task import NoCaseError, Task


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
    """Make a task of the cases that have an id of their own and a patient in one part of the split.

    Args:
        name: of the task.
        target: what is predicted.
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
    kept = _agreeing(unique_cases(cases, problems), problems)
    if not kept:
        raise NoCaseError(place, problems)
    modalities = {source.modality for case in kept for source in case.images}
    modality = modalities.pop() if len(modalities) == 1 else ""
    return Task(
        name, target, tuple(kept), tuple(channels), modality, tuple(problems), tuple(unlabelled), place, published
    )


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
        one, two = _or_none(there), _or_none(here)
        words = f"its patient is in {what} {one} with {other.id} and in {what} {two} with this case"
        problems.append(Problem(case.images[0].path, words, f"give each patient one {what}"))
    return kept


def _or_none(value: int | str | None) -> str:
    return "none" if value in (None, "") else str(value)


def of_modality(task: Task, modality: str) -> Task:
    """Give the modality to all images of a task that have none of their own.

    Raises:
        DataError: the data declare another.
    """
    declared = {source.modality for case in task.cases for source in case.images} - {"", modality}
    if declared:
        named = " and ".join(sorted(declared))
        raise DataError(f"{task.place}: declares {named}, not {modality}; leave --modality out, or correct the data")
    cases, unlabelled = (
        tuple(replace(case, images=tuple(with_modality(source, modality) for source in case.images)) for case in some)
        for some in (task.cases, task.unlabelled)
    )
    return replace(task, modality=modality, cases=cases, unlabelled=unlabelled)
