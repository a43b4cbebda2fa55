"""Predicted classes and numbers against the true ones: a table matched to its cases, and its scores."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import fit
from modelsgenesis.core.table_target import Numbers, TableTarget, recognise
from modelsgenesis.core.tables import read_table
from modelsgenesis.data.case import Case
from modelsgenesis.data.entries import entry_from
from modelsgenesis.evaluation.matching import TABLE
from modelsgenesis.metrics.bootstrap import interval, resample_patients, resampled
from modelsgenesis.metrics.classification import overlapping_scores
from modelsgenesis.metrics.summary import ALL, Line
from modelsgenesis.tasks.case_finder import sure_names

BY_PATIENT = "auc_patient"

Status = Literal["compared", "missing", "unreadable"]


@dataclass(frozen=True)
class TablePrediction:
    """The prediction of one case.

    Attributes:
        case: with its truth.
        status: compared; or without a row of its own, or with one that cannot be used: then in no number.
        note: why.
        values: in the order of the target's value columns; none unless compared.
    """

    case: Case
    status: Status
    note: str = ""
    values: tuple[float, ...] = ()

    @property
    def id(self) -> str:
        """The case's id."""
        return self.case.id

    @property
    def patient(self) -> str:
        """The case's patient; where it is unknown, one of its own."""
        return self.case.patient or self.case.id


