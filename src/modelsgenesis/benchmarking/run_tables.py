"""The tables of a benchmark under way: runs.csv has a row a run, cases.csv a row a test case of it."""

import math
from collections.abc import Mapping
from pathlib import Path

from modelsgenesis.benchmarking.run_record import place_of
from modelsgenesis.benchmarking.trial import Result, Trial
from modelsgenesis.core.provenance import FILE as PROVENANCE
from modelsgenesis.core.tables import read_rows, write_table
from modelsgenesis.data.patient_names import keep_names

RUNS, CASES, PUBLISHED = "runs.csv", "cases.csv", "published.json"
KEY = ["task", "arm", "cases", "seed"]

Row = dict[str, str]


def write_run_tables(into: Path, task: str, num: int, results: Mapping[Trial, Result]) -> None:
    """Write what there is so far, also of what other commands did in this folder.

    Args:
        into: the benchmark's folder.
        task: its name.
        num: how many cases "all" stands for.
        results: of the runs that were done, or tried, now.
    """
    runs: list[Row] = []
    scores: list[Row] = []
    replaced: set[tuple[str, ...]] = set()
    for trial, result in results.items():
        known = (task, trial.arm, str(trial.cases or num), str(trial.seed))
        named = {**dict(zip(KEY, known, strict=True)), "metric": trial.metric}
        if not math.isnan(result.value):
            runs.append({**named, "value": f"{result.value:.6g}", "time_s": f"{result.time_s:.0f}"})
        if not math.isnan(result.value) or result.why:
            replaced.add(known)
        scores += [
            {**named, "case": case, "patient": patient, "value": "" if math.isnan(value) else f"{value:.6g}"}
            for case, patient, value in result.by_case
        ]
    _merge(into, RUNS, [*KEY, "metric", "value", "time_s"], runs, replaced)
    _merge(into, CASES, [*KEY, "case", "patient", "metric", "value"], scores, replaced)


def _merge(into: Path, name: str, columns: list[str], rows: list[Row], replaced: set[tuple[str, ...]]) -> None:
    """Write rows, and keep those of earlier runs that are complete and not replaced."""
    before = read_rows(into / name) if (into / name).is_file() else []
    kept = [row for row in before if tuple(row[key] for key in KEY) not in replaced and _is_whole(into, row)]
    own = [{column: row[column] for column in columns} for row in kept + rows]
    if "patient" in columns:  # raw in what earlier versions wrote
        names = keep_names(into, [(row["patient"], row["case"]) for row in own])
        latest = {row["case"]: names.salted(row["patient"], row["case"]) for row in own}  # the salt may have been lost
        own = [{**row, "patient": latest[row["case"]]} for row in own]
    write_table(into / name, columns, sorted(own, key=lambda row: (int(row["cases"]), row["arm"], int(row["seed"]))))


def _is_whole(into: Path, row: Row) -> bool:
    run = place_of(into, row["arm"], int(row["cases"]), int(row["seed"]))
    return (run / "scores" / PROVENANCE).is_file()
