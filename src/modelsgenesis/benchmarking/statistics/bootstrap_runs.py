"""How far the scores of a benchmark that are of all cases together, such as AUC, hang on who was tested."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.benchmarking.run_record import place_of
from modelsgenesis.benchmarking.statistics.bootstrap_scores import BootstrapScores, weighted_auc
from modelsgenesis.benchmarking.statistics.runs import ROUNDING, Table
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.tables import read_rows
from modelsgenesis.data.patient_names import with_raw_patients
from modelsgenesis.metrics.bootstrap import MOST_UNDEFINED, Weights, resample_patients, weighted_means

RESAMPLES = 2000
Rows = Sequence[Mapping[str, str]]


def bootstrap_runs(folder: Path, table: Table) -> BootstrapScores:
    """Draw the test patients again and again, the same for every run, and score every run's predictions on them.

    Args:
        folder: of the benchmark, with its runs.
        table: of a metric of `STATISTICS`.
    Raises:
        DataError: it has another metric; or a run's predictions are missing, of other cases, or of another score.
    """

    def rows_of(arm: str, cases: int, seed: int) -> tuple[str, Rows]:
        place = place_of(folder, arm, cases, seed)
        return str(place.relative_to(folder)), _predictions(place, folder)

    return bootstrap_rows(table, rows_of)


def bootstrap_rows(table: Table, rows_of: Callable[[str, int, int], tuple[str, Rows]]) -> BootstrapScores:
    """Do the same for predictions that are in memory.

    Args:
        table: of a metric of `STATISTICS`.
        rows_of: gives the name of the run of an arm, number of cases and seed, and its predictions, sorted by case.
    Raises:
        DataError: as `bootstrap_runs`.
    """
    statistic = STATISTICS.get(table.metric)
    if statistic is None:
        raise DataError("the scores of the test cases are not here")
    patients: dict[str, str] = {}
    whole, values = np.full(table.values.shape, np.nan), np.full((*table.values.shape, RESAMPLES), np.nan)
    for a, b, s in np.argwhere(np.isfinite(table.values)):
        run = int(a), int(b), int(s)
        name, rows = rows_of(table.arms[a], table.budgets[b], table.seeds[s])
        if not patients:
            patients = _patients(rows)
            weights = resample_patients(list(patients.values()), RESAMPLES, 0)
        if _patients(rows).keys() != patients.keys():
            raise DataError(f"{name} predicted other cases than the other runs")
        whole[run], values[run] = statistic(rows, np.ones((1, len(rows)), np.int64))[0], statistic(rows, weights)
        if not abs(whole[run] - table.values[run]) <= ROUNDING * max(1.0, abs(table.values[run])):
            raise DataError(f"the predictions in {name} have another score than the run")
    defined = np.isfinite(values[np.isfinite(whole)]).all(0)
    if defined.mean() < 1 - MOST_UNDEFINED:
        raise DataError("too many draws of so few patients have no case of a kind")
    return BootstrapScores(whole, values[..., defined], len(set(patients.values())))


def _patients(rows: Rows) -> dict[str, str]:
    """The patient of each case."""
    return {row["id"]: row["patient"] for row in rows}


def _predictions(place: Path, folder: Path) -> Rows:
    """The rows of the cases that a run predicted, sorted by name."""
    path = place / "scores" / "cases.csv"
    rows = [row for row in read_rows(path) if row["status"] == "compared"] if path.is_file() else []
    if not rows:
        raise DataError(f"the predictions of a run are not here ({path.relative_to(folder)})")
    return sorted(with_raw_patients(rows, place), key=lambda row: row["id"])


def _auc(rows: Rows, weights: Weights) -> NDArray[np.float64]:
    """The mean over the labels for which it is defined; of two classes the second's, as `evaluate` has it."""
    names = [column.removeprefix("p_") for column in rows[0] if column.startswith("p_")]
    probabilities = {name: np.array([float(row[f"p_{name}"]) for row in rows]) for name in names}
    if len(names) == 2 and np.allclose(sum(probabilities.values()), 1, atol=1e-5):
        names = names[1:]  # the first one's is equal but for the digits that were written
    there = {name: np.array([name in row["truth"].split(" | ") for row in rows]) for name in names}
    each = [weighted_auc(probabilities[name], there[name], weights) for name in names]
    num = np.isfinite(each).sum(0)
    return np.asarray(np.divide(np.nansum(each, axis=0), num, out=np.full(len(weights), np.nan), where=num > 0))


def _mae(rows: Rows, weights: Weights) -> NDArray[np.float64]:
    """Compute the mean absolute error of the first number, which is the run's score."""
    name = next(column for column in rows[0] if column.startswith("error "))
    return weighted_means(np.array([abs(float(row[name])) for row in rows]), weights)


STATISTICS: dict[str, Callable[[Rows, Weights], NDArray[np.float64]]] = {"auc": _auc, "mae": _mae}
