"""How good predictions are: `genesis evaluate PREDICTIONS TRUTH OUT`."""

import functools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from modelsgenesis.core.cluster import Cluster, choose_cluster
from modelsgenesis.core.console import make_console, teller
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import write_json
from modelsgenesis.core.lease import held
from modelsgenesis.core.mask_target import MaskTarget
from modelsgenesis.core.naming import describe
from modelsgenesis.core.process_pool import work_through
from modelsgenesis.core.progress import with_progress
from modelsgenesis.core.provenance import FILE as PROVENANCE
from modelsgenesis.core.provenance import read_provenance, write_provenance
from modelsgenesis.core.table_target import TableTarget
from modelsgenesis.core.tables import read_rows, write_table
from modelsgenesis.core.target import Kind, Target, find_target
from modelsgenesis.core.words import many, short_number
from modelsgenesis.data.case import Case
from modelsgenesis.data.image_size import axes_of
from modelsgenesis.data.patient_names import keep_names
from modelsgenesis.data.problems import DIED
from modelsgenesis.data.sources import reading_processes
from modelsgenesis.evaluation.mask_comparison import METRICS, Compared, Rules, compare_case, header_geometry, table_of
from modelsgenesis.evaluation.mask_page import masks_page
from modelsgenesis.evaluation.matching import TABLE, Pair, find_predictions, match, predicted_target, read_truth
from modelsgenesis.evaluation.options import EvaluateOptions
from modelsgenesis.evaluation.page_parts import Origin
from modelsgenesis.evaluation.table_page import table_page
from modelsgenesis.evaluation.table_predictions import (
    PredictionTable,
    case_rows,
    match_rows,
    read_predictions,
    score_predictions,
)
from modelsgenesis.metrics.summary import MEAN, Line, summarise
from modelsgenesis.metrics.titles import title_of
from modelsgenesis.training.run_folder import check_own

WORTH_PROCESSES = 24  # cases; below it processes take longer to start than to compare
SUMMARY, LINES, CASES, PAGE = "summary.csv", "summary.json", "cases.csv", "report.html"
VOLUMES = ("truth_ml", "predicted_ml", "difference_ml", "difference_percent")  # in the files, not in the terminal


def evaluate(predictions: Path, truth: Path, into: Path, options: EvaluateOptions) -> Path:
    """Compare predictions with the truth; `commands.evaluate` describes the arguments and errors."""
    _check(predictions, options)
    _cluster(into, options)
    if (into / PROVENANCE).exists():
        read_provenance(into, "evaluate")
    check_own(into, [SUMMARY, CASES, PAGE])
    of_network = predicted_target(predictions)
    table = read_predictions(predictions, _table_kind(of_network, options.kind))
    meant = options.kind or (of_network.kind if of_network else table.target.kind if table else None)
    task = read_truth(
        truth, predictions, of_network, kind=meant, label=options.label, classes=options.classes,
        columns=options.columns,
    )  # fmt: skip
    cases = [case for case in task.cases if options.split in (None, case.split)]
    if not cases:
        raise DataError(f"{truth}: no case of the split {options.split}; leave --split out, or name another")
    origin = Origin(
        predictions, truth, options.only_predicted, options.resamples, options.seed, options.worst, task.problems
    )
    pixels = of_pictures(cases) and in_pixels(cases)
    with held(into, "evaluate"):
        lines, target = _compare(into, cases, task.target, of_network, table, origin, options, pixels=pixels)
        _write(into, lines, target, origin, options, pixels=pixels)
    console = make_console(quiet=options.quiet)
    _print(lines, console, pixels=pixels)
    if pixels:
        console.print("distances are in pixels: not all pictures say how large one is")
    _warn(into, console)
    return into


def _write(
    into: Path, lines: Sequence[Line], target: Target, origin: Origin, options: EvaluateOptions, *, pixels: bool
) -> None:
    """Write the tables of all cases together, and of what and by which rules they are."""
    arguments = {
        "tolerance_mm": options.tolerance, "empty": options.empty, "kind": options.kind, "label": options.label,
        "classes": options.classes, "columns": options.columns, "split": options.split,
        "only_predicted": options.only_predicted, "resamples": options.resamples,
        "worst": options.worst, "target": describe(target),
    }  # fmt: skip
    arguments |= {"positive": options.positive} if options.positive else {}
    rounded = [_rounded(vars(line)) for line in lines]
    write_table(into / SUMMARY, list(rounded[0]), rounded, line_end="\r\n")
    write_json(into / LINES, {"rules": arguments, "seed": options.seed, "in_pixels": pixels, "lines": rounded})
    write_provenance(into, "evaluate", arguments, inputs=[origin.predictions, origin.truth], seed=options.seed)


