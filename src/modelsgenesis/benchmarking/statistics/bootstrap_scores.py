"""The scores of a benchmark's runs on test patients drawn again and again: how far they hang on who was tested."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.benchmarking.statistics.runs import Table
from modelsgenesis.metrics.bootstrap import Weights, resample_patients

BLOCK = 2**22  # weights that are looked at together


@dataclass(frozen=True)
class BootstrapScores:
    """The scores of every run on resampled patients, who are the same for all runs.

    Attributes:
        whole: (arms, budgets, seeds), on the patients as they are; NaN where there is no run.
        values: (arms, budgets, seeds, resamples); NaN where there is no run.
        num_patients: that are drawn from.
    """

    whole: NDArray[np.float64]
    values: NDArray[np.float64]
    num_patients: int


def bootstrap_means(table: Table, *, resamples: int, seed: int) -> BootstrapScores | None:
    """Resample a metric that is a mean over cases; None where the cases' scores were not given."""
    if not table.patients:
        return None
    weights = resample_patients(table.patients, resamples, seed)
    values = table.case_values @ weights.T / weights.sum(1)
    return BootstrapScores(table.case_values.mean(-1), values, len(set(table.patients)))


def weighted_auc(p: NDArray[np.float64], there: NDArray[np.bool_], weights: Weights) -> NDArray[np.float64]:
    """The area under the ROC curve, for each resample: how often a case that has it is above one that has it not.

    Of equal probabilities one half is won, as by the trapezoidal rule.

    Args:
        p: (cases,).
        there: (cases,), whether the case has it.
        weights: (resamples, cases), how often each is in.
    Returns:
        (resamples,), NaN without both kinds of case.
    Source: Hanley and McNeil 1982, Radiology 143, section "the meaning of the area".
    """
    blocks = np.array_split(weights, 1 + weights.size // BLOCK)
    return np.concatenate([_auc(p, there, block) for block in blocks])


def _auc(p: NDArray[np.float64], there: NDArray[np.bool_], weights: Weights) -> NDArray[np.float64]:
    rising = np.flatnonzero(~there)[np.argsort(p[~there])]
    below = np.zeros((len(rising) + 1, len(weights)), np.int64)  # how many negative cases are among the first so many
    np.cumsum(weights.T[rising], axis=0, out=below[1:])
    lower, as_high = (np.searchsorted(p[rising], p[there], side=side) for side in ("left", "right"))
    positive = weights.T[there]
    won = (positive * (below[lower] + below[as_high])).sum(0) / 2
    pairs = positive.sum(0) * below[-1]
    return np.asarray(np.divide(won, pairs, out=np.full(len(weights), np.nan), where=pairs > 0))
