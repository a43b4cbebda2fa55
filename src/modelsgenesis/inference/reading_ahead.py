"""Cases read one after the other, the next while one is computed on, where a damaged one costs nothing but itself."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from modelsgenesis.core.cluster import Cluster
from modelsgenesis.core.process_pool import work_through
from modelsgenesis.data.case import Case
from modelsgenesis.data.problems import Problem, UnreadableError, died
from modelsgenesis.data.sources import reading_processes

Seen = TypeVar("Seen")
Record = TypeVar("Record")


def read_ahead(
    cases: Sequence[Case], read: Callable[[Case], Seen | Problem], tell: Callable[[Problem], None]
) -> Iterator[tuple[Case, Seen | Problem]]:
    """Read cases in a process of its own where a damaged file may end that.

    A single case is read in this one, which is faster: there is no other to lose.

    Args:
        cases: to read.
        read: a function of a module, or an object, that another process can be given.
        tell: writes down what becomes of a single case if this process ends of it; called before it is read.
    """
    workers = reading_processes((source for case in cases for source in case.images), much=False)
    if len(cases) == workers == 1:
        tell(died(cases[0].images[0].path))
        workers = 0
    for case, seen in work_through(read, cases, workers):
        yield case, died(case.images[0].path) if seen is None else seen


def work_away(
    do: Callable[[Case], tuple[Record | None, list[Problem]]],
    cases: Sequence[Case],
    cluster: Cluster,
    problems: list[Problem],
) -> Iterator[tuple[Case, Record | None]]:
    """Yield each case with its record, or None, as a cluster has read and computed it.

    Args:
        do: gives a case's record and what is wrong with it; a function of a module, or an object that may be sent.
        cases: to do.
        cluster: that does them.
        problems: what is wrong is added here.
    """
    for case, outcome in work_through(do, cases, 0, cluster=cluster):
        record, found = outcome or (None, [died(case.images[0].path)])
        problems += found
        yield case, record


@contextlib.contextmanager
def costs_one_case(case: Case, problems: list[Problem]) -> Iterator[None]:
    """Add a problem where a case cannot be computed on, or does not fit into memory, so that the others go on."""
    try:
        yield
    except UnreadableError as error:
        problems.append(error.at(case.images[0].path))
    except (MemoryError, torch.OutOfMemoryError):
        remedy = "try --batch-size 1, or --accelerator cpu, or a machine with more"
        problems.append(Problem(case.images[0].path, "it does not fit into memory", remedy))