def _compare(
    into: Path,
    cases: Sequence[Case],
    target: Target,
    of_network: Target | None,
    table: PredictionTable | None,
    origin: Origin,
    options: EvaluateOptions,
    *,
    pixels: bool,
) -> tuple[list[Line], Target]:
    """Compare masks with masks or a table with a table; return the scores, and the target whose labels they are of.

    Raises:
        DataError: the truth is a table, and there is none of predictions.
    """
    if isinstance(target, MaskTarget):
        if options.positive:
            raise DataError("--positive names one of two classes, and masks have none; leave it out")
        rules = Rules(target, options.tolerance, options.empty, of_pictures(cases), pixels)
        return _masks(into, cases, rules, origin, options), target
    if table is None or not isinstance(target, TableTarget):
        raise DataError(
            f"{origin.predictions}: has no {TABLE}, though {origin.truth} is a task of {target.kind}; "
            "write one with the columns id and p_LABEL for each class, or the numbers' names"
        )
    predicted = _target_of_network(of_network, table, target)
    predicted = predicted.with_positive(options.positive) if options.positive else predicted
    return _table(into, cases, table, (target, predicted), origin), predicted


def _masks(into: Path, cases: Sequence[Case], rules: Rules, origin: Origin, options: EvaluateOptions) -> list[Line]:
    """Compare predicted masks with the truth; write cases.csv and the page."""
    pairs, extra = match(cases, find_predictions(origin.predictions), rules.target)
    if not any(pair.masks for pair in pairs):
        raise DataError(
            f"{origin.predictions}: holds no prediction of a case of {origin.truth}; the first case is {cases[0].id}, "
            f"the first file {extra[0] if extra else 'none'}; name the files after the cases"
        )
    kept = [pair for pair in pairs if pair.masks or pair.why] if origin.only_predicted else pairs
    compared = _compare_all(into, kept, rules, options)
    scored = [one for one in compared if one.status != "no truth"]
    if not scored:
        raise DataError(f"{origin.truth}: no truth can be read; the first: {compared[0].id}: {compared[0].note}")
    names, patients = rules.target.names, [one.patient for one in scored]
    scores = table_of(scored, rules.target)
    lines = summarise(scores, names, patients, resamples=origin.resamples, seed=origin.seed)
    lines = [line for line in lines if line.label != MEAN or line.metric not in VOLUMES]
    origin = replace(origin, extra=extra, left_out=len(pairs) - len(kept))
    _begin(into)
    _write_cases(into, _case_rows(compared, names), origin.truth)
    masks_page(into / PAGE, kept, compared, lines, rules, origin)
    return lines


def _table(
    into: Path, cases: Sequence[Case], table: PredictionTable, targets: tuple[TableTarget, TableTarget], origin: Origin
) -> list[Line]:
    """Compare classes or numbers; write cases.csv and the page. The targets are the truth's and the network's."""
    of_truth, target = targets
    found, extra = match_rows(cases, table, target)
    kept = [one for one in found if one.status != "missing"] if origin.only_predicted else found
    compared = [one for one in kept if one.status == "compared"]
    if not compared:
        why = f"; the first: {kept[0].id}: {kept[0].status} {kept[0].note}" if kept else ""
        raise DataError(f"{origin.predictions}: holds no usable prediction for a case of {origin.truth}{why}")
    values = [target.true_values(one.case.values, of_truth) for one in kept]
    predicted = np.array([one.values for one in compared])
    true = np.array([target.true_values(one.case.values, of_truth) for one in compared])
    patients, missing = [one.patient for one in compared], len(kept) - len(compared)
    how = {"missing": missing, "resamples": origin.resamples, "seed": origin.seed}
    lines = score_predictions(predicted, true, patients, target, **how)
    origin = replace(origin, extra=extra, left_out=len(found) - len(kept))
    _begin(into)
    _write_cases(into, [_rounded(row) for row in case_rows(kept, values, target)], origin.truth)
    table_page(into / PAGE, kept, predicted, true, lines, target, origin)
    return lines


def _begin(into: Path) -> None:
    """Make the folder, and remove its provenance until all is written."""
    into.mkdir(parents=True, exist_ok=True)
    (into / PROVENANCE).unlink(missing_ok=True)


def _table_kind(of_network: Target | None, kind: Kind | None) -> type[TableTarget] | None:
    """The kind of task whose predictions a table holds, from the network's target or the user's --kind."""
    known = type(of_network) if of_network else find_target(kind) if kind else None
    return known if known is not None and issubclass(known, TableTarget) else None


def _target_of_network(of_network: Target | None, table: PredictionTable, of_truth: TableTarget) -> TableTarget:
    """The target by whose labels both sides are compared: the network's, or that of the columns of its table."""
    if of_truth.kind != table.target.kind:
        raise DataError(f"the truth is a task of {of_truth.kind}, but the predictions are of {table.target.kind}")
    if of_network is not None and type(of_network) is not type(of_truth):
        raise DataError(
            f"the network was trained on cases of {of_network.labels_per_case}, but in the truth a case has "
            f"{of_truth.labels_per_case}"
        )
    return of_truth.of_network(table.columns, of_network if isinstance(of_network, TableTarget) else None)


