"""The learning rate of each arm, chosen among several on training patients alone."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from modelsgenesis.benchmarking.trial import ALL, Result, Trial
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.tables import read_rows, write_table
from modelsgenesis.metrics.direction import more_is_better

FILE, FOLDER = "rates.csv", "rehearsals"
SEEDS = 2  # runs of each arm and rate; the choice is by their mean
COLUMNS = ("arm", "lr", "cases", "seeds", "metric", "value", "chosen")


def best_rates(results: Mapping[Trial, Result]) -> dict[str, float]:
    """The rate of each arm whose rehearsals had the best mean score; of equal ones the first that was given.

    Raises:
        DataError: an arm failed with every rate.
    """
    best: dict[str, tuple[float, float]] = {}
    for (arm, rate), some in _by_rate(results).items():
        score = _mean(results, some) * (1 if more_is_better(some[0].metric) else -1)
        if not math.isnan(score) and (arm not in best or score > best[arm][0]):
            best[arm] = (score, rate)
    for trial, result in results.items():
        if trial.arm not in best:
            raise DataError(f"{trial.arm} failed with every learning rate, last in {trial.into}: {result.why}")
    return {arm: rate for arm, (_, rate) in best.items()}


def read_rates(into: Path) -> dict[str, float]:
    """The rates that were chosen before, by arm: a rate once chosen stays."""
    return {row["arm"]: float(row["lr"]) for row in _rows(into) if row["chosen"] == "yes"}


def write_rates(into: Path, results: Mapping[Trial, Result], chosen: Mapping[str, float]) -> None:
    """Write rates.csv: a row an arm and rate, with the mean score of its rehearsals, below those of other arms.

    Args:
        into: the benchmark's folder.
        results: of the rehearsals.
        chosen: the rate of each of their arms.
    """
    rows = [row for row in _rows(into) if row["arm"] not in chosen]
    rows += [
        {
            "arm": arm, "lr": f"{rate:g}", "cases": str(some[0].cases or ALL), "seeds": str(len(some)),
            "metric": some[0].metric, "value": f"{_mean(results, some):.6g}",
            "chosen": "yes" if rate == chosen[arm] else "no",
        }
        for (arm, rate), some in _by_rate(results).items()
    ]  # fmt: skip
    write_table(into / FILE, COLUMNS, rows)


def _rows(into: Path) -> list[dict[str, str]]:
    return read_rows(into / FILE) if (into / FILE).is_file() else []


def _by_rate(results: Mapping[Trial, Result]) -> dict[tuple[str, float], list[Trial]]:
    grouped: dict[tuple[str, float], list[Trial]] = {}
    for trial in results:
        grouped.setdefault((trial.arm, trial.options.lr or 0.0), []).append(trial)
    return grouped


def _mean(results: Mapping[Trial, Result], trials: Sequence[Trial]) -> float:
    """The mean score of some runs; NaN where one of them failed."""
    return sum(results[trial].value for trial in trials) / len(trials)
