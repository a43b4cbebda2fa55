"""Runs become tables; holes stay holes, and what cannot be right is refused."""

from dataclasses import replace

import numpy as np
import pytest

from modelsgenesis.benchmarking.statistics.runs import CaseScore, Run, tabulate
from modelsgenesis.core.errors import DataError

RUNS = [
    Run("t", arm, cases, seed, "dice", cases / 100 + seed / 10)
    for arm in ("scratch", "a")
    for cases in (12, 3)
    for seed in (1, 0)
]
SCORES = [
    CaseScore(run.task, run.arm, run.cases, run.seed, run.metric, case, patient, run.value + shift)
    for run in RUNS
    for case, patient, shift in (("c", "q", 0.1), ("b", "p", -0.2), ("a", "p", 0.1))
]


def test_runs_stand_where_they_belong() -> None:
    """Arms in their order, budgets and seeds rising, a run that is not there NaN."""
    (table,) = tabulate(RUNS[:-1])
    assert (table.arms, table.budgets, table.seeds) == (("scratch", "a"), (3, 12), (0, 1))
    np.testing.assert_allclose(table.of("scratch"), [[0.03, 0.13], [0.12, 0.22]])
    np.testing.assert_allclose(table.of("a"), [[np.nan, 0.13], [0.12, 0.22]])


def test_tasks_and_metrics_have_tables_of_their_own() -> None:
    """In the order in which they first appear."""
    more = [replace(run, metric="hd95_mm") for run in RUNS] + [replace(run, task="u") for run in RUNS]
    assert [(table.task, table.metric) for table in tabulate([*RUNS, *more])] == [
        ("t", "dice"),
        ("t", "hd95_mm"),
        ("u", "dice"),
    ]


def test_scores_of_cases_stand_beside_their_runs() -> None:
    """Cases in the order of their names, with their patients."""
    (table,) = tabulate(RUNS, SCORES)
    assert (table.patients, table.undefined) == (("p", "p", "q"), 0)
    np.testing.assert_allclose(table.case_values[0, 0, 1], [0.23, -0.07, 0.23])
    np.testing.assert_allclose(table.case_values.mean(-1), table.values)


def test_case_undefined_in_one_run_is_left_out_of_all_and_counted() -> None:
    """So that every run is compared on the same cases; a run's value is the mean of those that it has."""
    one = SCORES[0]
    known = [each.value for each in SCORES[1:] if (each.arm, each.cases, each.seed) == (one.arm, one.cases, one.seed)]
    mine = [run for run in RUNS if (run.arm, run.cases, run.seed) == (one.arm, one.cases, one.seed)]
    runs = [replace(run, value=sum(known) / len(known)) if run in mine else run for run in RUNS]
    (table,) = tabulate(runs, [replace(one, value=float("nan")), *SCORES[1:]])
    assert (table.patients, table.undefined) == (("p", "p"), 1)
    assert table.case_values.shape == (2, 2, 2, 2)


@pytest.mark.parametrize(
    ("runs", "scores", "words"),
    [
        ([replace(RUNS[0], value=float("nan"))], [], "has the value nan"),
        ([replace(RUNS[0], value=float("inf"))], [], "has the value inf"),
        ([replace(RUNS[0], cases=0)], [], "1 case or more"),
        ([RUNS[0], RUNS[0]], [], "there twice"),
        (RUNS, SCORES[1:], "1 of 3 test cases have no score"),
        (RUNS, [*SCORES, SCORES[0]], "there twice"),
        (RUNS, [replace(SCORES[0], value=float("inf")), *SCORES[1:]], "is infinite"),
        (RUNS, [replace(SCORES[0], value=0.9), *SCORES[1:]], "cases have the mean"),
        (RUNS, [replace(SCORES[0], patient="p"), *SCORES[1:]], "of one patient in some rows"),
        (RUNS[1:], SCORES, "no run"),
        (RUNS, [replace(SCORES[0], metric="iou")], "give their runs too"),
    ],
)
def test_what_cannot_be_right_is_refused(runs: list[Run], scores: list[CaseScore], words: str) -> None:
    """With what is wrong; nothing is dropped in silence."""
    with pytest.raises(DataError, match=words):
        tabulate(runs, scores)
