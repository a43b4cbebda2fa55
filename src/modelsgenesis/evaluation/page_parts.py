"""The parts of all evaluation pages: what was compared, the scores, what was not compared, the lineage."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelsgenesis.core.provenance import lineage
from modelsgenesis.core.words import many, short_number
from modelsgenesis.data.problems import Problem
from modelsgenesis.figures.page import Folded, Paragraph, Part, Table
from modelsgenesis.metrics.bootstrap import FEWEST_PATIENTS
from modelsgenesis.metrics.summary import Line
from modelsgenesis.metrics.titles import title_of

MOST_NAMED = 40  # cases in a list


@dataclass(frozen=True)
class Origin:
    """The predictions, the truth and the settings of an evaluation.

    Attributes:
        predictions: the folder or table.
        truth: the file or folder.
        only_predicted: whether cases without a prediction are left out.
        resamples: of the intervals.
        seed: of the resamples.
        worst: how many cases are pictured.
        problems: what of the truth is no case.
        extra: names of predictions that are of no case.
        left_out: how many cases without a prediction were left out.
    """

    predictions: Path
    truth: Path
    only_predicted: bool
    resamples: int
    seed: int
    worst: int
    problems: Sequence[Problem] = ()
    extra: Sequence[str] = ()
    left_out: int = 0


def lead(num: int, names: Sequence[str], origin: Origin) -> str:
    """A sentence on what was compared."""
    compared = f"{many(num, 'case')} of {origin.truth} compared with the predictions in {origin.predictions}"
    return f"{compared}: {', '.join(names)}."


def interval_words(line: Line) -> str:
    """The interval in words, or why there is none."""
    if math.isfinite(line.low95):
        return f"95 % interval {short_number(line.low95)} to {short_number(line.high95)}"
    return "no interval: too few patients" if line.patients < FEWEST_PATIENTS else "no interval: often undefined"


def spread_words(lines: Sequence[Line], resamples: int) -> str:
    """How the intervals were computed, in words."""
    fewest, most = min(line.patients for line in lines), max(line.patients for line in lines)
    patients = f"{most}" if fewest == most else f"{fewest} to {most}"
    return (
        f"95 % intervals: percentiles of {resamples:,} resamples of {patients} patients, whose cases stay together. "
        f"Below {FEWEST_PATIENTS} patients there is none, as it would be too narrow. n: cases for which the number is "
        "defined."
    )


def summary_table(lines: Sequence[Line], *, pictures: bool = False) -> Table:
    """A table with a row for each label and metric; of pictures in pixels."""
    spread = any(math.isfinite(line.median) for line in lines)
    head = ["label", "metric", "n", "mean" if spread else "value", "95 % interval"]
    head += ["sd", "median", "quartiles"] if spread else []
    rows = []
    for line in lines:
        interval = f"{short_number(line.low95)} to {short_number(line.high95)}" if math.isfinite(line.low95) else "–"
        row = [line.label, title_of(line.metric, pictures=pictures), str(line.n), short_number(line.value), interval]
        quartiles = f"{short_number(line.q1)} to {short_number(line.q3)}"
        rows.append([*row, *([short_number(line.sd), short_number(line.median), quartiles] if spread else [])])
    return Table(rows, head)


def not_compared(compared: Sequence[Any], origin: Origin) -> list[Part]:
    """Which cases had no usable prediction or truth, and which predictions are of no case."""
    parts: list[Part] = []
    rows = [(one.id, one.status, one.note or "no file of its name") for one in compared if one.status != "compared"]
    if rows:
        parts += listed(rows, ("case", "status", "why"))
    if origin.left_out:
        parts.append(Paragraph(f"Left out for want of a prediction, because of --only-predicted: {origin.left_out}."))
    if origin.extra:
        many = [Table([(name,) for name in origin.extra[:MOST_NAMED]])]
        parts.append(Folded(f"Predictions of no case of the truth: {len(origin.extra)}", many))
    if origin.problems:
        rows = [(str(problem.path), problem.problem, problem.remedy) for problem in origin.problems]
        parts.append(
            Folded(f"Entries of the truth that are no case: {len(rows)}", listed(rows, ("file", "why", "what to do")))
        )
    return parts or [Paragraph("None: every case has a prediction and a truth.", "caption")]


def listed(rows: Sequence[Sequence[str]], head: Sequence[str]) -> list[Part]:
    """A table of which all rows after the first few are folded away."""
    if len(rows) <= MOST_NAMED:
        return [Table(rows, head)]
    more = Folded(f"{len(rows) - MOST_NAMED} more", [Table(rows[MOST_NAMED:], head)])
    return [Table(rows[:MOST_NAMED], head), more]


def origins(origin: Origin) -> Table:
    """The provenance of the predictions, nearest first."""
    rows = []
    for folder in (origin.predictions, origin.truth):
        chain = lineage(folder) if folder.is_dir() else []
        rows += [
            (place, f"genesis {made.verb}", ", ".join(made.inputs), made.finished, made.version)
            for place, made in chain
        ]
        if not chain:
            rows.append((str(folder), "not made by genesis", "", "", ""))
    return Table(rows, ("folder or file", "made by", "from", "finished (UTC)", "version"))
