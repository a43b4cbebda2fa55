"""How sure a number is: 95 % intervals from patients drawn again and again."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.randomness import generator_for

FEWEST_PATIENTS = 10  # below it percentile intervals are far too narrow to be honest
MOST_UNDEFINED = 0.05  # of the resamples, such as those without a single positive case
LEVEL = (2.5, 97.5)

Weights = NDArray[np.int64]
Interval = tuple[float, float]
NO_INTERVAL: Interval = (float("nan"), float("nan"))


def resample_patients(patients: Sequence[str], resamples: int, seed: int) -> Weights:
    """Draw patients with replacement; the cases of a patient come and go together.

    Args:
        patients: of each case.
        resamples: how often.
        seed: of the draws; the order of the cases does not matter.
    Returns:
        (resamples, cases): how many times each case is in.
    """
    names, of_case = np.unique(np.asarray(patients, str), return_inverse=True)
    rng = generator_for(seed, 0)
    drawn = rng.integers(len(names), size=(resamples, len(names)))
    places = drawn + len(names) * np.arange(resamples)[:, None]
    counts = np.bincount(places.ravel(), minlength=resamples * len(names)).reshape(resamples, len(names))
    return np.asarray(counts[:, of_case], np.int64)


def interval(values: NDArray[Any], num_patients: int) -> Interval:
    """The middle 95 % of the resampled numbers; NaN twice where there are too few patients or too many undefined.

    Args:
        values: of the statistic, one a resample.
        num_patients: that were drawn from.
    """
    defined = values[np.isfinite(values)]
    if num_patients < FEWEST_PATIENTS or not len(values) or len(defined) < (1 - MOST_UNDEFINED) * len(values):
        return NO_INTERVAL
    low, high = np.percentile(defined, LEVEL)
    return float(low), float(high)


def weighted_means(values: NDArray[Any], weights: Weights) -> NDArray[np.float64]:
    """The mean of the values that are defined, for each resample; NaN where none is.

    Args:
        values: (cases,), NaN undefined.
        weights: (resamples, cases).
    """
    there = np.isfinite(values)
    totals = weights[:, there] @ values[there]
    counts = weights[:, there].sum(1)
    return np.asarray(np.divide(totals, counts, out=np.full(len(weights), np.nan), where=counts > 0))


def resampled(statistic: Callable[[NDArray[np.intp]], Any], weights: Weights) -> NDArray[np.float64]:
    """Compute, for each resample, a statistic that needs the cases themselves; once for resamples that are the same.

    Of a few patients few are not: three can be drawn in ten ways, of two thousand draws.

    Args:
        statistic: of the numbers of the cases that are in, each as often as it was drawn; gives a number or an array.
        weights: (resamples, cases).
    """
    cases = np.arange(weights.shape[1])
    known: dict[bytes, Any] = {}
    values: list[Any] = []
    for row in weights:
        same = sha256(row.tobytes()).digest()  # short, where a row may be of very many cases
        if same not in known:
            known[same] = statistic(np.repeat(cases, row))
        values.append(known[same])
    return np.array(values, np.float64)
