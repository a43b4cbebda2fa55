"""The cases that a network learns from, read once into a cache."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.process_pool import work_through
from modelsgenesis.core.target import Target
from modelsgenesis.core.words import many
from modelsgenesis.data.case import Case
from modelsgenesis.data.image_size import image_size_of
from modelsgenesis.data.images import Reading
from modelsgenesis.data.problems import DIED, UnreadableError
from modelsgenesis.data.sources import reading_processes
from modelsgenesis.data.store.case_cache import cache_case, find_current_case
from modelsgenesis.tasks.task import Task

WORTH_PROCESSES = 20  # cases
MOST_NAMED = 5  # problems in an error


def read_cases(task: Task, cases: Sequence[Case], reading: Reading, into: Path, console: Console) -> None:
    """Read the cases that are not yet in a cache into it.

    Args:
        task: the task of the cases.
        cases: the cases to read.
        reading: how images are read.
        into: the folder of the cache.
        console: shows that it is reading.
    Raises:
        DataError: one cannot be read, or the images are not alike.
    """
    how: dict[str, Any] = {"target": task.target, "reading": reading}
    unread = [case for case in cases if find_current_case(case, **how, folder=into) is None]
    sources = (source for case in unread for source in (*case.images, *case.masks))
    workers = reading_processes(sources, much=len(unread) >= WORTH_PROCESSES)
    problems = []
    with console.status(f"reading {many(len(unread), 'case')}"):
        for case, problem in work_through(functools.partial(_read, **how, into=into), unread, workers):
            if problem is None:
                problems.append(f"{case.images[0].path}: {'; '.join(DIED)}")
            elif problem:
                problems.append(problem)
    if problems:
        named = "; ".join(sorted(problems)[:MOST_NAMED])
        raise DataError(
            f"{len(problems)} of {many(len(cases), 'case')} cannot be used: {named}. Mend them or leave them out; "
            f"genesis inspect {task.place} shows more"
        )


def _read(case: Case, *, target: Target, reading: Reading, into: Path) -> str:
    """Read one case; return what is wrong with it, or nothing."""
    try:
        cache_case(case, target=target, reading=reading, into=into)
    except UnreadableError as error:
        return f"{case.images[0].path}: {error}"
    return ""


def middle_spacing_mm(cases: Sequence[Case]) -> list[float] | None:
    """The median spacing of cases along X, Y and Z; None where their files do not give it."""
    first = [case.images[0] for case in cases]
    if not all(source.format.knows_spacing for source in first):
        return None
    scans = functools.cache(image_size_of)  # of candidates, a scan has many
    steps = np.median([scans(source.whole()).spacing_mm for source in first], axis=0)
    return [round(float(step), 4) for step in steps]
