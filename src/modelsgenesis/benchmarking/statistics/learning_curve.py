"""Learning curves that never fall: the score to expect of a budget, and the budget that a score takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from modelsgenesis.core.errors import DataError


@dataclass(frozen=True)
class Curve:
    """Mean score by budget, made monotone; between budgets it is straight over the logarithm of the cases.

    Attributes:
        cases: budgets, rising.
        scores: that never fall from budget to budget (never rise, where smaller is better).
        means: of the runs, as they are.
        n: runs of each budget.
        higher_is_better: whether a larger score is the better one.
    """

    cases: tuple[int, ...]
    scores: tuple[float, ...]
    means: tuple[float, ...]
    n: tuple[int, ...]
    higher_is_better: bool = True

    def at(self, cases: float) -> float:
        """The score to expect of a budget; beyond the first and the last it stays as it is there."""
        return float(np.interp(np.log(cases), np.log(self.cases), self.scores))


def fit_curve(
    cases: Sequence[int], means: Sequence[float], n: Sequence[int], *, higher_is_better: bool = True
) -> Curve:
    """Fit the monotone curve nearest to the means by least squares, each budget weighed by its runs.

    Args:
        cases: budgets, rising.
        means: of the runs of each.
        n: how many runs.
        higher_is_better: False for errors and distances: the curve never rises.
    Raises:
        DataError: budgets that do not rise, a mean that is no finite number, or a budget without runs.
    """
    if not cases or not (len(cases) == len(means) == len(n)):
        raise DataError(f"budgets, means and runs go together, got {len(cases)}, {len(means)} and {len(n)}")
    if min(cases) < 1 or any(after <= before for before, after in pairwise(cases)):
        raise DataError(f"budgets are 1 or more and rise, got {list(cases)}; sort them, each once")
    if not np.isfinite(means).all() or min(n) < 1:
        raise DataError(f"every budget needs runs and a mean, got means {list(means)} of {list(n)} runs")
    sign = 1.0 if higher_is_better else -1.0
    scores = sign * isotonic(sign * np.asarray(means, np.float64), np.asarray(n, np.float64))
    return Curve(tuple(cases), tuple(scores.tolist()), tuple(means), tuple(n), higher_is_better)


def cases_to_reach(curve: Curve, score: float) -> float:
    """Find the fewest cases with which the curve is as good as a score.

    Returns:
        cases, in general between two budgets; the first budget where the curve is as good already there (so or
        fewer), infinity where it is not even at the last.
    """
    sign = 1.0 if curve.higher_is_better else -1.0
    scores = sign * np.array([curve.scores])
    return float(first_reaching(np.array(curve.cases, np.float64), scores, np.array([sign * score]))[0])


def isotonic(means: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rising numbers nearest to the means, many curves at once (scipy's takes one).

    It is what pooling neighbours that fall gives, written as the greatest mean from the left of the least to the right.

    Args:
        means: (..., budgets).
        weights: (..., budgets), above 0.
    Source: Robertson, Wright and Dykstra 1988, section 1.4, the max-min formula.
    """
    k = means.shape[-1]
    pad = [(0, 0)] * (means.ndim - 1) + [(1, 0)]
    sums = np.pad(np.cumsum(means * weights, axis=-1), pad)
    counts = np.pad(np.cumsum(np.broadcast_to(weights, means.shape), axis=-1), pad)
    total = sums[..., None, 1:] - sums[..., :-1, None]  # (..., from, to)
    count = counts[..., None, 1:] - counts[..., :-1, None]
    forward = np.triu(np.ones((k, k), bool))
    pooled = np.divide(total, count, out=np.full(total.shape, np.inf), where=forward)
    least = np.minimum.accumulate(pooled[..., ::-1], axis=-1)[..., ::-1]
    return np.asarray(np.maximum.accumulate(np.where(forward, least, -np.inf).max(-2), axis=-1))


def first_reaching(
    cases: NDArray[np.float64], scores: NDArray[np.float64], targets: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Find `cases_to_reach` of many rising curves at once.

    Args:
        cases: (budgets,).
        scores: (curves, budgets), never falling.
        targets: (curves,).
    Returns:
        (curves,) cases.
    """
    reached = scores >= targets[:, None]
    after = reached.argmax(1)
    before, row = np.maximum(after - 1, 0), np.arange(len(scores))
    rise = scores[row, after] - scores[row, before]
    share = np.divide(targets - scores[row, before], rise, out=np.ones(len(scores)), where=rise > 0)
    logs = np.log(cases)
    between = np.exp(logs[before] + share * (logs[after] - logs[before]))
    found = np.where(share == 1, cases[after], between)  # exact at the budgets
    return np.where(reached.any(1), found, np.inf)
