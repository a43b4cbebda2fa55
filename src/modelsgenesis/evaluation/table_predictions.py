"""Predicted classes and numbers against the true ones: a table matched to its cases, and its scores."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.files import fit
from modelsgenesis.core.tables import read_table
from modelsgenesis.core.target import Kind, Target
from modelsgenesis.data.case import Case
from modelsgenesis.evaluation.matching import TABLE, names_of
from modelsgenesis.metrics import regression
from modelsgenesis.metrics.bootstrap import interval, resample_patients, resampled
from modelsgenesis.metrics.classification import OF_LABEL, OVERALL, exclusive_scores, label_scores, overlapping_scores
from modelsgenesis.metrics.regression import number_scores
from modelsgenesis.metrics.summary import Line

ALL = "all labels"
BY_PATIENT = "auc_patient"
BESIDE = {"id", "image", "class", "status", "prediction", "note", "patient"}
NEARLY = 1e-3  # by which probabilities may miss a sum of 1

Status = Literal["compared", "missing", "unreadable"]


@dataclass(frozen=True)
class Answer:
    """What was said of a case, and what is true.

    Attributes:
        case: with its truth.
        status: compared; or without a row of its own, or with one that cannot be used: then in no number.
        note: why.
        said: of each of the network's labels, the probability or the number; none unless compared.
    """

    case: Case
    status: Status
    note: str = ""
    said: tuple[float, ...] = ()

    @property
    def id(self) -> str:
        """Of the case."""
        return self.case.id

    @property
    def patient(self) -> str:
        """Of the case; each its own where it is unknown."""
        return self.case.patient or self.case.id


@dataclass(frozen=True)
class Told:
    """The columns of a table of predictions.

    Attributes:
        kind: classification where there are columns `p_LABEL`, else regression.
        names: of the labels.
        rows: of the table.
    """

    kind: Kind
    names: tuple[str, ...]
    rows: list[dict[str, str]]


def read_told(predictions: Path) -> Told | None:
    """Read the answers in a CSV, or in the predictions.csv of a folder; None where there are masks instead."""
    path = predictions if predictions.is_file() else predictions / TABLE
    if not path.is_file():
        return None
    rows, columns = read_table(path)
    probabilities = tuple(name.removeprefix("p_") for name in columns if name.startswith("p_"))
    numbers = tuple(name for name in columns if name not in BESIDE)
    if not probabilities and ("prediction" in columns or not numbers):
        return None
    if not {"id", "image"} & set(columns):
        raise DataError(f"{path}: has no column `id` or `image`, so nobody knows whose answers these are; add one")
    return Told("classification", probabilities, rows) if probabilities else Told("regression", numbers, rows)


def match_answers(cases: Sequence[Case], told: Told, target: Target) -> tuple[list[Answer], list[str]]:
    """Give each case its row, by its id, or else by the name of its image.

    Args:
        cases: of the truth.
        told: the table.
        target: of the network; its labels are looked for.
    Returns:
        One answer a case, in order, and the names of the rows that are of no case.
    Raises:
        DataError: the table lacks a label, or has two rows of a name.
    """
    lacking = [name for name in target.names if name not in told.names]
    if lacking:
        raise DataError(
            f"the predictions have no column of {', '.join(lacking)}; theirs are of {', '.join(told.names)}; "
            "give labels the same names on both sides"
        )
    by_name: dict[str, dict[str, str]] = {}
    for row in told.rows:
        name = row_name(row)
        if name in by_name:
            raise DataError(f"two rows of the predictions are of {name}; keep one")
        by_name[name] = row
    once = Counter(name for case in cases for name in names_of(case)[1:])
    answers, used = [], set()
    for case in cases:
        first, *others = names_of(case)
        known = (first, *(name for name in others if once[name] == 1))
        name = next((each for each in known if each in by_name), "")
        used.add(name)
        answers.append(understood(case, by_name[name], told.kind, target) if name else Answer(case, "missing"))
    return answers, [name for name in by_name if name not in used]


def row_name(row: Mapping[str, str]) -> str:
    """Whose row it is: its id, or the bare name of its image's file."""
    return fit(row.get("id") or re.sub(r"(\.nii)?\.[A-Za-z]+(\.gz)?$", "", Path(row["image"]).name))


def understood(case: Case, row: Mapping[str, str], kind: Kind, target: Target) -> Answer:
    """The answer in a row."""
    start = "p_" if kind == "classification" else ""
    texts = [row[f"{start}{name}"] for name in target.names]
    if not any(texts):
        return Answer(case, "missing", row.get("status", ""))
    try:
        said = tuple(float(text) for text in texts)
    except ValueError:
        return Answer(case, "unreadable", f"not numbers: {', '.join(texts)}")
    if not np.isfinite(said).all():
        return Answer(case, "unreadable", f"not finite: {', '.join(texts)}")
    if kind == "classification":
        if min(said) < 0 or max(said) > 1:
            return Answer(case, "unreadable", f"not probabilities: {', '.join(texts)}")
        if target.exclusive and abs(sum(said) - 1) > NEARLY:
            return Answer(case, "unreadable", f"probabilities that sum to {sum(said):.3g}, not 1")
    return Answer(case, "compared", "", said)


def true_values(case: Case, of_case: Target, target: Target) -> tuple[float, ...]:
    """The truth in the order of the network's labels: the class's number, or a value a label.

    Args:
        case: with its values.
        of_case: the target they are of.
        target: of the network, which knows all labels of the other.
    """
    if target.kind == "classification" and target.exclusive:
        return (float(target.names.index(of_case.names[int(case.values[0])])),)
    return tuple(case.values[of_case.names.index(name)] for name in target.names)


