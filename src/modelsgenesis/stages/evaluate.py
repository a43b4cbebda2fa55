"""How good predictions are: `genesis evaluate PREDICTIONS TRUTH OUT`."""

import csv
import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import write_json, written_aside
from modelsgenesis.core.made import certify
from modelsgenesis.core.naming import describe
from modelsgenesis.data.working import usable_cores, work_through
from modelsgenesis.metrics.summary import Line, summarise
from modelsgenesis.stages._comparing import METRICS, Compared, Rules, compare, table_of
from modelsgenesis.stages._matching import Pair, find_predictions, match, predicted_target, read_truth

WORTH_PROCESSES = 24  # cases; below it processes take longer to start than to compare
SUMMARY, CASES = "summary.csv", "cases.csv"


def evaluate(
    predictions: str | Path,
    truth: str | Path,
    into: str | Path,
    *,
    tolerance: float = 1.0,
    empty: Literal["undefined", "perfect"] = "undefined",
    split: Literal["train", "val", "test"] | None = None,
    only_predicted: bool = False,
    resamples: int = 2000,
    seed: int = 0,
    workers: int | None = None,
    quiet: bool = False,
) -> Path:
    """Compare predictions with the truth, case by case and label by label.

    Args:
        predictions: a folder made by predict, or any folder of masks named after their cases.
        truth: a data set, a CSV of images and labels, or a folder of masks.
        into: the folder of cases.csv, summary.csv, summary.json and report.html.
        tolerance: of the surface Dice, in mm.
        empty: what a label is worth that neither mask holds: undefined leaves it out of means, perfect counts it as 1.
        split: cases of the truth to compare; all by default.
        only_predicted: leave cases without a prediction out, where they count as empty predictions otherwise.
        resamples: of the patients, for the 95 % intervals.
        seed: of the resamples.
        workers: processes; by default one a core when there are many cases, 0 works in this process.
        quiet: no table at the end.
    Returns:
        `into`.
    Raises:
        DataError: there is nothing to compare, or a setting is out of range.
    """
    predictions, truth, into = Path(predictions), Path(truth), Path(into)
    _check(predictions, tolerance, resamples, seed, workers)
    asked = predicted_target(predictions)
    task = read_truth(truth, predictions, asked)
    cases = [case for case in task.cases if split in (None, case.split)]
    if not cases:
        raise DataError(f"{truth}: no case of the split {split}; leave --split out, or name another")
    pairs, extra = match(cases, find_predictions(predictions), task.target)
    if not any(pair.masks for pair in pairs):
        raise DataError(
            f"{predictions}: holds no prediction of a case of {truth}; the first case is {cases[0].id}, "
            f"the first file {extra[0] if extra else 'none'}; name the files after the cases"
        )
    if only_predicted:
        pairs = [pair for pair in pairs if pair.masks]
    rules = Rules(task.target, tolerance, empty)
    compared = _compare_all(pairs, rules, workers)
    scored = [one for one in compared if one.status != "no truth"]
    if not scored:
        raise DataError(f"{truth}: no truth can be read; the first: {compared[0].id}: {compared[0].note}")
    patients = [one.patient for one in scored]
    lines = summarise(table_of(scored, task.target), task.target.names, patients, resamples=resamples, seed=seed)
    into.mkdir(parents=True, exist_ok=True)
    _write_rows(into / CASES, _case_rows(compared, task.target.names))
    _write_rows(into / SUMMARY, [_rounded(vars(line)) for line in lines])
    arguments = {
        "tolerance_mm": tolerance, "empty": empty, "split": split, "only_predicted": only_predicted,
        "resamples": resamples, "target": describe(task.target),
    }  # fmt: skip
    write_json(
        into / "summary.json", {"rules": arguments, "seed": seed, "lines": [_rounded(vars(one)) for one in lines]}
    )
    certify(into, "evaluate", arguments, inputs=[predictions, truth], seed=seed)
    _print(lines, Console(stderr=True, quiet=quiet))
    return into


def _check(predictions: Path, tolerance: float, resamples: int, seed: int, workers: int | None) -> None:
    if not predictions.is_dir():
        raise DataError(f"{predictions}: no such folder; give the folder of predictions")
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise DataError(f"tolerance must be 0 mm or more, got {tolerance}; 1 is usual")
    if resamples < 1 or seed < 0:
        raise DataError(f"resamples must be 1 or more and seed 0 or more, got {resamples} and {seed}")
    if workers is not None and workers < 0:
        raise DataError(f"workers cannot be negative, got {workers}; 0 works in this process")


def _compare_all(pairs: Sequence[Pair], rules: Rules, workers: int | None) -> list[Compared]:
    """Compare each case, in the order of the truth."""
    if workers is None:
        workers = usable_cores() if len(pairs) >= WORTH_PROCESSES else 0
    do = functools.partial(compare, rules=rules)
    found: dict[str, Compared] = {}
    for pair, one in work_through(do, pairs, workers):
        died = "the process that read it died; is there enough memory?"
        found[pair.case.id] = one or Compared(pair.case.id, pair.case.patient, "no truth", died, ())
    return [found[pair.case.id] for pair in pairs]


def _case_rows(compared: Sequence[Compared], names: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for case in compared:
        for k, name in enumerate(names):
            scores = vars(case.agreements[k]) if case.agreements else dict.fromkeys(METRICS, math.nan)
            start = {"id": case.id, "patient": case.patient, "label": name, "status": case.status}
            rows.append({**start, **_rounded(scores), "note": case.note})
    return rows


def _rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Six digits after the point say enough; what is undefined is empty."""
    return {
        name: (round(value, 6) if math.isfinite(value) else None) if isinstance(value, float) else value
        for name, value in values.items()
    }


def _write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with written_aside(path) as aside, open(aside, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _print(lines: Sequence[Line], console: Console) -> None:
    table = Table("label", "metric", "n", "mean", "95 % interval", "median", title="scores")
    for line in lines:
        interval = f"{line.low95:.3f} to {line.high95:.3f}" if math.isfinite(line.low95) else "too few patients"
        table.add_row(line.label, line.metric, str(line.n), f"{line.value:.3f}", interval, f"{line.median:.3f}")
    console.print(table)