def _check(predictions: Path, options: EvaluateOptions) -> None:
    if not predictions.is_dir() and predictions.suffix.lower() != ".csv":
        raise DataError(f"{predictions}: no such folder; give a folder of predictions, or a CSV")
    if not (math.isfinite(options.tolerance) and options.tolerance >= 0):
        raise DataError(f"tolerance must be 0 mm or more, got {options.tolerance}; 1 is usual")
    if options.resamples < 1 or options.seed < 0:
        raise DataError(f"resamples must be 1 or more and seed 0 or more, got {options.resamples} and {options.seed}")
    if options.worst < 0:
        raise DataError(f"worst cannot be negative, got {options.worst}; 0 pictures no case")
    if options.workers is not None and options.workers < 0:
        raise DataError(f"workers cannot be negative, got {options.workers}; 0 works in this process")


def _cluster(into: Path, options: EvaluateOptions) -> Cluster | None:
    """The cluster that compares masks, if it is one."""
    tell = teller("evaluate", make_console(quiet=options.quiet))
    return choose_cluster(into, options.cluster, options.slurm, tell, workers=options.workers)


def _compare_all(into: Path, pairs: Sequence[Pair], rules: Rules, options: EvaluateOptions) -> list[Compared]:
    """Compare all cases, in the order of the truth."""
    cluster, workers = _cluster(into, options), options.workers
    if workers is None:
        sources = (source for pair in pairs for source in (*pair.case.masks, *pair.case.images, *pair.masks))
        workers = reading_processes(sources, much=len(pairs) >= WORTH_PROCESSES)
    do = functools.partial(compare_case, rules=rules)
    found: dict[str, Compared] = {}
    results = with_progress(
        work_through(do, pairs, workers, cluster=cluster), len(pairs), make_console(quiet=options.quiet),
        verb="evaluate", unit="case", wrong="not compared",
        is_wrong=lambda result: result[1] is None or result[1].status != "compared",
    )  # fmt: skip
    for pair, one in results:
        patient, why = pair.case.patient or pair.case.id, "; ".join(DIED)
        found[pair.case.id] = one or Compared(pair.case.id, patient, "no truth", why, ())
    return [found[pair.case.id] for pair in pairs]


def _write_cases(into: Path, rows: Sequence[Mapping[str, Any]], truth: Path) -> None:
    """Write cases.csv, in which patients have the names that a table of the truth gives them."""
    names = keep_names(into, [(row["patient"], row["id"]) for row in rows], of=truth)
    salted = [{**row, "patient": names.salted(row["patient"], row["id"])} for row in rows]
    write_table(into / CASES, list(rows[0]), salted, line_end="\r\n")


def _case_rows(compared: Sequence[Compared], names: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for case in compared:
        for k, name in enumerate(names):
            scores = vars(case.agreements[k]) if case.agreements else dict.fromkeys(METRICS, math.nan)
            start = {"id": case.id, "patient": case.patient, "label": name, "status": case.status}
            rows.append({**start, **_rounded(scores), "note": case.note})
    return rows


def _rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Write a score with six digits after the point; an undefined one is empty."""
    return {
        name: (round(value, 6) if math.isfinite(value) else None) if isinstance(value, float) else value
        for name, value in values.items()
    }


def _warn(into: Path, console: Console) -> None:
    """Say how many cases had no prediction of use, which pull the means down or are in none."""
    status = {row["id"]: row["status"] for row in read_rows(into / CASES)}
    lacking = Counter(each for each in status.values() if each != "compared")
    if lacking:
        counts = ", ".join(f"{count} {each}" for each, count in sorted(lacking.items()))
        console.print(
            f"evaluate: of {many(len(status), 'case')} {counts}: {into / PAGE} says how they count", soft_wrap=True
        )


def of_pictures(cases: Sequence[Case]) -> bool:
    """Whether all masks are of pictures."""
    return all(case.masks and axes_of(case.masks[0]) == 2 for case in cases)


def in_pixels(cases: Sequence[Case]) -> bool:
    """Whether some picture's spacing is known neither from its mask nor from itself; only headers are read."""
    headers = (map(header_geometry, (case.masks[0], *case.images[:1])) for case in cases)
    return not all(any(each is not None and each.spaced for each in some) for some in headers)


def _print(lines: Sequence[Line], console: Console, *, pixels: bool) -> None:
    """Print a line for each label and metric; of masks of pictures that lack a spacing in pixels."""
    table = Table("", "", "n", "value", "95 % interval")
    before = ""
    for line in lines:
        if line.metric in VOLUMES:
            continue
        if before and line.label != before:
            table.add_section()
        interval = f"{short_number(line.low95)} to {short_number(line.high95)}" if math.isfinite(line.low95) else "-"
        label = line.label if line.label != before else ""
        table.add_row(label, title_of(line.metric, pictures=pixels), str(line.n), short_number(line.value), interval)
        before = line.label
    console.print(table)