def score_answers(
    said: NDArray[np.float64],
    truth: NDArray[np.float64],
    patients: Sequence[str],
    target: Target,
    *,
    missing: int,
    resamples: int,
    seed: int,
) -> list[Line]:
    """Score all answers, with intervals.

    Args:
        said: (N, labels), probabilities or numbers.
        truth: (N, 1) of class numbers where labels exclude each other; else (N, labels).
        patients: of each case.
        target: of the network.
        missing: cases that are in no number.
        resamples: for the intervals.
        seed: of them.
    """

    def values_of(rows: NDArray[np.intp]) -> list[float]:
        found = scores(said[rows], truth[rows], target)
        return [value for one in found.values() for value in one.values()]

    every = scores(said, truth, target)
    drawn = resampled(values_of, resample_patients(patients, resamples, seed))
    num_patients = len(set(patients))
    keys = [(label, metric, value) for label, one in every.items() for metric, value in one.items()]
    lines = [
        Line(label, metric, len(said), missing, num_patients, value, *interval(drawn[:, column], num_patients))
        for column, (label, metric, value) in enumerate(keys)
    ]
    if not _has_patients(target, patients):
        return lines
    place = next((number for number, line in enumerate(lines) if line.label != ALL), len(lines))
    return [*lines[:place], _by_patient(said, truth, patients, target, resamples, seed), *lines[place:]]


def metrics_of(target: Target, patients: Sequence[str]) -> tuple[str, ...]:
    """The names of all metrics that `score_answers` gives.

    Args:
        target: of classes or numbers.
        patients: of each case.
    """
    if target.kind == "regression":
        return regression.METRICS
    return tuple(dict.fromkeys((*OVERALL, *OF_LABEL, *((BY_PATIENT,) if _has_patients(target, patients) else ()))))


def _has_patients(target: Target, patients: Sequence[str]) -> bool:
    """Whether there is an AUC by patient: some have several cases, and one label tells who has what is looked for."""
    several = len(set(patients)) < len(patients)
    return target.kind == "classification" and several and not (target.exclusive and len(target.labels) > 2)


def _by_patient(
    said: NDArray[np.float64],
    truth: NDArray[np.float64],
    patients: Sequence[str],
    target: Target,
    resamples: int,
    seed: int,
) -> Line:
    """AUC of patients who have several cases: one is told by his most suspicious case, and has what any of them has."""
    names, of_case = np.unique(np.asarray(patients, str), return_inverse=True)
    shown = slice(1, 2) if target.exclusive else slice(None)
    p, there = np.zeros((len(names), len(target.names[shown]))), np.zeros((len(names), len(target.names[shown])))
    np.maximum.at(p, of_case, said[:, shown])
    np.maximum.at(there, of_case, presence(truth, target)[:, shown].astype(float))

    def auc(rows: NDArray[np.intp]) -> float:
        return overlapping_scores(p[rows], there[rows])["auc"]

    drawn = resampled(auc, resample_patients(names.tolist(), resamples, seed))
    whole = auc(np.arange(len(names)))
    return Line(ALL, BY_PATIENT, len(names), 0, len(names), whole, *interval(drawn, len(names)))


def scores(said: NDArray[Any], truth: NDArray[Any], target: Target) -> dict[str, dict[str, float]]:
    """The scores of all labels together, then of each: {label: {metric: value}}."""
    names = target.names
    if target.kind == "regression":
        return {name: number_scores(said[:, k], truth[:, k]) for k, name in enumerate(names)}
    there = presence(truth, target)
    each = {name: label_scores(said[:, k], there[:, k]) for k, name in enumerate(names)}
    whole = exclusive_scores(said, truth[:, 0]) if target.exclusive else overlapping_scores(said, truth)
    return {ALL: whole, **each}


def presence(truth: NDArray[Any], target: Target) -> NDArray[np.bool_]:
    """Whether a case has a label, (N, labels)."""
    if target.exclusive:
        return np.asarray(truth[:, :1] == np.arange(len(target.labels)))
    return np.asarray(truth > 0)


def error_of(said: NDArray[Any], truth: NDArray[Any], target: Target) -> NDArray[np.float64]:
    """How wrong each answer is, (N,): Brier score, or the distance from the true numbers, each by its spread."""
    if target.kind == "classification":
        return np.asarray(np.square(said - presence(truth, target)).sum(1))
    spread = np.maximum(truth.std(axis=0), 1e-12)
    return np.asarray((np.abs(said - truth) / spread).sum(1))


def answer_rows(answers: Sequence[Answer], values: Sequence[tuple[float, ...]], target: Target) -> list[dict[str, Any]]:
    """A row a case: what is true and what was said."""
    rows = []
    for answer, true in zip(answers, values, strict=True):
        row: dict[str, Any] = {"id": answer.id, "patient": answer.patient, "status": answer.status}
        said = answer.said or (float("nan"),) * len(target.labels)
        if target.kind == "regression":
            for name, one, other in zip(target.names, said, true, strict=True):
                row |= {f"true {name}": other, f"predicted {name}": one, f"error {name}": one - other}
        else:
            row |= {"truth": class_words(true, target), "class": said_words(answer, target)}
            row |= {f"p_{name}": one for name, one in zip(target.names, said, strict=True)}
        rows.append({**row, "note": answer.note})
    return rows


def class_words(true: Sequence[float], target: Target) -> str:
    """The true class, or all true labels."""
    if target.exclusive:
        return target.names[int(true[0])]
    return " | ".join(name for name, there in zip(target.names, true, strict=True) if there > 0)


def said_words(answer: Answer, target: Target) -> str:
    """The class said, or all labels said; nothing without an answer."""
    if not answer.said:
        return ""
    if target.exclusive:
        return target.names[int(np.argmax(answer.said))]
    return " | ".join(name for name, p in zip(target.names, answer.said, strict=True) if p >= 0.5)
