"""From the scores of cases to one line a label: mean, spread, and how sure the mean is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.metrics.bootstrap import interval, resample_patients, weighted_means

MEAN = "mean of labels"  # the line that sums up masks
ALL = "all labels"  # the line that sums up a table


@dataclass(frozen=True)
class Line:
    """One line of a summary: a metric of a label over the cases; NaN is undefined.

    Attributes:
        label: its name, or `MEAN`.
        metric: its name.
        n: cases it is defined for.
        undefined: cases it is not.
        patients: of those `n`.
        value: the mean; of a table's metric that has no value a case, the metric.
        low95: of the interval.
        high95: of the interval.
        sd: between cases, with n - 1.
        median: of the cases.
        q1: the lower quartile.
        q3: the upper quartile.
    """

    label: str
    metric: str
    n: int
    undefined: int
    patients: int
    value: float
    low95: float
    high95: float
    sd: float = float("nan")
    median: float = float("nan")
    q1: float = float("nan")
    q3: float = float("nan")


def summarise(
    scores: Mapping[str, NDArray[Any]], labels: Sequence[str], patients: Sequence[str], *, resamples: int, seed: int
) -> list[Line]:
    """Summarise scores over the cases, for each label and metric.

    The last lines are of the mean of labels: its value is the mean of the labels' means, its spread that of each
    case's mean over the labels defined there.

    Args:
        scores: (cases, labels) by metric, NaN undefined.
        labels: names.
        patients: of each case.
        resamples: for the intervals.
        seed: of them.
    """
    weights = resample_patients(patients, resamples, seed)
    who = np.asarray(patients, str)
    lines = [
        _line(label, metric, values[:, k], weighted_means(values[:, k], weights), who)
        for k, label in enumerate(labels)
        for metric, values in scores.items()
    ]
    if len(labels) == 1:
        return lines
    for metric, values in scores.items():
        means = mean_defined(np.stack([weighted_means(column, weights) for column in values.T], axis=1))
        line = _line(MEAN, metric, mean_defined(values), means, who)
        of_labels = mean_defined(np.array([[one.value for one in lines if one.metric == metric]]))
        lines.append(Line(**{**vars(line), "value": float(of_labels[0])}))
    return lines


def mean_defined(values: NDArray[Any]) -> NDArray[np.float64]:
    """The mean of each row over what is defined there; NaN where nothing is. (rows, columns) -> (rows,)."""
    there = np.isfinite(values)
    counts = there.sum(1)
    totals = np.where(there, values, 0.0).sum(1)
    return np.asarray(np.divide(totals, counts, out=np.full(len(values), np.nan), where=counts > 0))


def _line(label: str, metric: str, values: NDArray[Any], means: NDArray[Any], patients: NDArray[Any]) -> Line:
    there = np.isfinite(values)
    defined = values[there]
    n, num_patients = len(defined), len(np.unique(patients[there]))
    if not n:
        nothing = float("nan")
        return Line(label, metric, 0, len(values), 0, nothing, nothing, nothing)
    q1, median, q3 = (float(each) for each in np.percentile(defined, (25, 50, 75)))
    sd = float(defined.std(ddof=1)) if n > 1 else float("nan")
    low, high = interval(means, num_patients)
    return Line(label, metric, n, len(values) - n, num_patients, float(defined.mean()), low, high, sd, median, q1, q3)
