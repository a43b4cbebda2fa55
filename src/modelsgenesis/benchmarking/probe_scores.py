"""Scores of what was predicted from frozen vectors: over all test cases, of each, and within groups."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.benchmarking.statistics.bootstrap_runs import Rows
from modelsgenesis.core.table_target import TableTarget
from modelsgenesis.data.case import Case
from modelsgenesis.evaluation.table_predictions import BY_PATIENT, TablePrediction, case_rows, score_predictions
from modelsgenesis.metrics.summary import MEAN

Numbers = NDArray[np.float64]
Row = dict[str, Any]


def truth_of(cases: Sequence[Case]) -> Numbers:
    """The cases' labels, (cases, values)."""
    return np.array([case.values for case in cases], np.float64)


def score_of(p: Numbers, truth: Numbers, test: Sequence[Case], target: TableTarget, metric: str) -> float:
    """The metric over all test cases, as a benchmark reads it off its scores."""
    if metric == BY_PATIENT:
        patients = [case.patient or case.id for case in test]
        lines = score_predictions(p, truth, patients, target, missing=0, resamples=1, seed=0)
        return next(line.value for line in lines if line.metric == metric)
    scores = target.scores(p, truth)
    every = [label for label, of_label in scores.items() if metric in of_label]
    return scores[MEAN if MEAN in every else every[0]][metric]


def rows_of_cases(p: Numbers, truth: Numbers, test: Sequence[Case], target: TableTarget) -> Rows:
    """Each case's truth and prediction, as `genesis evaluate` writes them, in the order of ids."""
    found = [TablePrediction(case, "compared", "", tuple(each)) for case, each in zip(test, p.tolist(), strict=True)]
    values = [tuple(each) for each in truth.tolist()]
    return sorted(case_rows(found, values, target), key=lambda row: row["id"])


def rows_of_groups(
    named: Row,
    p: Numbers,
    truth: Numbers,
    test: Sequence[Case],
    target: TableTarget,
    groups: Mapping[str, Mapping[str, str]],
) -> list[Row]:
    """The metric within each group of the test cases; empty where it is undefined there."""
    rows = []
    for column, group_of in groups.items():
        for group in sorted({group_of[case.id] for case in test}):
            own = np.array([group_of[case.id] == group for case in test])
            cases = [case for case, there in zip(test, own, strict=True) if there]
            value = score_of(p[own], truth[own], cases, target, named["metric"])
            shown = "" if math.isnan(value) else f"{value:.6g}"
            rows.append({**named, "value": shown, "column": column, "group": group, "n": len(cases)})
    return rows
