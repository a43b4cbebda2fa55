"""The scores of a benchmark's runs, in one table a task and metric: arms, budgets, seeds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.words import many

ROUNDING = 1e-3  # a run's value may be that much off the mean of its cases: both were written as text


@dataclass(frozen=True)
class Run:
    """The score of a run on the test cases: a row of `runs.csv`.

    Attributes:
        task: its name.
        arm: what the network started from.
        cases: how many it was trained with.
        seed: that chose the cases and all else; the same for every arm.
        metric: its name.
        value: of it, on the test cases together.
    """

    task: str
    arm: str
    cases: int
    seed: int
    metric: str
    value: float


@dataclass(frozen=True)
class CaseScore:
    """The score of a run on one test case.

    Attributes:
        task: its name.
        arm: what the network started from.
        cases: how many it was trained with.
        seed: of the run.
        metric: its name.
        case: of the test set, the same for every run.
        patient: whose case it is.
        value: of it; NaN where the metric is undefined.
    """

    task: str
    arm: str
    cases: int
    seed: int
    metric: str
    case: str
    patient: str
    value: float


@dataclass(frozen=True)
class Table:
    """All runs of a task, by one metric.

    Attributes:
        task: its name.
        metric: its name.
        arms: in the order they were given.
        budgets: cases trained with, rising.
        seeds: rising.
        values: (arms, budgets, seeds), NaN where there is no run.
        patients: of each test case; empty where the cases' scores were not given.
        case_values: (arms, budgets, seeds, test cases), NaN where there is no run.
        undefined: test cases left out of `case_values`, for in some run the metric is undefined there.
    """

    task: str
    metric: str
    arms: tuple[str, ...]
    budgets: tuple[int, ...]
    seeds: tuple[int, ...]
    values: NDArray[np.float64]
    patients: tuple[str, ...]
    case_values: NDArray[np.float64]
    undefined: int

    def of(self, arm: str) -> NDArray[np.float64]:
        """The values of an arm, (budgets, seeds)."""
        return np.asarray(self.values[self.arms.index(arm)])


def tabulate(runs: Iterable[Run], case_scores: Iterable[CaseScore] = ()) -> list[Table]:
    """Sort runs into tables, one a task and metric, in the order they first appear.

    A run that is not there (yet) leaves a hole, which every comparison counts. What cannot be right is refused.

    Args:
        runs: of any number of tasks and metrics.
        case_scores: of their test cases, for metrics that are a mean over cases; of a task and metric all or none.
    Raises:
        DataError: a value that is no finite number, a run or score given twice, a budget below 1, scores of a run that
            is not there, test cases that differ from run to run, or scores whose mean is not the run's value.
    """
    rows, scores = list(runs), list(case_scores)
    for row in rows:
        _check(row)
    groups = dict.fromkeys((row.task, row.metric) for row in rows)
    strange = {(one.task, one.metric) for one in scores} - set(groups)
    if strange:
        raise DataError(f"there are scores of cases but no runs of {sorted(strange)}; give their runs too")
    return [
        _table(
            [row for row in rows if (row.task, row.metric) == group],
            [one for one in scores if (one.task, one.metric) == group],
        )
        for group in groups
    ]


def _name(row: Run | CaseScore) -> str:
    return f"{row.task}, {row.arm}, {many(row.cases, 'case')}, seed {row.seed}, {row.metric}"


def _check(row: Run) -> None:
    if not np.isfinite(row.value):
        raise DataError(f"the run {_name(row)} has the value {row.value}; run it again, or leave its row out")
    if row.cases < 1:
        raise DataError(f"a budget is 1 case or more, got {row.cases} in the run {_name(row)}")


def _table(rows: Sequence[Run], scores: Sequence[CaseScore]) -> Table:
    arms = tuple(dict.fromkeys(row.arm for row in rows))
    budgets = tuple(sorted({row.cases for row in rows}))
    seeds = tuple(sorted({row.seed for row in rows}))
    values = np.full((len(arms), len(budgets), len(seeds)), np.nan)
    for row in rows:
        at = arms.index(row.arm), budgets.index(row.cases), seeds.index(row.seed)
        if not np.isnan(values[at]):
            raise DataError(f"the run {_name(row)} is there twice; leave one out")
        values[at] = row.value
    patients, case_values, undefined = _cases(scores, arms, budgets, seeds, values)
    return Table(rows[0].task, rows[0].metric, arms, budgets, seeds, values, patients, case_values, undefined)


def _cases(
    scores: Sequence[CaseScore],
    arms: tuple[str, ...],
    budgets: tuple[int, ...],
    seeds: tuple[int, ...],
    values: NDArray[np.float64],
) -> tuple[tuple[str, ...], NDArray[np.float64], int]:
    if not scores:
        return (), np.full((*values.shape, 0), np.nan), 0
    patients = _patients(scores)
    columns = {case: k for k, case in enumerate(patients)}
    runs = {(arms[a], budgets[b], seeds[s]): (int(a), int(b), int(s)) for a, b, s in np.argwhere(np.isfinite(values))}
    table = np.full((*values.shape, len(columns)), np.nan)
    given = np.zeros(table.shape, bool)
    for one in scores:
        key = one.arm, one.cases, one.seed
        if key not in runs:
            raise DataError(f"there are scores of cases but no run {_name(one)}; give its run too")
        at = (*runs[key], columns[one.case])
        if given[at] or np.isinf(one.value):
            wrong = "is there twice" if given[at] else "is infinite"
            raise DataError(f"the score of case {one.case} in {_name(one)} {wrong}; mend the table of cases")
        given[at], table[at] = True, one.value
    _check_cases(given, table, values, {at: f"{key[0]}, {key[1]} cases, seed {key[2]}" for key, at in runs.items()})
    defined = np.isfinite(table[np.isfinite(values)]).all(0)
    kept = tuple(np.array(list(patients.values()))[defined].tolist())
    return kept, table[..., defined], int((~defined).sum())


def _patients(scores: Sequence[CaseScore]) -> dict[str, str]:
    patients: dict[str, str] = {}
    for one in scores:
        if patients.setdefault(one.case, one.patient) != one.patient:
            raise DataError(f"case {one.case} is of one patient in some rows and of another in others; correct them")
    return dict(sorted(patients.items()))


def _check_cases(
    given: NDArray[np.bool_],
    table: NDArray[np.float64],
    values: NDArray[np.float64],
    names: dict[tuple[int, int, int], str],
) -> None:
    for at, name in names.items():
        if not given[at].all():
            raise DataError(
                f"{int((~given[at]).sum())} of {given.shape[-1]} test cases have no score in the run {name}; "
                "every run is scored on the same cases"
            )
        mean = np.nanmean(table[at]) if np.isfinite(table[at]).any() else np.nan
        if not abs(mean - values[at]) <= ROUNDING * max(1.0, abs(values[at])):
            raise DataError(
                f"the run {name} has the value {values[at]:g}, but its cases have the mean {mean:g}; "
                "give scores of cases only for metrics that are their mean"
            )