@dataclass(frozen=True)
class PredictionTable:
    """The rows of a table of predictions.

    Attributes:
        target: the kind of task that its columns are of.
        columns: that hold predictions.
        rows: of the table.
        folder: of the table, from which it names images.
    """

    target: type[TableTarget]
    columns: tuple[str, ...]
    rows: list[dict[str, str]]
    folder: Path

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the labels."""
        return self.target.names_of(self.columns)


def read_predictions(predictions: Path, kind: type[TableTarget] | None = None) -> PredictionTable | None:
    """Read a CSV of predictions, or the predictions.csv of a folder; None where there are masks instead.

    Args:
        predictions: the file or folder.
        kind: of task, if it is known; by default it is inferred from the columns.
    Raises:
        DataError: its rows name no case.
    """
    path = predictions if predictions.is_file() else predictions / TABLE
    if not path.is_file():
        return None
    rows, columns = read_table(path)
    if kind is None or not kind.recognised(columns):
        kind = recognise(columns)
    if kind is None:
        return None
    if not {"id", "image"} & set(columns):
        raise DataError(f"{path}: has no column `id` or `image`, so nobody knows whose predictions these are; add one")
    return PredictionTable(kind, kind.recognised(columns), rows, path.parent)


def match_rows(
    cases: Sequence[Case], table: PredictionTable, target: TableTarget
) -> tuple[list[TablePrediction], list[str]]:
    """Find the row of each case by its image's file, its id, or else the name of its image.

    Args:
        cases: of the truth.
        table: of the predictions.
        target: of the network; its columns are looked for.
    Returns:
        One prediction a case, in order, and the names of the rows that are of no case.
    Raises:
        DataError: the table lacks a label, or has two rows of a name.
    """
    lacking = [name for name in target.value_columns if name not in table.columns]
    if lacking:
        raise DataError(
            f"the predictions have no column {', '.join(lacking)}; theirs are {', '.join(table.columns)}; "
            "give labels the same names on both sides"
        )
    by_name: dict[str, dict[str, str]] = {}
    for row in table.rows:
        name = row_name(row)
        if name in by_name:
            raise DataError(f"two rows of the predictions are of {name}; keep one")
        by_name[name] = row
    made = [(entry_from(row["image"], table.folder), name) for name, row in by_name.items() if row.get("image")]
    names = sure_names(cases, made)
    found, used = [], set()
    for case in cases:
        name = next((each for each in names[case.id] if each in by_name), "")
        used.add(name)
        found.append(read_row(case, by_name[name], target) if name else TablePrediction(case, "missing"))
    return found, [name for name in by_name if name not in used]


def row_name(row: Mapping[str, str]) -> str:
    """The name of a row's case: its id, or the bare name of its image's file."""
    return fit(row.get("id") or re.sub(r"(\.nii)?\.[A-Za-z]+(\.gz)?$", "", Path(row["image"]).name))


def read_row(case: Case, row: Mapping[str, str], target: TableTarget) -> TablePrediction:
    """Read the prediction in a row."""
    texts = [row[name] for name in target.value_columns]
    if not any(texts):
        return TablePrediction(case, "missing", row.get("status", ""))
    try:
        values = tuple(float(text) for text in texts)
    except ValueError:
        return TablePrediction(case, "unreadable", f"not numbers: {', '.join(texts)}")
    if not np.isfinite(values).all():
        return TablePrediction(case, "unreadable", f"not finite: {', '.join(texts)}")
    if refused := target.refusal(values):
        return TablePrediction(case, "unreadable", f"{refused}: {', '.join(texts)}")
    return TablePrediction(case, "compared", "", values)


def score_predictions(
    predicted: Numbers,
    truth: Numbers,
    patients: Sequence[str],
    target: TableTarget,
    *,
    missing: int,
    resamples: int,
    seed: int,
) -> list[Line]:
    """Score all predictions, with intervals.

    Args:
        predicted: (N, value columns), probabilities or numbers.
        truth: (N, values), as the target's `true_values` has them.
        patients: of each case.
        target: of the network.
        missing: cases that are in no number.
        resamples: for the intervals.
        seed: of them.
    """

    def values_of(rows: NDArray[np.intp]) -> list[float]:
        found = target.scores(predicted[rows], truth[rows])
        return [value for one in found.values() for value in one.values()]

    every = target.scores(predicted, truth)
    drawn = resampled(values_of, resample_patients(patients, resamples, seed))
    num_patients = len(set(patients))
    keys = [(label, metric, value) for label, one in every.items() for metric, value in one.items()]
    lines = [
        Line(label, metric, len(predicted), missing, num_patients, value, *interval(drawn[:, column], num_patients))
        for column, (label, metric, value) in enumerate(keys)
    ]
    suspicion = target.suspicion(predicted, truth) if num_patients < len(patients) else None
    if suspicion is None:
        return lines
    place = next((number for number, line in enumerate(lines) if line.label != ALL), len(lines))
    return [*lines[:place], _by_patient(*suspicion, patients, resamples, seed), *lines[place:]]


def metrics_of(target: TableTarget, patients: Sequence[str]) -> tuple[str, ...]:
    """The names of all metrics that `score_predictions` gives.

    Args:
        target: of the network.
        patients: of each case.
    """
    nothing = np.zeros((0, len(target.value_columns)))
    several = len(set(patients)) < len(patients) and target.suspicion(nothing, nothing) is not None
    return (*target.metrics, *((BY_PATIENT,) if several else ()))


def _by_patient(p_of_cases: Numbers, true: Numbers, patients: Sequence[str], resamples: int, seed: int) -> Line:
    """AUC of patients who have several cases: the most suspicious case is the patient's, who has what any has."""
    names, of_case = np.unique(np.asarray(patients, str), return_inverse=True)
    p, there = (np.zeros((len(names), p_of_cases.shape[1])) for _ in range(2))
    np.maximum.at(p, of_case, p_of_cases)
    np.maximum.at(there, of_case, true)

    def auc(rows: NDArray[np.intp]) -> float:
        return overlapping_scores(p[rows], there[rows])["auc"]

    drawn = resampled(auc, resample_patients(names.tolist(), resamples, seed))
    whole = auc(np.arange(len(names)))
    return Line(ALL, BY_PATIENT, len(names), 0, len(names), whole, *interval(drawn, len(names)))


def case_rows(
    predictions: Sequence[TablePrediction], values: Sequence[tuple[float, ...]], target: TableTarget
) -> list[dict[str, Any]]:
    """The rows of cases.csv: what is true and what was predicted."""
    rows = []
    for one, true in zip(predictions, values, strict=True):
        predicted = one.values or (float("nan"),) * len(target.value_columns)
        start: dict[str, Any] = {"id": one.id, "patient": one.patient, "status": one.status}
        rows.append({**start, **target.case_row(predicted, true), "note": one.note})
    return rows
